"""Procedures so far

A procedure counts once it was performed (`performed_at`, known by then); one without a time is known at
discharge. A booked procedure is part of the plan from its booking on: its group and that there is one are
known then, when it will be performed is not, and one that never was does not count. That a procedure was
planned counts before it is performed only where the stay was booked or elective: of any other nobody says
when it was planned. Operations are the potentially planned procedures of the CMS measure without its
diagnostic and non-operative categories. The time to the first operation runs from the admission of the
episode, in hours.

Without dates, what was performed is known at discharge alone; before it, no booked procedure is no knowledge.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

WITH_OPTIONAL = replace(DEFAULT_SETTINGS, optional_features=True)
STAYS = """
    stay_id | patient_id | booked_at           | admitted_at         | discharged_at       | admission_type
    now     | 7          | 2024-01-02 08:00:00 | 2024-01-10 08:00:00 | 2024-01-15 10:00:00 | elective
    """
# 81.54 replacement of the knee, an operation; 88.72 ultrasound of the heart; 45.13 endoscopy.
PROCEDURES = """
    stay_id | position | code | performed_at        | is_planned
    now     | 1        | 8154 | 2024-01-11 20:00:00 | true
    now     | 2        | 8872 | 2024-01-10 12:00:00 | false
    now     | 3        | 9904 |                     | false
    now     | 4        | 4513 |                     | true
    """


def test_before_the_admission_the_plan_is_known(tmp_path: Path) -> None:
    now = rows(hospital(tmp_path, stays=STAYS, procedures=PROCEDURES), Point.PREADMISSION, WITH_OPTIONAL).loc[
        "now"
    ]
    assert now["has_planned_procedure"] == 1
    assert now["planned_procedure_group"] == "Arthroplasty knee"
    assert "n_procedures" not in now


def test_at_the_landmark_the_operation_is_still_to_come(tmp_path: Path) -> None:
    now = rows(hospital(tmp_path, stays=STAYS, procedures=PROCEDURES), Point.ADMISSION, WITH_OPTIONAL).loc[
        "now"
    ]
    assert now["n_procedures"] == 1  # the ultrasound
    assert now["n_operations"] == 0
    assert pd.isna(now["hours_to_first_operation"])
    assert now["has_planned_procedure"] == 1


def test_what_was_planned_during_an_emergency_stay_is_not_known_at_its_admission(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at         | discharged_at       | admission_type
        fall    | 7          | 2024-01-10 08:00:00 | 2024-01-25 10:00:00 | emergency
        """
    procedures = """
        stay_id | position | code | performed_at        | is_planned
        fall    | 1        | 8151 | 2024-01-15 09:00:00 | true
        """
    extract = hospital(tmp_path, stays=stays, procedures=procedures)
    at_landmark = rows(extract, Point.ADMISSION, WITH_OPTIONAL).loc["fall"]
    assert pd.isna(at_landmark["planned_procedure_group"])
    assert (at_landmark["has_planned_procedure"], at_landmark["n_procedures"]) == (0, 0)
    assert rows(extract, Point.DISCHARGE, WITH_OPTIONAL).loc["fall", "n_operations"] == 1


def test_at_discharge_it_was_performed(tmp_path: Path) -> None:
    now = rows(hospital(tmp_path, stays=STAYS, procedures=PROCEDURES), Point.DISCHARGE).loc["now"]
    # The transfusion without a time counts, the endoscopy that was booked and never done does not.
    assert now["n_procedures"] == 3
    assert now["n_operations"] == 1
    # From 10 January 08:00 to 11 January 20:00.
    assert now["hours_to_first_operation"] == 36


def test_no_row_is_none_and_no_table_unknown(tmp_path: Path) -> None:
    none = rows(hospital(tmp_path / "none", stays=STAYS), Point.ADMISSION, WITH_OPTIONAL).loc["now"]
    assert (none["n_procedures"], none["n_operations"]) == (0, 0)
    absent = rows(
        hospital(tmp_path / "absent", stays=STAYS, without=("procedures",)), Point.ADMISSION, WITH_OPTIONAL
    )
    assert absent[["n_procedures", "n_operations", "has_planned_procedure"]].isna().all(axis=None)


def test_without_dates_what_was_done_is_known_at_discharge_alone(tmp_path: Path) -> None:
    booked = PROCEDURES.replace("now     | 2        | 8872 | 2024-01-10 12:00:00 | false", "")
    for name, procedures in (("some", PROCEDURES), ("booked", booked), ("none", None)):
        tables = {} if procedures is None else {"procedures": procedures}
        dated = hospital(tmp_path / name, stays=STAYS, **tables)
        extract = replace(dated, declaration=dated.declaration.model_copy(update={"timeline": "none"}))
        before = rows(extract, Point.ADMISSION, WITH_OPTIONAL).loc["now"]
        assert before[["n_procedures", "n_operations"]].isna().all()
        assert pd.isna(before["has_planned_procedure"]) == (procedures is None)
    at_discharge = rows(replace(extract, path=tmp_path / "some"), Point.DISCHARGE).loc["now"]
    assert (at_discharge["n_procedures"], at_discharge["n_operations"]) == (3, 1)
