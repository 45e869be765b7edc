"""A baseline is measured, and the model against it, on the rows that the baseline has predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from evaluation.bootstrap import Resampling
from training.baselines import Baselines
from training.targets import TARGETS
from training.validation.results import Judged, assess

N = 200
LABEL = np.arange(N) % 2.0
ROWS = pd.DataFrame(
    {
        "patient_id": [f"P{row}" for row in range(N)],
        "prediction_time": pd.NaT,
        "label_readmission": LABEL,
    }
)


def judged(score: NDArray[np.float64]) -> Judged:
    # The model knows the outcome of the first half of the rows and is wrong on all of the second.
    value = np.where(np.arange(N) < N // 2, 0.25 + LABEL / 2, 0.75 - LABEL / 2)
    return Judged(np.arange(N), value, None, None, None, None, Baselines({"lace": score}, {}), None)


def lace(score: NDArray[np.float64]) -> dict[str, Any]:
    document = assess(ROWS, TARGETS["readmission"], judged(score), Resampling(0, 20), has_calendar=False)
    assert document["kind"] == "risk"
    # Of the pairs of an event and another, a quarter is won (both in the first half), a quarter lost (both in
    # the second), half tie (one in each): 0.25 + 0.5 * 0.5.
    assert document["metrics"]["auroc"]["value"] == pytest.approx(0.5)
    return dict(document["baselines"]["lace"])


def test_the_difference_is_that_on_the_rows_with_the_score() -> None:
    # The score says nothing and exists on the first half only, where the model is perfect: 1 - 0.5.
    found = lace(np.where(np.arange(N) < N // 2, 0.5, np.nan))
    assert (found["n"], found["share_scored"]) == (100, 0.5)
    assert (found["auroc"]["value"], found["difference"]["value"]) == (0.5, 0.5)
    assert found["difference"]["low"] == pytest.approx(0.5)


def test_a_score_on_every_row_is_compared_on_every_row() -> None:
    found = lace(np.full(N, 0.5))
    assert (found["n"], found["share_scored"], found["difference"]["value"]) == (200, 1.0, 0.0)


def test_a_score_on_too_few_rows_is_not_judged() -> None:
    found = lace(np.where(np.arange(N) < 49, 0.5, np.nan))
    assert found == {
        "missing": "rows that have it (fewer than 50 rows, or than 10 with or without the outcome)"
    }


def test_a_week_runs_from_monday_to_sunday_and_is_followed_up_in_a_tenth_of_its_admissions() -> None:
    sunday, monday = pd.Timestamp("2024-12-29 23:59"), pd.Timestamp("2024-12-30 00:00")
    dated = ROWS.assign(prediction_time=pd.to_datetime([sunday] * 100 + [monday] * 100))
    document = assess(
        dated, TARGETS["readmission"], judged(np.full(N, 0.5)), Resampling(0, 20), has_calendar=True
    )
    # 100 admissions in each of two weeks: 10 of each week, where a single week would have 20.
    assert document["capacity_per_week"] == 10
    assert document["metrics"]["alerts_per_week_at_capacity"]["value"] == 10
