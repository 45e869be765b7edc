"""Whether a model's contributions explain its output to the last bit that matters, and how fast they come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.model import Model, Prediction
from training.split import Rows

MOST_EXPLAINED_ROWS = 2000
"""Exact contributions take time: 250 to 1,700 rows a second."""
TIMED_ROWS = 200
TIMINGS = 3


@dataclass(frozen=True, eq=False)
class Explained:
    """Some rows with the columns that a model reads, and its prediction of them with contributions."""

    rows: pd.DataFrame
    predicted: Prediction

    @property
    def contributions(self) -> NDArray[np.float64]:
        """Each feature's part of the raw output [rows, features]."""
        assert self.predicted.contributions is not None, "asked for by explain"
        return self.predicted.contributions


def explain(model: Model, frame: pd.DataFrame, judged: Rows, *, seed: int, threads: int = 1) -> Explained:
    """Explain at most 2,000 of these rows, drawn by the seed."""
    chosen = judged
    if len(judged) > MOST_EXPLAINED_ROWS:
        places = np.random.default_rng(seed).choice(len(judged), MOST_EXPLAINED_ROWS, replace=False)
        chosen = judged[np.sort(places)]
    rows = frame[[spec.name for spec in model.artefact.features]].iloc[chosen]
    return Explained(rows, model.predict(rows, threads=threads))


def check_explanation(model: Model, explained: Explained) -> dict[str, Any]:
    """Compare the sums of contributions with the raw output, and time some of the rows.

    Keys: `n` rows, `largest_gap` between base value plus contributions and the raw output (on the model's own
    scale), `rows_per_second` of prediction with contributions. The speed is the best of three, in processor
    time of one thread: other work on the machine hardly shows in it.
    """
    predicted = explained.predicted
    gaps = np.abs(predicted.base_value + explained.contributions.sum(axis=1) - predicted.raw_output)
    timed = explained.rows.iloc[:TIMED_ROWS]
    return {
        "n": len(explained.rows),
        "largest_gap": float(gaps.max()),
        "rows_per_second": len(timed) / min(_seconds(model, timed) for _ in range(TIMINGS)),
    }


def _seconds(model: Model, rows: pd.DataFrame) -> float:
    start = time.thread_time()
    model.predict(rows, threads=1)
    return time.thread_time() - start
