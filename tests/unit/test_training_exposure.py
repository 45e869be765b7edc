"""Rows of a time when a model was already acted upon are measured apart."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.bootstrap import Resampling
from evaluation.evaluate import evaluate_amount, evaluate_risk
from training.baselines import Baselines
from training.exposure import acted_on_since, exposure, is_exposed
from training.registry import Change
from training.results import Judged
from training.targets import TARGETS

RESAMPLING = Resampling(0, 20)
READMISSION, COST = TARGETS["readmission"], TARGETS["cost"]


def change(action: Any, changed_at: str) -> Change:
    return Change(action, 1, None, "d", changed_at, "tester", ())


def test_a_model_is_acted_upon_from_the_day_of_its_first_promotion_where_the_hospital_is():
    history = [
        change("promote", "2025-03-31T20:00:00.000000Z"),
        change("retire", "2025-05-01T00:00:00.000000Z"),
        change("promote", "2025-06-01T00:00:00.000000Z"),
    ]
    # 20:00 UTC on 31 March is 04:00 on 1 April in Shanghai.
    assert acted_on_since(history, "Asia/Shanghai") == dt.date(2025, 4, 1)
    assert acted_on_since(history, "Europe/Berlin") == dt.date(2025, 3, 31)
    assert acted_on_since([], "Asia/Shanghai") is None


def test_the_day_itself_is_exposed_from_its_midnight_and_an_unknown_time_is_not():
    times = pd.Series(pd.to_datetime(["2025-03-31 23:59", "2025-04-01 00:00", None]))
    assert is_exposed(times, dt.date(2025, 4, 1)).tolist() == [False, True, False]


def rows() -> pd.DataFrame:
    """400 admissions on 400 days from 2025-01-01, one a patient; from 2025-07-20 on, 200 of them."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "patient_id": [f"P{row}" for row in range(400)],
            "prediction_time": pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(400), unit="D"),
            "label_readmission": random.integers(0, 2, 400).astype(float),
            "label_episode_cost": random.gamma(2.0, 500.0, 400),
        }
    )


def judged(places: np.ndarray, *, is_cost: bool = False) -> Judged:
    value = np.random.default_rng(1).uniform(0.1, 0.9, len(places))
    low, high = (value * 100, value * 3000) if is_cost else (None, None)
    return Judged(places, value * 1000 if is_cost else value, low, high, None, None, Baselines({}, {}), None)


def test_exposed_and_unexposed_rows_have_metrics_of_their_own():
    frame, places = rows(), np.arange(100, 400)
    predicted = judged(places)
    found = exposure(frame, READMISSION, predicted, np.arange(100), dt.date(2025, 7, 20), RESAMPLING)[
        "exposed"
    ]
    # Day 200 after 1 January is 20 July: rows 200 to 399 are exposed, 100 to 199 of the judged are not.
    assert (found["from"], found["n"], found["n_learned"]) == ("2025-07-20", 200, 0)
    for key, part in (("metrics", slice(100, 300)), ("metrics_unexposed", slice(0, 100))):
        own = frame.iloc[places[part]]
        expected = evaluate_risk(
            own["label_readmission"], predicted.value[part], own["patient_id"], RESAMPLING
        )
        assert found[key] == expected


def test_costs_are_told_apart_with_their_intervals():
    frame, places = rows(), np.arange(100, 400)
    predicted = judged(places, is_cost=True)
    found = exposure(frame, COST, predicted, np.arange(100), dt.date(2025, 7, 20), RESAMPLING)["exposed"]
    own, part = frame.iloc[200:], slice(100, 300)
    assert predicted.low is not None
    assert predicted.high is not None
    expected = evaluate_amount(
        own["label_episode_cost"],
        predicted.value[part],
        predicted.low[part],
        predicted.high[part],
        own["patient_id"],
        RESAMPLING,
    )
    assert found["metrics"] == expected


def test_too_few_exposed_rows_are_withheld_and_those_learned_from_are_counted():
    # Day 370 is 2026-01-06: 30 judged rows. Of rows 350 to 399 that were learned from, 30 are exposed.
    day = dt.date(2026, 1, 6)
    found = exposure(rows(), READMISSION, judged(np.arange(400)), np.arange(350, 400), day, RESAMPLING)
    assert (found["exposed"]["n"], found["exposed"]["n_learned"]) == (30, 30)
    assert found["exposed"]["metrics"] == {
        "missing": "fewer than 50 rows, or than 10 with or without the outcome"
    }
    assert found["exposed"]["metrics_unexposed"]["auroc"]["value"] is not None


@pytest.mark.parametrize("day", [None, dt.date(2030, 1, 1)])
def test_where_nothing_is_exposed_nothing_is_said(day: dt.date | None):
    assert exposure(rows(), READMISSION, judged(np.arange(400)), np.arange(10), day, RESAMPLING) == {}
