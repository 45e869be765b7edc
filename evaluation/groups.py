"""The measures apart for groups of patients, with small groups withheld."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.amounts import check_interval
from evaluation.arrays import FloatArray, Vector, labels, numbers, probabilities, same_length
from evaluation.bootstrap import Metric, Resampling
from evaluation.evaluate import evaluate_amount, evaluate_risk

SMALLEST_N = 50
SMALLEST_N_EVENTS = 10
UNKNOWN = "unknown"
"""The level of rows whose group is missing."""

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


def _levels(
    group: str,
    levels: pd.Series[Any],
    outcome: FloatArray | None,
    evaluate: Callable[[Mask], dict[str, Metric]],
) -> Iterator[dict[str, Any]]:
    names = levels.astype("object").where(levels.notna(), UNKNOWN).astype(str).to_numpy()
    masks = {level: np.asarray(names == level) for level in sorted(set(names))}
    reasons = {
        level: too_small(int(rows.sum()), None if outcome is None else outcome[rows])
        for level, rows in masks.items()
    }
    must_round = any(reasons.values())
    for level, rows in masks.items():
        entry: dict[str, Any] = {"group": group, "level": level, "suppressed": reasons[level] is not None}
        if reasons[level] is not None:
            yield entry | {"reason": reasons[level]}
            continue
        n_step, event_step = (SMALLEST_N, SMALLEST_N_EVENTS) if must_round else (1, 1)
        entry["n"] = int(rows.sum()) // n_step * n_step
        if outcome is not None:
            entry["n_events"] = int(outcome[rows].sum()) // event_step * event_step
        metrics = evaluate(rows)
        if must_round:
            entry["counts_rounded"] = True
            metrics = {name: _rounded(metric) for name, metric in metrics.items()}
        yield entry | {"metrics": metrics}


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
