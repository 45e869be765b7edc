"""A way to make models is judged at earlier days and at hospitals that it never saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import training.validation.backtest
from evaluation.bootstrap import Resampling
from features.points import Point
from tests.admission_rows import TRAINING, admissions, recipe
from tests.hospital import hospital, rows
from training.fit import Fitted, fit_model
from training.validation.backtest import back_test, by_hospital

ROWS = admissions(6000, stays_per_patient=1)
FEW = Resampling(0, 20)


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The rows of each model that was fitted: of training and calibration."""
    seen = []

    def fit(frame: pd.DataFrame, made_by: Any, training: np.ndarray, calibration: np.ndarray) -> Fitted:
        seen.append(np.concatenate([training, calibration]))
        return fit_model(frame, made_by, training, calibration)

    monkeypatch.setattr("training.validation.backtest.fit_model", fit)
    return seen


def test_each_block_is_judged_by_what_was_known_before_it(learned: list[np.ndarray]) -> None:
    found = back_test(ROWS, recipe("readmission"), FEW)
    assert len(found) == len(learned) == 4
    times = pd.to_datetime(ROWS["prediction_time"])
    ended = pd.to_datetime(ROWS["row_label_end_on_readmission"])
    for block, rows_before in zip(found, learned, strict=True):
        assert ended.iloc[rows_before].max() < pd.Timestamp(block["from"])
        # A block is 15 % of the rows; its days are whole.
        assert block["n"] == pytest.approx(0.15 * 6000, abs=15)
        days = times.dt.normalize()
        assert block["n"] == days.between(block["from"], block["until"]).sum()
    # The second block begins on the day after the first has ended.
    assert [block["from"] for block in found[1:]] == [
        (pd.Timestamp(block["until"]) + pd.Timedelta(days=1)).date().isoformat() for block in found[:-1]
    ]
    assert found[-1]["until"] == times.max().date().isoformat()


def test_a_block_comes_with_metrics_and_intervals() -> None:
    last = back_test(ROWS, recipe("readmission"), FEW, n_origins=2)[-1]
    auroc = last["metrics"]["auroc"]
    assert auroc["low"] < auroc["value"] < auroc["high"]
    # Earlier stays and heart failure tell the true risks apart with an AUROC of about 0.66.
    assert auroc["value"] == pytest.approx(0.66, abs=0.05)
    costs = back_test(ROWS, recipe("cost"), FEW, n_origins=2)
    assert costs[0]["metrics"]["bias"]["value"] == pytest.approx(1, abs=0.1)
    json.dumps(costs, allow_nan=False)


def test_too_little_before_a_block_or_in_it_says_so() -> None:
    # 400 rows: 160 come before the first block, fewer than the 200 that a model needs.
    found = back_test(ROWS.iloc[::15].reset_index(drop=True), recipe("cost"), FEW)
    assert set(found[0]) == {"from", "until", "reason"}
    assert found[0]["reason"] == "too few other rows to learn from"
    # 75 rows: blocks of 11.
    found = back_test(ROWS.iloc[::80].reset_index(drop=True), recipe("cost"), FEW)
    assert {block["reason"] for block in found} == {"fewer than 50 rows"}


def test_without_a_calendar_nothing_is_earlier() -> None:
    undated = replace(recipe("cost"), training=replace(TRAINING, timeline="shifted"))
    assert back_test(ROWS, undated, FEW) == []


def at_hospitals(**n_rows: int) -> pd.DataFrame:
    names = np.repeat(list(n_rows), list(n_rows.values()))
    random = np.random.default_rng(3)
    unknown = np.full(len(ROWS) - len(names), None, dtype=object)
    return ROWS.assign(row_hospital=random.permutation(np.concatenate([names.astype(object), unknown])))


def test_a_hospital_is_judged_by_a_model_of_the_others_patients(learned: list[np.ndarray]) -> None:
    frame = at_hospitals(north=3010, south=2020, small=40)
    found = by_hospital(frame, recipe("cost"), FEW)
    assert [(each["hospital"], each.get("n")) for each in found] == [
        # Rounded down to full 50: with 5,070 rows of all hospitals they would else tell the 40.
        ("north", 3000),
        ("south", 2000),
        ("small", None),
    ]
    assert found[0]["counts_rounded"] is found[1]["counts_rounded"] is True
    assert found[2] == {"hospital": "small", "reason": "fewer than 50 rows"}
    for name, others in zip(("north", "south"), learned, strict=True):
        here = frame.loc[frame["row_hospital"] == name, "patient_id"]
        assert not frame["patient_id"].iloc[others].isin(here).any()
    # What tells no hospital is elsewhere: at most 3,000 rows for the north, less its patients' others.
    assert 1000 < len(learned[0]) < 3000
    assert found[0]["metrics"]["bias"]["value"] == pytest.approx(1, abs=0.1)


def test_rows_without_the_outcome_are_of_no_hospital() -> None:
    frame = at_hospitals(north=3000, south=3000)
    frame["label_readmission"] = frame["label_readmission"].where(frame["row_hospital"] == "north")
    assert by_hospital(frame, recipe("readmission"), FEW) == []


def test_the_largest_hospitals_are_judged_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.validation.backtest, "MOST_HOSPITALS", 2)
    found = by_hospital(at_hospitals(a=1000, b=3000, c=2000), recipe("cost"), FEW)
    assert [each["hospital"] for each in found] == ["b", "c"]


def test_too_little_elsewhere_says_so() -> None:
    found = by_hospital(at_hospitals(big=5900, small=100), recipe("cost"), FEW)
    assert found[0] == {"hospital": "big", "reason": "too few other rows to learn from"}
    assert found[1]["n"] == 100


def test_the_data_set_tells_the_hospital_of_the_stay_that_is_scored(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at
        1       | A          | east        | 2024-03-01  | 2024-03-04
        2       | A          | west        | 2024-03-04  | 2024-03-08
        3       | B          | unknown     | 2024-03-01  | 2024-03-08
        """,
    )
    # The transfer is one episode: at admission its first stay is scored, at discharge its last.
    found = rows(extract, Point.ADMISSION)["row_hospital"]
    assert (found["1"], found.isna()["3"]) == ("east", True)
    assert rows(extract, Point.DISCHARGE)["row_hospital"]["2"] == "west"
