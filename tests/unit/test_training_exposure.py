"""Rows of a time when a model was already acted upon are measured apart."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.bootstrap import Resampling
from evaluation.evaluate import evaluate_amount, evaluate_risk
from features.dataset import CodeSystems, Declaration
from tests.admission_rows import Timeline
from training.baselines import Baselines
from training.registry.changes import Change, acted_on_since
from training.targets import TARGETS
from training.validation.exposure import exposure, is_exposed
from training.validation.results import Judged

RESAMPLING = Resampling(0, 20)
READMISSION, COST = TARGETS["readmission"], TARGETS["cost"]


def change(action: Any, changed_at: str) -> Change:
    return Change(action, 1, None, "d", changed_at, "tester", ())


def declared(time_zone: str = "Asia/Shanghai", timeline: Timeline = "real") -> Declaration:
    return Declaration(
        name="made-up",
        source="test",
        currency="CNY",
        cost_basis="billed",
        time_zone=time_zone,
        timeline=timeline,
        observed_from=dt.date(2025, 1, 1),
        observed_until=dt.date(2025, 12, 31),
        complete_by="admission",
        deaths="registry",
        code_systems=CodeSystems(diagnosis="icd10"),
    )


def test_models_are_acted_upon_from_the_day_of_the_first_promotion_of_any_where_the_hospital_is():
    history = [
        change("promote", "2025-03-31T20:00:00.000000Z"),
        change("retire", "2025-05-01T00:00:00.000000Z"),
        change("promote", "2025-06-01T00:00:00.000000Z"),
    ]
    # 20:00 UTC on 31 March is 04:00 on 1 April in Shanghai.
    assert acted_on_since(None, history, declared()) == dt.date(2025, 4, 1)
    assert acted_on_since(None, history, declared("Europe/Berlin")) == dt.date(2025, 3, 31)
    assert acted_on_since(None, [], declared()) is None
    # Another model of the hospital came earlier, though its changes stand later in the list; a way back is
    # no beginning.
    others = [change("promote", "2025-02-10T00:00:00.000000Z"), change("rollback", "2025-01-01T00:00:00Z")]
    assert acted_on_since(None, [*history, *others], declared()) == dt.date(2025, 2, 10)


def test_a_chosen_day_comes_first_and_without_a_calendar_no_day_says_anything():
    history = [change("promote", "2025-03-31T20:00:00.000000Z")]
    day = dt.date(2025, 6, 1)
    assert acted_on_since(day, history, declared()) == day
    assert acted_on_since(day, [], declared()) == day
    # Shifted dates may lie a century ahead: every row would count as exposed.
    assert acted_on_since(None, history, declared(timeline="shifted")) is None
    assert acted_on_since(day, history, declared(timeline="shifted")) is None


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


def test_too_few_exposed_rows_withhold_both_parts_and_those_learned_from_are_counted():
    # Day 370 is 2026-01-06: 30 judged rows. Of rows 350 to 399 that were learned from, 30 are exposed.
    day = dt.date(2026, 1, 6)
    found = exposure(rows(), READMISSION, judged(np.arange(400)), np.arange(350, 400), day, RESAMPLING)
    assert (found["exposed"]["n"], found["exposed"]["n_learned"]) == (30, 30)
    # The 370 others are enough, but all 400 minus these would tell the measures of the 30.
    few = {"missing": "fewer than 50 rows, or than 10 with or without the outcome"}
    assert (found["exposed"]["metrics"], found["exposed"]["metrics_unexposed"]) == (few, few)


def test_too_few_rows_before_withhold_those_since_too():
    # Day 30 is 31 January 2025: 30 rows lie before it, 370 since.
    costs = judged(np.arange(400), is_cost=True)
    found = exposure(rows(), COST, costs, np.arange(10), dt.date(2025, 1, 31), RESAMPLING)["exposed"]
    few = {"missing": "fewer than 50 rows"}
    assert (found["n"], found["metrics"], found["metrics_unexposed"]) == (370, few, few)


@pytest.mark.parametrize(
    # 9 judged rows lie on or after day 391, 27 January 2026, and 9 before day 9, 10 January 2025.
    ("day", "n_learned"),
    [(dt.date(2026, 1, 27), 0), (dt.date(2025, 1, 10), 100)],
)
def test_a_count_of_fewer_than_ten_and_one_that_leaves_as_few_are_withheld(day: dt.date, n_learned: int):
    found = exposure(rows(), COST, judged(np.arange(400), is_cost=True), np.arange(100, 200), day, RESAMPLING)
    assert (found["exposed"]["n"], found["exposed"]["n_learned"]) == (None, n_learned)


@pytest.mark.parametrize("day", [None, dt.date(2030, 1, 1)])
def test_where_nothing_is_exposed_nothing_is_said(day: dt.date | None):
    assert exposure(rows(), READMISSION, judged(np.arange(400)), np.arange(10), day, RESAMPLING) == {}
