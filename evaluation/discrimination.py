"""How well a score tells apart who has the outcome: AUROC, average precision, what an alert rule finds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.arrays import (
    FloatArray,
    Measure,
    Measures,
    Vector,
    labels,
    numbers,
    one_resample,
    ratio,
    same_length,
)
from evaluation.patients import Index, Patients, Times, crossings


def ranking_measures(label: FloatArray, score: FloatArray, patients: Patients | None = None) -> Measure:
    """AUROC, average precision and prevalence as a measure of weights."""
    whose = patients or Patients.one_per_row(len(label))
    order = np.argsort(-score, kind="stable")
    is_event = label[order] > 0
    n_events_before = np.append(0, np.cumsum(is_event))
    # Thresholds cut between runs of equal scores; only runs that hold an event add to either area.
    ends = _run_ends(score[order])
    starts = np.append(0, ends[:-1])
    has_event = n_events_before[ends] > n_events_before[starts]
    start, end = starts[has_event], ends[has_event]
    event_start, event_end = n_events_before[start], n_events_before[end]
    running, running_events = whose.running(order), whose.running(order[is_event])

    def measure(times: Times) -> Measures:
        everyone, events = running(times), running_events(times)
        n, n_events = _last(everyone), _last(events)
        n_others = n - n_events
        flagged, found = everyone.take(end, axis=1), events.take(event_end, axis=1)
        others_above = everyone.take(start, axis=1) - events.take(event_start, axis=1)
        newly_found = found - events.take(event_start, axis=1)
        # Twice the others that a run outranks: all that it leaves behind, and half of its own.
        outranked = 2 * n_others[:, np.newaxis] - others_above - (flagged - found)
        area = np.vecdot(newly_found.astype(np.float64), outranked.astype(np.float64)) / 2
        precision = np.nan_to_num(ratio(found, flagged))
        return {
            "auroc": ratio(area, n_events * n_others),
            "auprc": ratio(np.vecdot(newly_found.astype(np.float64), precision), n_events),
            "prevalence": ratio(n_events, n),
        }

    return measure


def _run_ends(ranked: Times) -> Index:
    """How many rows there are up to the end of each run of equal values."""
    return np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1


def _last(running: Times) -> FloatArray:
    result: FloatArray = running[:, -1].astype(np.float64)
    return result


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
    same_length(label=outcome, score=values)
    order = np.argsort(-values, kind="stable")
    ends = _run_ends(values[order])
    events = np.cumsum(outcome[order])[ends - 1]
    others = ends - events
    return pd.DataFrame(
        {
            "false_positive_share": np.append(0.0, ratio(others, others[-1:])),
            "sensitivity": np.append(0.0, ratio(events, events[-1:])),
        }
    )


def threshold_measures(
    label: FloatArray,
    probability: FloatArray,
    thresholds: tuple[float, ...],
    patients: Patients | None = None,
) -> Measure:
    """What flagging every row at or above each threshold finds.

    Names end in `_at_<threshold>`: `sensitivity` (flagged share of the events), `ppv` (event share of the
    flagged; NaN if nobody is flagged) and `alert_share` (flagged share of all rows).
    """
    whose = patients or Patients.one_per_row(len(label))
    columns = {"n": np.ones(len(label)), "events": label}
    for threshold in thresholds:
        is_flagged = (probability >= threshold).astype(np.float64)
        columns |= {f"alerts_{threshold:g}": is_flagged, f"found_{threshold:g}": is_flagged * label}
    totals = whose.totals(columns)

    def measure(times: Times) -> Measures:
        total = totals(times)
        result: Measures = {}
        for name in (f"{threshold:g}" for threshold in thresholds):
            alerts, found = total[f"alerts_{name}"], total[f"found_{name}"]
            result[f"sensitivity_at_{name}"] = ratio(found, total["events"])
            result[f"ppv_at_{name}"] = ratio(found, alerts)
            result[f"alert_share_at_{name}"] = ratio(alerts, total["n"])
        return result

    return measure


def capacity_measures(
    label: FloatArray,
    score: FloatArray,
    week: Vector,
    capacity_per_week: int,
    patients: Patients | None = None,
) -> Measure:
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
    whose = patients or Patients.one_per_row(len(label))
    codes = pd.factorize(weeks, sort=True)[0]
    order = np.lexsort((-score, codes))
    is_event = label[order] > 0
    n_events_before = np.append(0, np.cumsum(is_event))
    week_end = _run_ends(codes[order])
    week_start = np.append(0, week_end[:-1])
    # A run ends where the score or the week does.
    run_end = np.union1d(_run_ends(score[order]), week_end)
    run_start = np.append(0, run_end[:-1])
    run_of_row = np.repeat(np.arange(len(run_end)), run_end - run_start)
    running, running_events = whose.running(order), whose.running(order[is_event])

    def measure(times: Times) -> Measures:
        everyone, events = running(times), running_events(times)
        before = everyone.take(week_start, axis=1)
        # The week is full with this row, or with its last row if there are fewer than places.
        last = np.minimum(crossings(everyone, before + capacity_per_week), week_end) - 1
        start, end = run_start[run_of_row[last]], run_end[run_of_row[last]]
        above, size = _between(everyone, week_start, start), _between(everyone, start, end)
        cut = n_events_before[start]
        events_above = _between(events, n_events_before[week_start], cut)
        events_in_run = _between(events, cut, n_events_before[end])
        taken = np.minimum(capacity_per_week - above, size)
        found = (events_above + np.nan_to_num(ratio(taken, size)) * events_in_run).sum(axis=1)
        alerts = (above + taken).sum(axis=1)
        n_weeks = (everyone.take(week_end, axis=1) > before).sum(axis=1)
        return {
            "sensitivity_at_capacity": ratio(found, _last(events)),
            "ppv_at_capacity": ratio(found, alerts),
            "alerts_per_week_at_capacity": ratio(alerts, n_weeks),
        }

    return measure


def _between(running: Times, start: Index, end: Index) -> FloatArray:
    """The weight from each start to its end; places are shared by all resamples or given for each."""
    start, end = (np.broadcast_to(place, (len(running), place.shape[-1])) for place in (start, end))
    weight = np.take_along_axis(running, end, axis=1) - np.take_along_axis(running, start, axis=1)
    result: FloatArray = weight.astype(np.float64)
    return result
