"""Rows of a time when the model was already acted upon.

Who is followed up because a model called the risk high may not come back, and the model then looks wrong
for having been right. From the day on which it is acted upon, its rows are *exposed*: they are measured
apart, and reported so. Source: Lenert, Matheny, Walsh: Prognostic models will be victims of their own
success, unless… J Am Med Inform Assoc 2019;26:1645–1650.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import Metric, Resampling
from evaluation.evaluate import evaluate_amount, evaluate_risk
from evaluation.groups import too_small
from training.registry import Change
from training.results import Judged
from training.split import Rows
from training.targets import Target


def acted_on_since(history: Sequence[Change], time_zone: str) -> dt.date | None:
    """The day of a model's first promotion in the hospital's own time zone; None if there was none.

    A retirement ends nothing here: what staff have learned from a model outlasts it.
    """
    promoted = next((change for change in history if change.action == "promote"), None)
    if promoted is None:
        return None
    return dt.datetime.fromisoformat(promoted.changed_at).astimezone(ZoneInfo(time_zone)).date()


def is_exposed(prediction_time: pd.Series, acted_on_from: dt.date) -> NDArray[np.bool_]:
    """Which rows were predicted on that day or later; a row without a time is not."""
    times = pd.to_datetime(prediction_time)
    return np.asarray((times >= pd.Timestamp(acted_on_from)).to_numpy(dtype=bool))


def exposure(
    frame: pd.DataFrame,
    target: Target,
    judged: Judged,
    learned: Rows,
    acted_on_from: dt.date | None,
    resampling: Resampling,
) -> dict[str, Any]:
    """The judged rows before and from that day on, measured apart.

    `learned` are the rows of training and calibration. Keys of the result's `exposed`: `from`, `n` judged
    rows that are exposed, `n_learned` rows learned from that are, `metrics` and `metrics_unexposed`, of too
    few rows `{"missing": reason}`. Empty where the model was never acted upon, or no row is exposed.
    """
    if acted_on_from is None:
        return {}
    exposed = is_exposed(frame["prediction_time"], acted_on_from)
    of_judged = exposed[judged.rows]
    n_learned = int(exposed[learned].sum())
    if not of_judged.any() and not n_learned:
        return {}
    return {
        "exposed": {
            "from": acted_on_from.isoformat(),
            "n": int(of_judged.sum()),
            "n_learned": n_learned,
            "metrics": _measured(frame, target, judged, of_judged, resampling),
            "metrics_unexposed": _measured(frame, target, judged, ~of_judged, resampling),
        }
    }


def _measured(
    frame: pd.DataFrame,
    target: Target,
    judged: Judged,
    chosen: NDArray[np.bool_],
    resampling: Resampling,
) -> dict[str, Metric] | dict[str, str]:
    rows = frame.iloc[judged.rows[chosen]]
    label, patients = target.labels(rows), rows["patient_id"]
    reason = too_small(len(rows), label if target.kind == "risk" else None)
    if reason:
        return {"missing": reason}
    if target.kind == "risk":
        return evaluate_risk(label, judged.value[chosen], patients, resampling)
    low = None if judged.low is None else judged.low[chosen]
    high = None if judged.high is None else judged.high[chosen]
    return evaluate_amount(label, judged.value[chosen], low, high, patients, resampling)
