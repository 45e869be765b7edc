"""The measures of a model on one set of rows, by their names in the results of training, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.amounts import (
    INTERVAL_MEASURES,
    check_interval,
    error_measures,
    interval_measures,
    mean_measure,
)
from evaluation.arrays import (
    Measure,
    Measures,
    Vector,
    labels,
    numbers,
    probabilities,
    same_length,
)
from evaluation.bootstrap import Metric, Resampling, Sampled, sample
from evaluation.calibration import calibration_measures
from evaluation.decisions import check_thresholds, net_benefit_measures
from evaluation.discrimination import capacity_measures, ranking_measures, threshold_measures
from evaluation.patients import Patients, Times

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
    "r2": "all actual amounts are the same",
    "d2": "all actual amounts are the same",
    "bias": "the actual total is not positive",
    "interval_width": "no interval with a finite upper end",
    "interval_width_median": "half of the intervals or more have no finite upper end",
}
"""When a measure has no value, in words for the report."""


def evaluate_risk(
    label: Vector,
    probability: Vector,
    patient_id: Vector,
    resampling: Resampling,
    *,
    week: Vector | None = None,
    capacity_per_week: int | None = None,
    thresholds: Sequence[float] = (),
) -> dict[str, Metric]:
    """How good predicted risks are: `sample_risk`, each measure with its interval over resampled patients.

    A measure that does not exist is None, with the reason.
    """
    return sample_risk(
        label,
        probability,
        patient_id,
        resampling,
        week=week,
        capacity_per_week=capacity_per_week,
        thresholds=thresholds,
    ).metrics()


def sample_risk(
    label: Vector,
    probability: Vector,
    patient_id: Vector,
    resampling: Resampling,
    *,
    week: Vector | None = None,
    capacity_per_week: int | None = None,
    thresholds: Sequence[float] = (),
) -> Sampled:
    """The measures of predicted risks in every resample.

    Always: auroc, auprc, prevalence, brier, scaled_brier, calibration_in_the_large, calibration_slope, ici,
    observed_expected_ratio. With `capacity_per_week` and every row's `week` (any key of it): sensitivity, ppv
    and alerts per week `_at_capacity`. With `thresholds`: sensitivity, ppv, alert_share and net_benefit
    `_at_<threshold>`, and net_benefit_of_all for flagging everyone (no one is 0).

    Every measure, slope and ICI included, has all replicates: a resample's logistic fits start from the fit
    to all rows and need two or three Newton steps.

    Raises ValueError with counts if values are missing, labels not 0 or 1, or probabilities not in 0 to 1.
    """
    outcome, predicted = labels(label), probabilities(probability)
    n = same_length(label=outcome, probability=predicted)
    patients = Patients.of(patient_id, n)
    parts = [
        ranking_measures(outcome, predicted, patients),
        calibration_measures(outcome, predicted, patients),
    ]
    if (week is None) != (capacity_per_week is None):
        raise ValueError("week, capacity_per_week: give both or neither.")
    if capacity_per_week is not None:
        parts.append(capacity_measures(outcome, predicted, week, capacity_per_week, patients))
    undefined = dict(UNDEFINED)
    if thresholds:
        cuts = check_thresholds(thresholds)
        parts += [
            threshold_measures(outcome, predicted, cuts, patients),
            net_benefit_measures(outcome, predicted, cuts, patients),
        ]
        undefined |= {f"ppv_at_{cut:g}": "nobody reaches the threshold" for cut in cuts}
        undefined |= {f"sensitivity_at_{cut:g}": "needs rows with the outcome" for cut in cuts}
    return sample(together(parts), patients.count, resampling, undefined=undefined)


def sample_score(label: Vector, score: Vector, patient_id: Vector, resampling: Resampling) -> Sampled:
    """auroc, auprc and prevalence of a score, which need not be a probability, in every resample."""
    outcome, values = labels(label), numbers(score, "score")
    n = same_length(label=outcome, score=values)
    patients = Patients.of(patient_id, n)
    measure = ranking_measures(outcome, values, patients)
    return sample(measure, patients.count, resampling, undefined=UNDEFINED)


def evaluate_amount(
    actual: Vector,
    expected: Vector,
    low: Vector | None,
    high: Vector | None,
    patient_id: Vector,
    resampling: Resampling,
    *,
    crps: Vector | None = None,
) -> dict[str, Metric]:
    """How good expected amounts are: `sample_amount`, each measure with its interval over resampled patients.

    A measure that does not exist is None, with the reason.
    """
    return sample_amount(actual, expected, low, high, patient_id, resampling, crps=crps).metrics()


def sample_amount(
    actual: Vector,
    expected: Vector,
    low: Vector | None,
    high: Vector | None,
    patient_id: Vector,
    resampling: Resampling,
    *,
    crps: Vector | None = None,
) -> Sampled:
    """The measures of expected amounts in every resample.

    mae, mdae, wape, r2, d2, bias (predicted ÷ actual), interval_coverage, interval_width (mean, of intervals
    with a finite upper end), interval_width_median, interval_open_share. `low` and `high` may be None for a
    prediction without interval; an infinite `high` is an interval without upper bound. With `crps`, the score
    of every row's predicted distribution (`evaluation.distribution`): its mean, crps.

    Raises ValueError with counts if values are missing or ends are crossed.
    """
    paid, awaited = numbers(actual, "actual"), numbers(expected, "expected")
    n = same_length(actual=paid, expected=awaited)
    patients = Patients.of(patient_id, n)
    parts, undefined = [error_measures(paid, awaited, patients)], UNDEFINED
    if low is None or high is None:
        parts.append(_no_interval)
        undefined = UNDEFINED | dict.fromkeys(INTERVAL_MEASURES, "no interval was given")
    else:
        lower, upper = check_interval(low, high)
        same_length(actual=paid, low=lower)
        parts.append(interval_measures(paid, lower, upper, patients))
    if crps is not None:
        scores = numbers(crps, "crps")
        same_length(actual=paid, crps=scores)
        parts.append(mean_measure("crps", scores, patients))
    return sample(together(parts), patients.count, resampling, undefined=undefined)


def _no_interval(times: Times) -> Measures:
    return {name: np.full(len(times), np.nan) for name in INTERVAL_MEASURES}


def together(parts: Sequence[Measure]) -> Measure:
    """Several measures of the same rows as one."""

    def measure(times: Times) -> Measures:
        return {name: values for part in parts for name, values in part(times).items()}

    return measure
