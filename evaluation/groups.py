"""The measures apart for groups of patients, with small groups withheld."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.amounts import check_interval, error_measures
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
from evaluation.bootstrap import Metric, Resampling, sample
from evaluation.calibration import in_the_large_measure
from evaluation.discrimination import ranking_measures
from evaluation.evaluate import UNDEFINED, evaluate_amount, evaluate_risk, together
from evaluation.patients import Patients, Times
from evaluation.primary import PRIMARY, Kind

SMALLEST_N = 50
SMALLEST_N_EVENTS = 10
UNKNOWN = "unknown"
"""The level of rows whose group is missing."""

DIFFERENCE_UNDEFINED = UNDEFINED | {
    "calibration_in_the_large_distance": UNDEFINED["calibration_in_the_large"],
    "bias_distance": UNDEFINED["bias"],
}

Mask = npt.NDArray[np.bool_]


def risk_by_group(
    label: Vector,
    probability: Vector,
    patient_id: Vector,
    groups: pd.DataFrame,
    resampling: Resampling,
) -> list[dict[str, Any]]:
    """`evaluate_risk` for every level of every column of `groups` (such as sex, age_band, payer, department).

    One entry per level: group, level, suppressed, n, n_events, metrics. A level with fewer than 50 rows, 10
    events or 10 rows without event is `suppressed: true` with the reason, and nothing else. Where a column
    has such a level, the counts of its other levels are rounded down to full 50 rows and 10 events
    (`counts_rounded: true`) and their values to 4 digits: nothing small can be had by subtraction.
    """
    outcome, predicted = labels(label), probabilities(probability)
    same_length(label=outcome, probability=predicted, groups=groups)
    ids = pd.Series(patient_id).to_numpy()

    def evaluate(rows: Mask) -> dict[str, Metric]:
        return evaluate_risk(outcome[rows], predicted[rows], ids[rows], resampling)

    return [entry for name in groups for entry in _levels(str(name), groups[name], outcome, evaluate)]


def amount_by_group(
    actual: Vector,
    expected: Vector,
    low: Vector | None,
    high: Vector | None,
    patient_id: Vector,
    groups: pd.DataFrame,
    resampling: Resampling,
    *,
    crps: Vector | None = None,
) -> list[dict[str, Any]]:
    """`evaluate_amount` for every level of every column of `groups`; as `risk_by_group`, without events."""
    paid, awaited = numbers(actual, "actual"), numbers(expected, "expected")
    same_length(actual=paid, expected=awaited, groups=groups)
    ids = pd.Series(patient_id).to_numpy()
    ends = None if low is None or high is None else check_interval(low, high)
    scores = None if crps is None else numbers(crps, "crps")

    def evaluate(rows: Mask) -> dict[str, Metric]:
        lower, upper = (None, None) if ends is None else (ends[0][rows], ends[1][rows])
        score = None if scores is None else scores[rows]
        return evaluate_amount(paid[rows], awaited[rows], lower, upper, ids[rows], resampling, crps=score)

    return [entry for name in groups for entry in _levels(str(name), groups[name], None, evaluate)]


def difference_by_group(
    label: Vector,
    values_new: Vector,
    values_old: Vector,
    patient_id: Vector,
    groups: pd.DataFrame,
    resampling: Resampling,
    kind: Kind,
) -> list[dict[str, Any]]:
    """How two predictions of the same rows differ for every level of every column of `groups`.

    `kind` "risk": outcomes 0 or 1, and probabilities; "amount": actual and expected amounts. One entry per
    level, withheld and rounded as in `risk_by_group` and `amount_by_group`. Its metrics are the new
    prediction's minus the old's, with intervals of the difference itself, over the level's own resamples:
    auroc and calibration_in_the_large, or d2 and bias; and the latter's `_distance` from its ideal, 0 or 1:
    above 0, the new prediction lies further off.
    """
    outcome, check = (
        (labels(label), probabilities) if kind == "risk" else (numbers(label, "actual"), _expected)
    )
    new, old = check(values_new), check(values_old)
    same_length(label=outcome, values_new=new, values_old=old, groups=groups)
    ids = pd.Series(patient_id).to_numpy()

    def evaluate(rows: Mask) -> dict[str, Metric]:
        patients = Patients.of(ids[rows], int(rows.sum()))
        measure = _difference(kind, outcome[rows], new[rows], old[rows], patients)
        return sample(measure, patients.count, resampling, undefined=DIFFERENCE_UNDEFINED).metrics()

    events = outcome if kind == "risk" else None
    return [entry for name in groups for entry in _levels(str(name), groups[name], events, evaluate)]


def _expected(values: Vector) -> FloatArray:
    return numbers(values, "expected")


def _difference(
    kind: Kind, outcome: FloatArray, new: FloatArray, old: FloatArray, patients: Patients
) -> Measure:
    def measure_of(values: FloatArray) -> Measure:
        if kind == "amount":
            return error_measures(outcome, values, patients)
        large = in_the_large_measure(outcome, values, patients)
        return together([ranking_measures(outcome, values, patients), large])

    primary = PRIMARY[kind]
    rank, level, ideal = primary.name, primary.level, primary.level_ideal
    measure_new, measure_old = measure_of(new), measure_of(old)

    def measure(times: Times) -> Measures:
        ours, theirs = measure_new(times), measure_old(times)
        return {
            rank: ours[rank] - theirs[rank],
            level: ours[level] - theirs[level],
            f"{level}_distance": np.abs(ours[level] - ideal) - np.abs(theirs[level] - ideal),
        }

    return measure


def coverage_apart(
    entries: Sequence[Mapping[str, Any]], level: float, *, margin: float = 0.04, smallest_n: int = 1000
) -> list[dict[str, Any]]:
    """Groups whose intervals hold the actual amount more or less often than they should.

    `entries` as `amount_by_group` makes them; `level` the share that the intervals were made to hold. One
    entry for each group of at least `smallest_n` rows whose coverage lies further than `margin` from it, the
    furthest first: group, level, n, interval_coverage (value, low, high), distance (coverage − level) and
    is_sure, whether the whole 95 % interval lies beyond the margin: the others may be chance. An overall
    coverage says nothing of groups: too few in one and too many in another make up for each other.

    Raises ValueError unless `level` lies between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError("level: must lie above 0 and below 1.")
    apart = []
    for entry in entries:
        if entry["suppressed"] or entry["n"] < smallest_n:
            continue
        coverage = entry["metrics"]["interval_coverage"]
        # Coverages of counts end on the margin itself, where rounding must not decide.
        reach = margin + 1e-9
        if coverage["value"] is None or abs(coverage["value"] - level) <= reach:
            continue
        has_interval = coverage["low"] is not None
        apart.append(
            {
                "group": entry["group"],
                "level": entry["level"],
                "n": entry["n"],
                "interval_coverage": coverage,
                "distance": coverage["value"] - level,
                "is_sure": has_interval
                and (coverage["high"] < level - reach or coverage["low"] > level + reach),
            }
        )
    return sorted(apart, key=lambda found: -abs(found["distance"]))


