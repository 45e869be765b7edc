"""How well a score tells apart who has the outcome: AUROC, average precision, what an alert rule finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.arrays import (
    FloatArray,
    IntArray,
    Measure,
    Measures,
    Vector,
    labels,
    numbers,
    one_resample,
    ratio,
    same_length,
)


@dataclass(frozen=True)
class Ranking:
    """Rows sorted once, from the highest score to the lowest: each resample then costs two running sums."""

    order: IntArray
    ends: IntArray
    """Position of the last row of each run of equal scores: the only places where a threshold can cut."""
    label: FloatArray

    @staticmethod
    def of(label: FloatArray, score: FloatArray) -> Ranking:
        """Rank rows by score."""
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        return Ranking(order.astype(np.int64), ends.astype(np.int64), label[order])

    def flagged(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weight of the events and of all rows at or above each distinct score, highest first."""
        ranked = weights[:, self.order]
        events = np.cumsum(ranked * self.label, axis=1)[:, self.ends]
        everyone = np.cumsum(ranked, axis=1)[:, self.ends]
        return events, everyone


def ranking_measures(label: FloatArray, score: FloatArray) -> Measure:
    """AUROC, average precision and prevalence as a measure of weights."""
    ranking = Ranking.of(label, score)

    def measure(weights: FloatArray) -> Measures:
        events, everyone = ranking.flagged(weights)
        n_events, n = events[:, -1], everyone[:, -1]
        # A tie counts half, which is the trapezoid below the curve's step.
        origin = np.zeros((len(weights), 1))
        area = np.trapezoid(np.hstack([origin, events]), np.hstack([origin, everyone - events]), axis=1)
        precision = np.nan_to_num(ratio(events, everyone))
        found = np.diff(events, axis=1, prepend=0.0)
        return {
            "auroc": ratio(area, n_events * (n - n_events)),
            "auprc": ratio((found * precision).sum(axis=1), n_events),
            "prevalence": ratio(n_events, n),
        }

    return measure


def auroc(label: Vector, score: Vector, weights: Vector | None = None) -> float:
    """Area under the ROC curve: how often an event scores higher than a non-event, ties counting half.

    Any score will do; only its order matters. NaN if all rows have the same outcome.

    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return _ranked("auroc", label, score, weights)


def auprc(label: Vector, score: Vector, weights: Vector | None = None) -> float:
    """Average precision, Σ (recallₖ − recallₖ₋₁) · precisionₖ over the distinct scores; NaN without events.

    A score without information reaches the prevalence, so read it beside the prevalence.
    """
    return _ranked("auprc", label, score, weights)


def _ranked(name: str, label: Vector, score: Vector, weights: Vector | None) -> float:
    outcome, values = labels(label), numbers(score, "score")
    n = same_length(label=outcome, score=values)
    return float(ranking_measures(outcome, values)(one_resample(weights, n))[name][0])


def roc_curve(label: Vector, score: Vector) -> pd.DataFrame:
    """False positive share and sensitivity at every distinct score, from nobody flagged to everybody."""
    outcome, values = labels(label), numbers(score, "score")
    n = same_length(label=outcome, score=values)
    events, everyone = (column[0] for column in Ranking.of(outcome, values).flagged(np.ones((1, n))))
    return pd.DataFrame(
        {
            "false_positive_share": np.append(0.0, ratio(everyone - events, (everyone - events)[-1:])),
            "sensitivity": np.append(0.0, ratio(events, events[-1:])),
        }
    )


def threshold_measures(label: FloatArray, probability: FloatArray, thresholds: tuple[float, ...]) -> Measure:
    """What flagging every row at or above each threshold finds.

    Names end in `_at_<threshold>`: `sensitivity` (flagged share of the events), `ppv` (event share of the
    flagged; NaN if nobody is flagged) and `alert_share` (flagged share of all rows).
    """
    chosen = {f"{t:g}": (probability >= t).astype(np.float64) for t in thresholds}

    def measure(weights: FloatArray) -> Measures:
        n, n_events = weights.sum(axis=1), weights @ label
        result: Measures = {}
        for name, is_flagged in chosen.items():
            alerts, found = weights @ is_flagged, weights @ (is_flagged * label)
            result[f"sensitivity_at_{name}"] = ratio(found, n_events)
            result[f"ppv_at_{name}"] = ratio(found, alerts)
            result[f"alert_share_at_{name}"] = ratio(alerts, n)
        return result

    return measure


def capacity_measures(label: FloatArray, score: FloatArray, week: Vector, capacity_per_week: int) -> Measure:
    """What flagging the `capacity_per_week` highest scores of every week finds.

    Names: `sensitivity_at_capacity`, `ppv_at_capacity`, `alerts_per_week_at_capacity` (below the capacity if
    some weeks have fewer rows). Where the capacity ends within equal scores, each of them counts in part: the
    expectation if the last places are drawn by lot. Every resample fills its weeks anew.

    Raises ValueError if a week is missing or the capacity is below 1.
    """
    if capacity_per_week < 1:
        raise ValueError("capacity_per_week: must be at least 1.")
    weeks = pd.Series(week)
    n_missing = int(weeks.isna().sum())
    if n_missing:
        raise ValueError(f"week: {n_missing} of {len(weeks)} values are missing. Give every row its week.")
    same_length(week=weeks, label=label)
    codes = pd.factorize(weeks, sort=True)[0]
    order = np.lexsort((-score, codes))
    sorted_codes, sorted_score, outcome = codes[order], score[order], label[order]
    is_new_week = np.append(True, sorted_codes[1:] != sorted_codes[:-1])
    starts = np.flatnonzero(is_new_week | np.append(True, sorted_score[1:] != sorted_score[:-1]))
    week_start = np.flatnonzero(is_new_week[starts])
    week_of_run = np.cumsum(is_new_week[starts]) - 1

    def measure(weights: FloatArray) -> Measures:
        ranked = weights[:, order]
        size = np.add.reduceat(ranked, starts, axis=1)
        events = np.add.reduceat(ranked * outcome, starts, axis=1)
        before = np.cumsum(size, axis=1) - size
        before -= before[:, week_start][:, week_of_run]
        flagged = np.clip(capacity_per_week - before, 0, size)
        found = (np.nan_to_num(ratio(flagged, size)) * events).sum(axis=1)
        n_weeks = (np.add.reduceat(size, week_start, axis=1) > 0).sum(axis=1).astype(np.float64)
        return {
            "sensitivity_at_capacity": ratio(found, events.sum(axis=1)),
            "ppv_at_capacity": ratio(found, flagged.sum(axis=1)),
            "alerts_per_week_at_capacity": ratio(flagged.sum(axis=1), n_weeks),
        }

    return measure
