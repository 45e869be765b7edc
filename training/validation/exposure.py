"""Rows of a time when models were already acted upon.

Who is followed up because a model called the risk high may not come back, and the model then looks wrong
for having been right. From the day on which models are in service, rows are *exposed*: they are measured
apart, and reported so. Whose prediction was acted on is not known, only since when.
Source: Lenert, Matheny, Walsh: Prognostic models will be victims of their own success, unless… J Am Med
Inform Assoc 2019;26:1645–1650.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import Metric, Resampling
from evaluation.evaluate import evaluate_amount, evaluate_risk
from evaluation.groups import too_small
from training.counts import is_few
from training.split import Rows
from training.targets import Target
from training.validation.results import Judged


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
    rows that are exposed, `n_learned` rows learned from that are (None where these or the others are 1 to 9),
    `metrics` and `metrics_unexposed`: both `{"missing": reason}` where either has too few rows, which all
    rows minus the others would else disclose. Empty where no model was ever acted upon, or no row is exposed.
    """
    if acted_on_from is None:
        return {}
    exposed = is_exposed(frame["prediction_time"], acted_on_from)
    of_judged = exposed[judged.rows]
    of_learned = exposed[learned]
    if not of_judged.any() and not of_learned.any():
        return {}
    parts = of_judged, ~of_judged
    reason = next(filter(None, (_too_few(frame, target, judged, part) for part in parts)), None)
    since, before = (
        {"missing": reason} if reason else _measured(frame, target, judged, part, resampling)
        for part in parts
    )
    return {
        "exposed": {
            "from": acted_on_from.isoformat(),
            "n": _told(of_judged),
            "n_learned": _told(of_learned),
            "metrics": since,
            "metrics_unexposed": before,
        }
    }


def _told(is_exposed: NDArray[np.bool_]) -> int | None:
    """How many are; None where it or the rest is 1 to 9, since their sum is known."""
    exposed, rest = (int(part.sum()) for part in (is_exposed, ~is_exposed))
    return None if is_few(exposed) or is_few(rest) else exposed


def _too_few(frame: pd.DataFrame, target: Target, judged: Judged, chosen: NDArray[np.bool_]) -> str | None:
    rows = frame.iloc[judged.rows[chosen]]
    return too_small(len(rows), target.labels(rows) if target.kind == "risk" else None)


def _measured(
    frame: pd.DataFrame,
    target: Target,
    judged: Judged,
    chosen: NDArray[np.bool_],
    resampling: Resampling,
) -> dict[str, Metric]:
    rows = frame.iloc[judged.rows[chosen]]
    label, patients = target.labels(rows), rows["patient_id"]
    if target.kind == "risk":
        return evaluate_risk(label, judged.value[chosen], patients, resampling)
    low = None if judged.low is None else judged.low[chosen]
    high = None if judged.high is None else judged.high[chosen]
    return evaluate_amount(label, judged.value[chosen], low, high, patients, resampling)