def _levels(
    group: str,
    levels: pd.Series[Any],
    outcome: FloatArray | None,
    evaluate: Callable[[Mask], dict[str, Metric]],
) -> list[dict[str, Any]]:
    names = levels.astype("object").where(levels.notna(), UNKNOWN).astype(str).to_numpy()
    masks = {level: np.asarray(names == level) for level in sorted(set(names))}
    reasons = {
        level: too_small(int(rows.sum()), None if outcome is None else outcome[rows])
        for level, rows in masks.items()
    }
    found = []
    for level, rows in masks.items():
        entry: dict[str, Any] = {"group": group, "level": level, "suppressed": reasons[level] is not None}
        if reasons[level] is not None:
            found.append(entry | {"reason": reasons[level]})
            continue
        entry["n"] = int(rows.sum())
        if outcome is not None:
            entry["n_events"] = int(outcome[rows].sum())
        found.append(entry | {"metrics": evaluate(rows)})
    return beside_withheld(found)


def beside_withheld(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Entries that are parts of one whole, as they may be told together.

    Where one is withheld (it has a `reason`), the others' n are rounded down to full 50 rows, n_events to
    full 10 (`counts_rounded`), and their metrics to 4 digits.
    """
    if not any("reason" in entry for entry in entries):
        return [dict(entry) for entry in entries]
    return [dict(entry) if "reason" in entry else _rounded_entry(entry) for entry in entries]


def _rounded_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    steps = {"n": SMALLEST_N, "n_events": SMALLEST_N_EVENTS}
    counts = {name: entry[name] // step * step for name, step in steps.items() if name in entry}
    metrics = {name: _rounded(metric) for name, metric in entry["metrics"].items()}
    return {**entry, **counts, "counts_rounded": True, "metrics": metrics}


def too_small(n: int, outcome: FloatArray | None) -> str | None:
    """Why `n` rows with these outcomes, 0 or 1 (None: costs), are too few to be judged; None if enough."""
    if outcome is None:
        return f"fewer than {SMALLEST_N} rows" if n < SMALLEST_N else None
    n_events = int(outcome.sum())
    if n < SMALLEST_N or min(n_events, n - n_events) < SMALLEST_N_EVENTS:
        return f"fewer than {SMALLEST_N} rows, or than {SMALLEST_N_EVENTS} with or without the outcome"
    return None


def _rounded(metric: Metric) -> Metric:
    """The metric to 4 digits: an exact share of a known number would give the count away."""
    result = metric.copy()
    for end in ("value", "low", "high"):
        exact = metric[end]
        result[end] = None if exact is None else float(f"{exact:.4g}")
    return result
