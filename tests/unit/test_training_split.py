"""Slices lie apart in time and in patients, and what leaves is counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.points import Point
from tests.admission_rows import admissions
from training.split import (
    Split,
    patient_folds,
    patient_places,
    split_by_patient,
    split_by_time,
    stopping_rows,
)
from training.targets import TARGETS, TrainingError, target_at

READMISSION = TARGETS["readmission"]
COST = TARGETS["cost"]


def ten_months() -> pd.DataFrame:
    """One patient a month on the first; the window ends 5 days later; the shares cut at months 6.5 and 8."""
    months = pd.date_range("2024-01-01 09:00", periods=10, freq="MS")
    return pd.DataFrame(
        {
            "patient_id": list("abcdefghij"),
            "prediction_time": months,
            "label_readmission": [0.0, 1.0] * 5,
            "row_label_end_on_readmission": (months + pd.Timedelta(days=5)).date,
        }
    )


def test_the_test_slice_is_the_latest_period_and_calibration_lies_before_it() -> None:
    split = split_by_time(ten_months(), READMISSION, test_share=0.2, calibration_share=0.2)
    # The 80th percentile in order is row 8 (September), the 60th row 6 (July).
    assert split.training.tolist() == [0, 1, 2, 3, 4, 5]
    assert split.calibration.tolist() == [6, 7]
    assert split.test.tolist() == [8, 9]
    assert split.n == {"train": 6, "calibration": 2, "test": 2}
    assert split.facts["calibration_from"] == "2024-07-01"
    assert split.facts["test_from"] == "2024-09-01"


def test_a_patient_with_a_later_row_loses_the_earlier_ones_with_counts() -> None:
    rows = ten_months()
    # a (rows 0 and 8), b (1 and 6) and c (2 and 3): only c stays in training.
    rows["patient_id"] = list("abccefbhaj")
    split = split_by_time(rows, READMISSION, test_share=0.2, calibration_share=0.2)
    assert split.training.tolist() == [2, 3, 4, 5]
    # Row 0 without and row 1 with an event are lost: prevalence 1 of 2.
    assert split.facts["removed"]["training"]["patient_in_later_slice"] == {
        "rows": 2,
        "events": 1,
        "prevalence": 0.5,
    }


def test_a_row_whose_window_is_open_when_the_next_slice_starts_stays_out() -> None:
    rows = ten_months()
    ends = pd.to_datetime(rows["row_label_end_on_readmission"])
    # Row 5 ends on the day on which calibration starts, row 7 on the eve of the test.
    ends[5], ends[7] = pd.Timestamp("2024-07-01"), pd.Timestamp("2024-08-31")
    rows["row_label_end_on_readmission"] = ends.dt.date
    split = split_by_time(rows, READMISSION, test_share=0.2, calibration_share=0.2)
    assert split.training.tolist() == [0, 1, 2, 3, 4]
    assert split.calibration.tolist() == [6, 7]
    assert split.facts["removed"]["training"]["label_window_open"]["rows"] == 1


def test_unlabelled_rows_are_left_out_and_counted() -> None:
    rows = ten_months()
    rows.loc[0, "label_readmission"] = np.nan
    split = split_by_time(rows, READMISSION, test_share=0.2, calibration_share=0.2)
    everyone = np.concatenate([split.training, split.calibration, split.test])
    assert 0 not in everyone
    assert len(everyone) == 9
    assert split.facts["unlabelled"] == 1


def test_the_last_labels_before_the_end_are_those_of_short_stays_and_stay_out() -> None:
    # One patient a day for 200 days, known after 2 days, every tenth after 12; observed until day 200.
    days = pd.date_range("2024-01-01 09:00", periods=200, freq="D")
    wait = np.where(np.arange(200) % 10 == 5, 12, 2)
    ends = days.normalize() + pd.to_timedelta(wait, unit="D")
    is_known = ends <= pd.Timestamp("2024-07-18")  # the 200th day
    rows = pd.DataFrame(
        {
            "patient_id": np.arange(200).astype(str),
            "prediction_time": days,
            "label_readmission": np.where(is_known, np.arange(200) % 2, np.nan),
            "row_label_end_on_readmission": ends.date,
        }
    )
    split = split_by_time(rows, READMISSION, test_share=0.25, calibration_share=0.25)
    # 99 of 100 wait 12 days at most: the test ends 12 days before the end, on row 187, though of rows 188 to
    # 197 all but row 195 have labels. Long stays are a tenth of the test, as they are in life.
    assert split.test.max() == 187
    assert split.facts["unsettled"] == 9
    assert split.facts["unlabelled"] == 3  # rows 195, 198 and 199
    # The same before the other slices: each ends 13 rows before the next one starts.
    assert split.training.max() == split.calibration.min() - 13
    assert split.calibration.max() == split.test.min() - 13


def test_rows_without_a_time_cannot_be_split_by_time() -> None:
    rows = ten_months()
    rows.loc[3, "prediction_time"] = pd.NaT
    with pytest.raises(TrainingError, match="1 of 10 labelled rows have no prediction time"):
        split_by_time(rows, READMISSION)


def test_a_split_with_a_learned_patient_or_a_row_on_two_sides_cannot_exist() -> None:
    one, two, three = (np.array([row]) for row in range(3))
    with pytest.raises(ValueError, match="1 patients stand on two sides"):
        Split(np.array([0, 1, 0]), one, two, three, None, {})
    with pytest.raises(ValueError, match="1 rows stand in calibration and test"):
        Split(np.array([0, 1, 2]), one, two, two, None, {})


def test_whoever_comes_back_in_the_test_stays_in_the_calibration() -> None:
    rows = ten_months()
    # Row 7 is calibration, row 8 test, of the same patient.
    rows["patient_id"] = list("abcdefghhj")
    split = split_by_time(rows, READMISSION, test_share=0.2, calibration_share=0.2)
    assert split.calibration.tolist() == [6, 7]
    assert split.facts["calibration_rows_of_test_patients"] == 1


@pytest.mark.parametrize("target", [READMISSION, COST])
def test_the_slices_of_a_larger_hospital_are_apart_and_lose_nothing_uncounted(target: object) -> None:
    rows = admissions(5000, seed=3)
    split = split_by_time(rows, READMISSION)
    removed = sum(reason["rows"] for part in split.facts["removed"].values() for reason in part.values())
    assert sum(split.n.values()) + removed == len(rows)
    sides = [set(rows["patient_id"].iloc[part]) for part in (split.training, split.calibration, split.test)]
    assert not sides[0] & (sides[1] | sides[2])
    times = rows["prediction_time"]
    assert times.iloc[split.training].max() < times.iloc[split.calibration].min()
    assert times.iloc[split.calibration].max() < times.iloc[split.test].min()
    assert len(split.test) == pytest.approx(0.2 * len(rows), rel=0.02)


def test_without_dates_patients_are_split() -> None:
    rows = admissions(5000, has_dates=False)
    split = split_by_patient(rows, READMISSION, seed=0)
    assert len(split.test) == 0
    assert split.n["train"] + split.n["calibration"] == 5000
    assert split.n["calibration"] == pytest.approx(750, abs=75)
    assert split.facts["by"] == "patient"


def test_where_rows_are_few_the_calibration_gets_as_many_as_it_needs() -> None:
    # 15 % of 400 rows are about 60, and 100 are needed; two rows a patient stay together.
    rows = pd.DataFrame({"patient_id": np.repeat(np.arange(200), 2), "label_readmission": 1.0})
    split = split_by_patient(rows, READMISSION, seed=0)
    assert split.n == {"train": 300, "calibration": 100, "test": 0}


def test_a_fold_holds_all_rows_of_its_patients() -> None:
    rows = admissions(5000)
    fold = patient_folds(rows["patient_id"], seed=0)
    assert rows.groupby("patient_id")["stay_id"].count().max() > 1
    assert pd.Series(fold).groupby(rows["patient_id"]).nunique().max() == 1
    assert np.bincount(fold).min() > 850


def test_a_patients_place_depends_on_nothing_but_the_patient_the_purpose_and_the_seed() -> None:
    patients = admissions(2000)["patient_id"]
    places = patient_places(patients, "fold", 0)
    np.testing.assert_array_equal(patient_places(patients.iloc[::-1], "fold", 0), places[::-1])
    np.testing.assert_array_equal(patient_places(patients.astype("object"), "fold", 0), places)
    assert ((places >= 0) & (places < 1)).all()
    # Independent: the correlation of two purposes in 1,000 patients has a standard error of 0.03.
    for other in (patient_places(patients, "stopping", 0), patient_places(patients, "fold", 1)):
        assert abs(np.corrcoef(places, other)[0, 1]) < 0.1


def test_the_rows_that_say_when_to_stop_are_all_those_of_some_patients() -> None:
    patients = admissions(2000)["patient_id"]
    stops = stopping_rows(patients, 0)
    assert not set(patients[stops]) & set(patients[~stops])
    # 15 % of 1,000 patients, with a standard error of √(0.15 · 0.85 ÷ 1,000) = 0.011.
    assert patients[stops].nunique() / patients.nunique() == pytest.approx(0.15, abs=0.035)


def test_a_target_is_predicted_only_at_its_points() -> None:
    assert target_at("cost", Point.ADMISSION).label == "label_episode_cost"
    with pytest.raises(TrainingError, match="not predicted at discharge"):
        target_at("complication", Point.DISCHARGE)
    with pytest.raises(TrainingError, match="unknown"):
        target_at("happiness", Point.DISCHARGE)
