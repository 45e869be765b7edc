"""Rolling origins: again and again, learn from what was before a day and judge what came next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from training.split import Rows, Split, midnights, split_at
from training.targets import Target

FIRST_SHARE = 0.4
"""Of the rows in order of time, as many come before the first origin."""


def rolling_splits(
    frame: pd.DataFrame, target: Target, rows: Rows, *, n_origins: int, calibration_share: float
) -> Iterator[Split]:
    """Yield a split at each of `n_origins` midnights, the earliest first: one block of time after the other
    is the test.

    `rows` are positions of labelled rows with a prediction time; all but the first 40 % of them fall into
    blocks of about the same size. What comes before a block is learned from, its latest `calibration_share`
    is for calibration (0: none), and rows leave as `split_at` tells. Blocks without a day of their own are
    left out. Raises TrainingError if prediction times are missing.
    """
    is_usable = np.zeros(len(frame), dtype=bool)
    is_usable[rows] = True
    times = pd.to_datetime(frame["prediction_time"])
    shares = np.linspace(FIRST_SHARE, 1, n_origins, endpoint=False)
    starts = sorted(set(midnights(frame, target, is_usable, shares.tolist())))
    for start, end in zip(starts, [*starts[1:], pd.Timestamp.max], strict=True):
        is_before = is_usable & (times < start).to_numpy()
        if not is_before.any():
            continue
        calibration_from = start
        if calibration_share:
            [calibration_from] = midnights(frame, target, is_before, [1 - calibration_share])
        yield split_at(frame, target, is_usable & (times < end).to_numpy(), calibration_from, start)
