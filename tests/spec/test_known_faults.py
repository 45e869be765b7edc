"""Faults that other systems are known to have

Each of these turns up in published code and in articles on readmission and cost; each has a case here that
fails if it comes back.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from features.catalogue import features_at
from features.dataset import DataSet
from features.points import Point
from tests.hospital import hospital, rows, told


def readmitted(extract: DataSet) -> dict[str, float | None]:
    return told(rows(extract, Point.DISCHARGE), "label_readmission")


def test_readmission_is_not_measured_from_admission_to_admission(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-02-10
        2       | 7          | 2024-03-01  | 2024-03-05
        """,
    )
    # 60 days from admission to admission, 20 from discharge to admission.
    assert readmitted(extract) == {"1": 1, "2": 0}


def test_last_stays_and_patients_with_a_single_stay_are_not_dropped(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        first   | 7          | 2024-01-01  | 2024-01-05
        last    | 7          | 2024-01-20  | 2024-01-25
        single  | 8          | 2024-01-01  | 2024-01-05
        """,
    )
    assert readmitted(extract) == {"first": 1, "last": 0, "single": 0}


def test_a_planned_first_return_is_not_counted_nor_what_follows_it(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        index   | 7          | 2024-01-01  | 2024-01-05
        bypass  | 7          | 2024-01-12  | 2024-01-20
        fever   | 7          | 2024-01-30  | 2024-02-02
        """,
        diagnoses="stay_id | position | code\nindex | 1 | I251\nbypass | 1 | I251\nfever | 1 | A419",
        procedures="stay_id | position | code\nbypass | 1 | 3615",
    )
    # Coronary disease, then a booked bypass (potentially planned, and I251 is not acute). The sepsis comes 25
    # days after the first discharge, and 10 after the bypass: a return of the second alone.
    assert readmitted(extract) == {"index": 0, "bypass": 1, "fever": 0}


def test_a_death_in_the_window_is_no_quiet_no(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        patients="patient_id | death_date\ndied | 2024-01-20\nlived |",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | died       | 2024-01-01  | 2024-01-05
        2       | lived      | 2024-01-01  | 2024-01-05
        """,
    )
    found = rows(extract, Point.DISCHARGE)
    assert found["row_first_event"].tolist() == ["died", "neither"]
    assert told(found, "label_readmission_or_death") == {"1": 1, "2": 0}


def test_follow_up_is_not_restricted_to_those_who_survive_it(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        patients="patient_id | death_date\ndied | 2024-01-20\nlived |",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | died       | 2024-01-01  | 2024-01-05
        2       | lived      | 2024-01-01  | 2024-01-05
        """,
    )
    # The published measure counts a death without a return as not readmitted; the row stays.
    assert readmitted(extract) == {"1": 0, "2": 0}
    assert rows(extract, Point.ADMISSION).index.tolist() == ["1", "2"]


def test_overlapping_stays_are_not_both_lost(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at | total_cost
        1       | 7          | H1          | 2024-01-01  | 2024-01-08    | 100
        2       | 7          | H2          | 2024-01-06  | 2024-01-12    | 200
        """,
    )
    assert readmitted(extract) == {"2": 0}
    assert told(rows(extract, Point.ADMISSION), "label_episode_cost") == {"1": 300}


def test_a_transfer_on_the_same_day_is_not_a_readmission(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        1       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        2       | 7          | H2          | 2024-01-05 11:00:00 | 2024-01-12 10:00:00
        """,
    )
    assert readmitted(extract) == {"2": 0}


def test_a_return_on_the_day_of_the_discharge_is_not_taken_for_the_same_stay(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        1       | 7          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        2       | 7          | 2024-01-05 22:00:00 | 2024-01-12 10:00:00
        """,
        diagnoses="stay_id | position | code\n1 | 1 | I500\n2 | 1 | J189",
    )
    # Home after heart failure, back in the evening with pneumonia.
    assert readmitted(extract) == {"1": 1, "2": 0}


def test_a_negative_gap_is_not_a_readmission(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-20
        2       | 7          | 2024-01-10  | 2024-01-12
        """,
    )
    assert readmitted(extract) == {"1": 0}


def test_a_follow_up_that_runs_out_is_not_a_no(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        observed_until="2024-02-03",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2023-12-20  | 2024-01-04
        2       | 8          | 2024-01-01  | 2024-01-05
        """,
    )
    # 4 January + 30 days = 3 February, the last day observed.
    assert readmitted(extract) == {"1": 0, "2": None}


def test_a_return_to_another_hospital_is_not_ignored(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at | total_cost
        1       | 7          | H1          | 2024-01-01  | 2024-01-05    | 100
        2       | 7          | H2          | 2024-01-15  | 2024-01-20    | 200
        """,
    )
    assert readmitted(extract) == {"1": 1, "2": 0}
    assert told(rows(extract, Point.ADMISSION), "label_episode_cost")["1"] == 300


def test_what_is_known_only_at_discharge_is_not_used_at_admission(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at | discharged_at | payment_group | discharge_disposition | total_cost | discharge_department
        1       | 7          | 2024-01-01  | {days}
        """  # noqa: E501
    short = hospital(
        tmp_path / "short",
        stays=stays.format(days="2024-01-05 | FR21 | home | 1000 | cardiology"),
        diagnoses="stay_id | position | code | present_on_admission\n1 | 1 | I500 | Y",
    )
    long = hospital(
        tmp_path / "long",
        stays=stays.format(days="2024-03-05 | AH11 | died | 900000 | intensive care"),
        diagnoses="stay_id | position | code | present_on_admission\n1 | 1 | J960 | Y\n1 | 2 | N179 | N",
        procedures="stay_id | position | code\n1 | 1 | 3615",
    )
    names = [feature.name for feature in features_at(Point.ADMISSION)]
    # The final payment group, the disposition, the codes, the length and the total differ; no input does.
    pd.testing.assert_frame_equal(rows(short, Point.ADMISSION)[names], rows(long, Point.ADMISSION)[names])
