"""How frequent the outcome is, or how large the amount, month by month."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation.groups import SMALLEST_N, too_small
from training.counts import digits
from training.split import Split, settled_rows
from training.targets import Target

PERIODS = ("training", "calibration", "test")


def base_rate(frame: pd.DataFrame, target: Target, split: Split) -> list[dict[str, Any]]:
    """Rate of the outcome, or mean amount, by month of the prediction and period of the split.

    All rows whose outcome was settled when the data end count, also those that the split took out of training
    because their patient comes again: without them the rate would seem to jump where the test begins. A
    month of fewer than 50 rows, or 10 with or without the outcome, is `{"month", "slice", "reason"}`; where
    there is one, the others' `n` are rounded down to full 50 rows. Empty without a calendar.
    """
    if "test_from" not in split.facts:
        return []
    label, times = target.labels(frame), pd.to_datetime(frame["prediction_time"])
    has, _ = settled_rows(frame, target)
    label, times = label[has], times[has]
    begins = pd.to_datetime([split.facts["calibration_from"], split.facts["test_from"]])
    period = np.array(PERIODS)[np.searchsorted(begins, times, side="right")]
    months = times.dt.strftime("%Y-%m").to_numpy()
    found: list[dict[str, Any]] = []
    for (month, name), rows in pd.Series(range(len(label))).groupby([months, period]):
        values = label[rows.to_numpy()]
        reason = too_small(len(values), values if target.kind == "risk" else None)
        told: dict[str, Any] = {"n": len(values), "value": digits(values.mean())}
        if reason:
            told = {"reason": reason}
        found.append({"month": str(month), "slice": str(name), **told})
    found.sort(key=lambda entry: (entry["month"], PERIODS.index(entry["slice"])))
    if any("reason" in entry for entry in found):
        found = [
            entry | {"n": entry["n"] // SMALLEST_N * SMALLEST_N} if "n" in entry else entry for entry in found
        ]
    return found
