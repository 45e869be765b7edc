"""What the rows of a model are like is told by group, and never of fewer than ten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.flow import FlowStep
from models.encoding import FeatureSpec
from training.description import describe, flow, importance
from training.description.base_rate import base_rate
from training.description.missingness import missingness
from training.description.table_one import table_one
from training.split import Split
from training.targets import TARGETS

READMISSION, COST = TARGETS["readmission"], TARGETS["cost"]
N = 400
# 200 rows of training, 100 of calibration, 100 of test; every fourth row has the outcome.
SPLIT = Split(
    np.arange(N),
    np.arange(200),
    np.arange(200, 300),
    np.arange(300, 400),
    None,
    {"calibration_from": "2024-03-01", "test_from": "2024-04-01"},
)


def spec(name: str, kind: str = "number", levels: tuple[str, ...] = ()) -> FeatureSpec:
    return FeatureSpec(name, name.title(), kind, "", "admission", False, levels)


def frame(prediction_time: Any = "2024-01-01", **columns: Any) -> pd.DataFrame:
    times = pd.to_datetime(pd.Series(prediction_time, index=range(N)))
    return pd.DataFrame(
        {
            "prediction_time": times,
            "row_label_end_on_readmission": times + pd.Timedelta(days=30),
            "label_readmission": np.arange(N) % 4 == 0,
            "label_episode_cost": np.arange(N, dtype=float),
            **columns,
        }
    )


def rows_of(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [row for row in found["rows"] if row["feature"] == name]


def test_the_columns_are_the_slices_and_the_outcomes() -> None:
    found = table_one(frame(), READMISSION, SPLIT, [])
    assert [(column["name"], column["n"], column.get("n_events")) for column in found["columns"]] == [
        ("training", 200, 50),
        ("calibration", 100, 25),
        ("test", 100, 25),
        ("with", 100, None),
        ("without", 300, None),
    ]
    # Amounts 0 to 399: the median is 199.5, with 200 rows on each side.
    halves = table_one(frame(), COST, SPLIT, [])["columns"][-2:]
    assert [(column["label"], column["n"]) for column in halves] == [
        ("Above the median amount", 200),
        ("Up to the median", 200),
    ]


def test_a_number_has_mean_and_standard_deviation_and_its_difference() -> None:
    # 10 and 14 in turn until the test, then 16 and 20: means 12 and 18.
    values = np.where(np.arange(N) < 300, 10.0, 16.0) + 4.0 * (np.arange(N) % 2)
    (row,) = rows_of(table_one(frame(age=values), READMISSION, SPLIT, [spec("age")]), "age")
    assert row["statistic"] == "mean (sd)"
    # The variance of 100 values, half of them 2 above and half 2 below the mean: 400 ÷ 99.
    assert row["cells"][2] == {"mean": 18.0, "sd": pytest.approx(np.sqrt(400 / 99), abs=5e-4)}
    # Both sides vary by 4 (population variance): (18 − 12) ÷ 2.
    assert row["difference"] == 3.0
    assert row["missing"] == [0.0] * 5


def test_a_skewed_number_has_median_and_quartiles() -> None:
    values = np.tile([1.0, 2.0, 3.0, 100.0], N // 4)
    (row,) = rows_of(table_one(frame(stays=values), COST, SPLIT, [spec("stays")]), "stays")
    assert row["statistic"] == "median (quartiles)"
    # Of 50 each of 1, 2, 3 and 100, interpolated: place 49.75 lies between 1 and 2, 99.5 between 2 and
    # 3, 149.25 between 3 and 100.
    assert row["cells"][0] == {"median": 2.5, "q1": 1.75, "q3": pytest.approx(3 + 0.25 * 97)}


def test_a_rare_count_whose_quartiles_say_nothing_has_its_mean() -> None:
    values = np.where(np.arange(N) % 10 == 0, 4.0, 0.0)
    (row,) = rows_of(table_one(frame(stays=values), COST, SPLIT, [spec("stays")]), "stays")
    assert row["statistic"] == "mean (sd)"
    assert row["cells"][0]["mean"] == 0.4


@pytest.mark.parametrize(("n_rare", "is_withheld"), [(9, True), (10, False)])
def test_a_flag_of_fewer_than_ten_rows_is_withheld_in_every_column(n_rare: int, is_withheld: bool) -> None:
    flag = np.zeros(N)
    flag[:40] = 1
    flag[200:240] = 1
    # The test has only these; of all, every fourth has the outcome.
    flag[300 : 300 + n_rare] = 1
    # Who has the outcome: rows 0, 4, …: 10 + 10 + 3 of them.
    (row,) = rows_of(table_one(frame(flag=flag), READMISSION, SPLIT, [spec("flag", "flag")]), "flag")
    assert ("withheld" in row) is is_withheld
    if is_withheld:
        assert row["cells"] == [None] * 5
        assert "difference" not in row
    else:
        assert row["cells"][2] == {"n": 10, "share": 0.1}
        # Shares 80 of 300 and 10 of 100: variances 0.19556 and 0.09, mean 0.14278.
        assert row["difference"] == pytest.approx((0.1 - 80 / 300) / np.sqrt(0.142778), abs=1e-4)


def test_all_but_fewer_than_ten_is_withheld_too() -> None:
    flag = np.ones(N)
    flag[:3] = 0
    (row,) = rows_of(table_one(frame(flag=flag), READMISSION, SPLIT, [spec("flag", "flag")]), "flag")
    assert "withheld" in row


def test_rare_levels_stand_together_so_that_no_subtraction_finds_them() -> None:
    # In every hundred rows 50 A, 30 B, 16 C and 4 D: D has 4 rows in the test, so that D joins the next one.
    ward = np.tile(["A"] * 50 + ["B"] * 30 + ["C"] * 16 + ["D"] * 4, 4)
    found = table_one(frame(ward=ward), COST, SPLIT, [spec("ward", "category")])
    head, *levels = rows_of(found, "ward")
    assert head["cells"] == [None] * 5
    assert head["difference"] == 0.0
    assert [row["level"] for row in levels] == ["A", "B", "other levels"]
    assert [cell["n"] for cell in levels[-1]["cells"]] == [40, 20, 20, 40, 40]
    assert levels[0]["cells"][0] == {"n": 100, "share": 0.5}


def test_a_level_that_no_row_of_the_slices_has_is_not_named() -> None:
    # The data set has it, in a row that is in no slice: as a category of the column it has 0 rows here.
    ward = pd.Categorical(["A", "B"] * (N // 2), categories=["SECRET", "A", "B"])
    found = table_one(frame(ward=ward), COST, SPLIT, [spec("ward", "category")])
    assert [row["level"] for row in rows_of(found, "ward")] == [None, "A", "B"]


def test_the_difference_of_a_category_is_that_of_its_shares() -> None:
    # Two levels are a flag: the distance of shares 0.5 and 0.8 by the mean variance of 0.25 and 0.16.
    ward = np.where(np.arange(N) < 300, np.arange(N) % 2, np.arange(N) % 5 > 0)
    named = np.where(ward, "A", "B")
    head = rows_of(table_one(frame(ward=named), COST, SPLIT, [spec("ward", "category")]), "ward")[0]
    assert head["difference"] == pytest.approx(0.3 / np.sqrt(0.205), abs=1e-3)


def test_a_category_of_rare_levels_alone_is_withheld() -> None:
    ward = np.where(np.arange(N) % 100 < 4, "A", None)
    (row,) = rows_of(table_one(frame(ward=ward), COST, SPLIT, [spec("ward", "category")]), "ward")
    assert "withheld" in row


def test_few_missing_values_are_not_counted_out() -> None:
    values = np.arange(N, dtype=float)
    values[:9] = np.nan
    values[300:350] = np.nan
    (row,) = rows_of(table_one(frame(age=values), READMISSION, SPLIT, [spec("age")]), "age")
    # 59 lack it in all. Of the 100 with the outcome rows 0, 4, 8 and 300, 304, …, 348: 3 + 13, of the 300
    # without 43: rounded to 20 and 40, of which 50 of the test cannot be taken to find the 9.
    assert row["missing"] == [None, 0.0, 0.5, 0.2, 0.13]


def test_cells_do_not_tell_the_few_that_lack_the_value() -> None:
    # In training 3 rows lack both: 97 and 100 of 197 have the flag or not, and the levels alike.
    half = np.arange(N) % 2
    flag = np.where(np.arange(N) < 6, np.where(half, np.nan, 0.0), half)
    ward = np.where(np.isnan(flag), None, np.where(half, "A", "B"))
    rows = frame(flag=flag, ward=ward)
    found = table_one(rows, COST, SPLIT, [spec("flag", "flag"), spec("ward", "category")])
    (row,) = rows_of(found, "flag")
    assert row["missing"][0] is None
    # 97 and 100 are told as 100 of 200.
    assert row["cells"][0] == {"n": 100, "share": 0.5}
    _, *levels = rows_of(found, "ward")
    assert {level["level"]: level["cells"][0] for level in levels} == {
        "A": {"n": 100, "share": 0.5},
        "B": {"n": 100, "share": 0.5},
    }


def test_a_slice_of_fewer_than_fifty_rows_has_no_column() -> None:
    small = Split(np.arange(N), np.arange(351), np.arange(351, N), np.array([], dtype=np.intp), None, {})
    found = table_one(frame(age=np.arange(N) * 1.0), COST, small, [spec("age")])
    assert [column["name"] for column in found["columns"]] == ["training", "with", "without"]
    assert rows_of(found, "age")[0]["difference"] is None


def test_missing_shares_are_told_where_there_are_any() -> None:
    late = np.arange(N, dtype=float)
    late[300:325] = np.nan
    found = missingness(frame(full=1.0, late=late), SPLIT, [spec("full"), spec("late")])
    assert found == [{"feature": "late", "label": "Late", "training": 0.0, "test": 0.25}]


def test_shares_of_few_missing_rows_are_withheld_and_the_others_rounded() -> None:
    some = np.arange(N, dtype=float)
    some[:4] = np.nan
    some[300:326] = np.nan
    # 26 of 100 rows of the test are told as 30.
    found = missingness(frame(some=some), SPLIT, [spec("some")])
    assert found == [{"feature": "some", "label": "Some", "training": None, "test": 0.3}]


def test_a_flow_with_a_step_of_few_is_rounded() -> None:
    steps = [FlowStep("stays", "stays", 143), FlowStep("died", "died", -3), FlowStep("rows", "rows", 140)]
    assert flow(steps) == [
        {"step": "stays", "meaning": "stays", "n": 140, "is_rounded": True},
        {"step": "died", "meaning": "died (at most)", "n": -10, "is_rounded": True},
        {"step": "rows", "meaning": "rows", "n": 140, "is_rounded": True},
    ]


def test_base_rates_come_by_month_and_period_and_small_months_are_withheld() -> None:
    # 180 rows in January, 60 in March, 60 in April, every fourth with the outcome; 100 in May, 9 with it.
    months = np.repeat(["2024-01-15", "2024-03-15", "2024-04-15", "2024-05-15"], [180, 60, 60, 100])
    label = (np.arange(N) % 4 == 0).astype(float)
    label[300:] = np.arange(100) < 9
    rows = frame(prediction_time=months, label_readmission=label)
    # Counts are rounded down to full 50 since one month is withheld.
    assert base_rate(rows, READMISSION, SPLIT) == [
        {"month": "2024-01", "slice": "training", "n": 150, "value": 0.25},
        {"month": "2024-03", "slice": "calibration", "n": 50, "value": 0.25},
        {"month": "2024-04", "slice": "test", "n": 50, "value": 0.25},
        {
            "month": "2024-05",
            "slice": "test",
            "reason": "fewer than 50 rows, or than 10 with or without the outcome",
        },
    ]


def test_rows_without_an_outcome_do_not_count_and_no_calendar_gives_no_months() -> None:
    label = np.where(np.arange(N) < 200, np.arange(N) % 2, np.nan)
    (month,) = base_rate(frame(label_readmission=label), READMISSION, SPLIT)
    assert (month["n"], month["value"]) == (200, 0.5)
    undated = Split(
        np.arange(N), np.arange(300), np.arange(300, N), np.array([], np.intp), None, {"by": "patient"}
    )
    assert base_rate(frame(), READMISSION, undated) == []


def test_importance_is_the_mean_distance_from_nothing() -> None:
    found = importance([spec("age"), spec("sex")], np.array([[1.0, -3.0], [-1.0, 1.0]]))
    assert [(entry["feature"], entry["mean_abs_contribution"]) for entry in found] == [
        ("sex", 2.0),
        ("age", 1.0),
    ]


def test_all_of_it_together_puts_the_strongest_feature_first() -> None:
    rows = frame(age=np.arange(N) * 1.0, glucose=np.arange(N) * 2.0)
    steps = [FlowStep("stays", "stays in the extract", 500)]
    contributions = np.array([[0.1, -2.0]])
    found = describe(steps, rows, READMISSION, SPLIT, [spec("age"), spec("glucose")], contributions)
    assert found["flow"] == flow(steps) == [{"step": "stays", "meaning": "stays in the extract", "n": 500}]
    assert [row["feature"] for row in found["table_one"]["rows"]] == ["label_readmission", "glucose", "age"]
    assert set(found) == {"flow", "table_one", "missingness", "base_rate", "importance"}
