"""Unplanned readmission

The first later episode with 0 to 30 days (`readmission_window_days`) from the date of discharge to the
date of admission, in any hospital of the extract, if it is unplanned. Days are counted between calendar
dates, from the discharge of the index episode and not from its admission, both ends included. A return on
the day of the discharge that is no part of the same episode counts.

Only the first return counts: a planned first return ends the follow-up, whatever comes after it. A return
is itself an index admission again.

The label is missing, never false, while the window was not observed to its end, if the stay leaves the
index admissions at discharge, if the first return cannot be judged planned or not, if the extract has no
diagnoses or no procedures at all (where only returns became missing, missingness would depend on the
outcome), or if a quarantined stay of the patient may have been the first return. An extract may give the
label instead (`labels.readmission = { kind = "given" }`): then it is used as it is.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from features.settings import FeatureSettings
from tests.hospital import hospital, quarantine, rows, told

RETURN = """
    stay_id | patient_id | admitted_at | discharged_at | admission_type
    A1      | A          | 2024-01-01  | 2024-01-05    | emergency
    A2      | A          | 2024-01-12  | 2024-01-20    | emergency
    """


def test_days_count_from_discharge_to_admission_both_ends_included(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        A1      | A          | 2024-01-01 08:00:00 | 2024-01-31 10:00:00
        A2      | A          | 2024-03-01 23:00:00 | 2024-03-02 10:00:00
        B1      | B          | 2024-01-01 08:00:00 | 2024-01-31 10:00:00
        B2      | B          | 2024-03-02 00:30:00 | 2024-03-03 10:00:00
        """,
    )
    # 31 January + 30 days = 1 March (leap year). Admit to admit would be 60 days.
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"A1": 1, "A2": 0, "B1": 0, "B2": 0}


def test_a_return_on_the_day_of_discharge_counts_unless_it_is_the_same_episode(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        A2      | A          | H1          | 2024-01-05 20:00:00 | 2024-01-09 10:00:00
        B1      | B          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        B2      | B          | H2          | 2024-01-05 12:00:00 | 2024-01-09 10:00:00
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        A1      | 1        | J449 | Y
        A2      | 1        | I500 | Y
        B1      | 1        | J449 | Y
        B2      | 1        | J449 | Y
        """,
    )
    # A came back to the same hospital with another diagnosis: a return on day 0. B was moved to
    # another hospital: one episode, scored at discharge by its last stay.
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"A1": 1, "A2": 0, "B2": 0}


@pytest.mark.parametrize(
    ("window", "again", "expected"),
    [(7, "2024-01-12", 1), (7, "2024-01-13", 0), (90, "2024-04-04", 1), (90, "2024-04-05", 0)],
)
def test_the_window_is_a_setting(tmp_path: Path, window: int, again: str, expected: int) -> None:
    # 5 January + 7 days = 12 January; + 90 days = 4 April 2024.
    extract = hospital(
        tmp_path,
        stays=f"""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | {again}     | 2024-04-20
        """,
    )
    found = rows(extract, Point.DISCHARGE, FeatureSettings(readmission_window_days=window))
    assert told(found, "label_readmission")["1"] == expected


def test_a_return_to_another_hospital_of_the_extract_counts(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at
        1       | 7          | H1          | 2024-01-01  | 2024-01-05
        2       | 7          | H2          | 2024-01-12  | 2024-01-20
        """,
    )
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"1": 1, "2": 0}


def test_only_the_first_return_counts_and_a_planned_one_ends_the_follow_up(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-01-12  | 2024-01-13
        3       | 7          | 2024-01-20  | 2024-01-25
        """,
        diagnoses="""
        stay_id | position | code
        1       | 1        | I500
        2       | 1        | Z511
        3       | 1        | I500
        """,
    )
    # Z511 is maintenance chemotherapy (CCS 45), always planned. Stay 2 itself is no index admission
    # (its principal diagnosis is cancer treatment), so only stays 1 and 3 are rows.
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"1": 0, "3": 0}


def test_a_return_is_an_index_admission_again(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-01-12  | 2024-01-13
        3       | 7          | 2024-01-20  | 2024-01-25
        """,
    )
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"1": 1, "2": 1, "3": 0}


def test_an_uncoded_return_leaves_the_label_missing(tmp_path: Path) -> None:
    coded = "stay_id | position | code\nA1 | 1 | J449"
    extract = hospital(tmp_path, stays=RETURN, diagnoses=coded)
    assert told(rows(extract, Point.DISCHARGE), "label_readmission")["A1"] is None


@pytest.mark.parametrize("table", ["procedures", "diagnoses"])
def test_without_procedures_or_diagnoses_no_return_can_be_judged(tmp_path: Path, table: str) -> None:
    known = hospital(tmp_path / "a", stays=RETURN)
    assert told(rows(known, Point.DISCHARGE), "label_readmission") == {"A1": 1, "A2": 0}
    # No such table: unknown, and unknown for everyone, so that no outcome is favoured.
    unknown = hospital(tmp_path / "b", stays=RETURN, without=(table,))
    assert told(rows(unknown, Point.DISCHARGE), "label_readmission") == {"A1": None, "A2": None}


@pytest.mark.parametrize(
    ("unseen", "expected"),
    [
        ("2024-01-01", 0),  # before the discharge of 5 January
        ("2024-01-05", None),
        ("2024-02-04", None),  # 5 January + 30 days
        ("2024-02-05", 0),
        (None, None),  # nobody knows when
    ],
)
def test_a_quarantined_stay_leaves_unknown_what_became_of_the_patient(
    tmp_path: Path, unseen: str | None, expected: int | None
) -> None:
    stays = "stay_id | patient_id | admitted_at | discharged_at\nA1 | A | 2024-01-01 | 2024-01-05"
    extract = hospital(tmp_path, stays=stays)
    quarantine(extract, "A", unseen)
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"A1": expected}
    quarantine(extract, "another", unseen)
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"A1": 0}


@pytest.mark.parametrize(("unseen", "expected"), [("2024-01-08", None), ("2024-01-14", 1)])
def test_only_a_stay_before_the_known_return_may_have_been_the_first(
    tmp_path: Path, unseen: str, expected: int | None
) -> None:
    # The known return is of 12 January. One before it may have been planned, and then ended the follow-up.
    extract = hospital(tmp_path, stays=RETURN)
    quarantine(extract, "A", unseen)
    assert told(rows(extract, Point.DISCHARGE), "label_readmission")["A1"] == expected
