"""The measures of a model on one set of rows, by their names in the results of training, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.arrays import (
    FloatArray,
    Measure,
    Measures,
    Vector,
    labels,
    numbers,
    probabilities,
    same_length,
)
from evaluation.bootstrap import Metric, paired_difference, with_intervals
from evaluation.calibration import calibration_measures
from evaluation.cost import check_interval, error_measures, interval_measures
from evaluation.decisions import check_thresholds, net_benefit_measures
from evaluation.discrimination import capacity_measures, ranking_measures, threshold_measures

UNDEFINED = {
    "auroc": "needs rows with and rows without the outcome",
    "auprc": "needs rows with the outcome",
    "scaled_brier": "needs rows with and rows without the outcome",
    "calibration_in_the_large": "needs rows with and rows without the outcome",
    "calibration_slope": "needs both outcomes, and predictions that differ and do not separate them",
    "ici": "needs rows with and rows without the outcome",
    "observed_expected_ratio": "all predicted risks are 0",
    "sensitivity_at_capacity": "needs rows with the outcome",
    "wape": "all actual costs are 0",
    "r2": "all actual costs are the same",
    "bias": "the actual total is not positive",
    "interval_coverage": "no interval was given",
    "interval_width": "no interval with a finite upper end",
    "interval_width_median": "half of the intervals or more have no finite upper end",
    "interval_open_share": "no interval was given",
}
"""When a measure has no value, in words for the report."""


def evaluate_risk(
    label: Vector,
    probability: Vector,
    patient_id: Vector,
    *,
    seed: int,
    replicates: int = 500,
    week: Vector | None = None,
    capacity_per_week: int | None = None,
    thresholds: Sequence[float] = (),
) -> dict[str, Metric]:
    """How good predicted risks are, each measure with its interval over resampled patients.

    Always: auroc, auprc, prevalence, brier, scaled_brier, calibration_in_the_large, calibration_slope, ici,
    observed_expected_ratio. With `capacity_per_week` and every row's `week` (any key of it): sensitivity, ppv
    and alerts per week `_at_capacity`. With `thresholds`: sensitivity, ppv, alert_share and net_benefit
    `_at_<threshold>`, and net_benefit_of_all for flagging everyone (no one is 0).

    Every measure, slope and ICI included, has all replicates: a resample's logistic fits start from the fit
    to all rows and need two or three Newton steps. A measure that does not exist is None, with the reason.

    Raises ValueError with counts if values are missing, labels not 0 or 1, or probabilities not in 0 to 1.
    """
    outcome, predicted = labels(label), probabilities(probability)
    n = same_length(label=outcome, probability=predicted)
    parts = [ranking_measures(outcome, predicted), calibration_measures(outcome, predicted)]
    if (week is None) != (capacity_per_week is None):
        raise ValueError("week, capacity_per_week: give both or neither.")
    if capacity_per_week is not None:
        parts.append(capacity_measures(outcome, predicted, week, capacity_per_week))
    undefined = dict(UNDEFINED)
    if thresholds:
        cuts = check_thresholds(thresholds)
        parts += [
            threshold_measures(outcome, predicted, cuts),
            net_benefit_measures(outcome, predicted, cuts),
        ]
        undefined |= {f"ppv_at_{cut:g}": "nobody reaches the threshold" for cut in cuts}
        undefined |= {f"sensitivity_at_{cut:g}": "needs rows with the outcome" for cut in cuts}
    return with_intervals(
        together(parts), n, patient_id, seed=seed, replicates=replicates, undefined=undefined
    )


def evaluate_cost(
    actual: Vector,
    expected: Vector,
    low: Vector | None,
    high: Vector | None,
    patient_id: Vector,
    *,
    seed: int,
    replicates: int = 500,
) -> dict[str, Metric]:
    """How good expected costs are, each measure with its interval over resampled patients.

    mae, mdae, wape, r2, bias (predicted ÷ actual), interval_coverage, interval_width (mean, of intervals with
    a finite upper end), interval_width_median, interval_open_share. `low` and `high` may be None for a
    prediction without interval; an infinite `high` is an interval without upper bound. A measure that does
    not exist is None, with the reason.

    Raises ValueError with counts if values are missing or ends are crossed.
    """
    paid, awaited = numbers(actual, "actual"), numbers(expected, "expected")
    n = same_length(actual=paid, expected=awaited)
    parts = [error_measures(paid, awaited)]
    absent: dict[str, Metric] = {}
    if low is None or high is None:
        reason = f"undefined: {UNDEFINED['interval_coverage']}"
        names = ("interval_coverage", "interval_width", "interval_width_median", "interval_open_share")
        absent = {name: {"value": None, "low": None, "high": None, "reason": reason} for name in names}
    else:
        lower, upper = check_interval(low, high)
        same_length(actual=paid, low=lower)
        parts.append(interval_measures(paid, lower, upper))
    found = with_intervals(
        together(parts), n, patient_id, seed=seed, replicates=replicates, undefined=UNDEFINED
    )
    return found | absent


def compare_score(
    label: Vector,
    score: Vector,
    reference: Vector,
    patient_id: Vector,
    *,
    seed: int,
    replicates: int = 500,
) -> dict[str, Metric]:
    """auroc and auprc of `score` minus those of `reference`; neither needs to be a probability."""
    outcome, ours, theirs = labels(label), numbers(score, "score"), numbers(reference, "reference")
    n = same_length(label=outcome, score=ours, reference=theirs)
    first, second = (ranking_measures(outcome, values) for values in (ours, theirs))
    return paired_difference(
        first, second, n, patient_id, seed=seed, replicates=replicates, undefined=UNDEFINED
    )


def compare_cost(
    actual: Vector,
    expected: Vector,
    reference: Vector,
    patient_id: Vector,
    *,
    seed: int,
    replicates: int = 500,
) -> dict[str, Metric]:
    """mae, mdae, wape, r2 and bias of `expected` minus those of `reference`, on the same resamples."""
    paid, ours, theirs = (
        numbers(actual, "actual"),
        numbers(expected, "expected"),
        numbers(reference, "reference"),
    )
    n = same_length(actual=paid, expected=ours, reference=theirs)
    first, second = (error_measures(paid, values) for values in (ours, theirs))
    return paired_difference(
        first, second, n, patient_id, seed=seed, replicates=replicates, undefined=UNDEFINED
    )


def together(parts: Sequence[Measure]) -> Measure:
    """Several measures of the same rows as one."""

    def measure(weights: FloatArray) -> Measures:
        return {name: values for part in parts for name, values in part(weights).items()}

    return measure
