"""Whether a model's contributions explain its output to the last bit that matters, and how fast they come."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from models.model import Model
from training.split import Rows

CHECKED_ROWS = 1_000
TIMED_ROWS = 200
TIMINGS = 3


def check_explanation(model: Model, frame: pd.DataFrame, judged: Rows) -> dict[str, Any]:
    """Explain judged rows, evenly spread, and compare the sums with the raw output.

    Keys: `n` rows, `largest_gap` between base value plus contributions and the raw output (on the model's own
    scale), `rows_per_second` of prediction with contributions. The speed is the best of three, in processor
    time of one thread: other work on the machine hardly shows in it.
    """
    columns = frame[[spec.name for spec in model.artefact.features]]
    rows = columns.iloc[_spread(judged, CHECKED_ROWS)]
    predicted = model.predict(rows, threads=1)
    assert predicted.contributions is not None
    gaps = np.abs(predicted.base_value + predicted.contributions.sum(axis=1) - predicted.raw_output)
    timed = rows.iloc[:TIMED_ROWS]
    return {
        "n": len(rows),
        "largest_gap": float(gaps.max()),
        "rows_per_second": len(timed) / min(_seconds(model, timed) for _ in range(TIMINGS)),
    }


def _spread(rows: Rows, n: int) -> Rows:
    return rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(np.intp)]


def _seconds(model: Model, rows: pd.DataFrame) -> float:
    start = time.thread_time()
    model.predict(rows, threads=1)
    return time.thread_time() - start
