"""Calendar, clock and booking

Calendar features read the date or the clock of the admission itself: hour, weekday (1 Monday to 7 Sunday),
month (season), and optionally weekend and night (20:00 to 8:00). They are marked `calendar`: all other
features stay the same if every date of the extract moves by the same number of days. Where dates are shifted
patient by patient (`timeline = "shifted"`) they are left out.

The booked waiting time runs from the booking to the planned admission, or to the admission where no day was
planned. Before the admission the plan is what is known of it: admission type and source, department, payer,
the reason (admitting diagnosis), the planned procedure, the age on the planned day. An extract made later
holds these as they stand at the end: one that was changed after the booking (an emergency before the planned
day, another department or payer) shows the change. A source that keeps the plan must give the plan.

Whether an admission was booked is missing without dates.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

ALL = replace(DEFAULT_SETTINGS, optional_features=True)


@pytest.mark.parametrize(
    ("admitted_at", "hour", "weekday", "month", "weekend", "night"),
    [
        ("2024-01-10 08:00:00", 8, 3, 1, 0, 0),  # a Wednesday
        ("2024-06-15 07:59:00", 7, 6, 6, 1, 1),  # a Saturday
        ("2024-12-01 20:00:00", 20, 7, 12, 1, 1),  # a Sunday
    ],
)
def test_when_the_patient_came(
    tmp_path: Path, admitted_at: str, hour: int, weekday: int, month: int, weekend: int, night: int
) -> None:
    stays = f"stay_id | patient_id | admitted_at | discharged_at\nnow | 7 | {admitted_at} | 2024-12-20"
    now = rows(hospital(tmp_path, stays=stays), Point.ADMISSION, ALL).loc["now"]
    names = [
        "admission_hour",
        "admission_weekday",
        "admission_month",
        "is_weekend_admission",
        "is_night_admission",
    ]
    assert now[names].tolist() == [hour, weekday, month, weekend, night]
    assert {name for name, feature in CATALOGUE.items() if feature.calendar} == {*names}


STAYS = """
    stay_id | patient_id | booked_at           | planned_admission_at | admitted_at         | discharged_at       | admission_type | payer
    planned | A          | 2024-01-20 10:00:00 | 2024-03-10 09:00:00  | 2024-03-15 09:00:00 | 2024-03-20 09:00:00 | elective       | P1
    undated | B          | 2024-01-20 10:00:00 |                      | 2024-03-15 09:00:00 | 2024-03-20 09:00:00 | elective       | P1
    came    | C          |                     |                      | 2024-03-15 09:00:00 | 2024-03-20 09:00:00 | emergency      | P1
    """  # noqa: E501
PATIENTS = """
    patient_id | birth_date
    A          | 1950-03-01
    B          | 1950-03-01
    C          | 1950-03-01
    """
DIAGNOSES = """
    stay_id | kind      | position | code | present_on_admission
    planned | admitting | 1        | M170 |
    planned | discharge | 1        | M170 | Y
    undated | discharge | 1        | M170 | Y
    came    | discharge | 1        | J449 | Y
    """
PROCEDURES = """
    stay_id | position | code | performed_at        | is_planned
    planned | 1        | 8154 | 2024-03-16 08:00:00 | true
    """


def test_before_the_admission_the_plan_is_known(tmp_path: Path) -> None:
    extract = hospital(tmp_path, patients=PATIENTS, stays=STAYS, diagnoses=DIAGNOSES, procedures=PROCEDURES)
    before = rows(extract, Point.PREADMISSION)
    assert before.index.tolist() == ["planned", "undated"]
    planned = before.loc["planned"]
    # 20 January to 10 March 2024: 11 + 29 + 10 days.
    assert planned["booked_waiting_days"] == 50
    # 73 at the booking, 74 on the planned day.
    assert planned["age_years"] == 74
    assert (planned["admission_type"], planned["payer"]) == ("elective", "P1")
    assert planned["admitting_diagnosis_group"] == "Osteoarthritis"
    assert planned["planned_procedure_group"] == "Arthroplasty knee"
    # The day on which the patient will come is not known.
    assert pd.isna(before.loc["undated", "booked_waiting_days"])
    assert pd.isna(before.loc["undated", "planned_procedure_group"])


def test_at_the_admission_the_waiting_time_is_known_without_a_plan(tmp_path: Path) -> None:
    found = rows(hospital(tmp_path, patients=PATIENTS, stays=STAYS), Point.ADMISSION)
    waited = found["booked_waiting_days"]
    assert [None if pd.isna(waited[stay]) else waited[stay] for stay in ("planned", "undated", "came")] == [
        50,
        55,
        None,
    ]


def test_without_dates_nothing_says_whether_it_was_booked(tmp_path: Path) -> None:
    stays = "stay_id | patient_id | age_years\nnow | 7 | 60"
    dated = hospital(tmp_path, stays=stays)
    undated = replace(dated, declaration=dated.declaration.model_copy(update={"timeline": "none"}))
    assert pd.isna(rows(undated, Point.ADMISSION).loc["now", "is_booked"])
    assert rows(hospital(tmp_path / "dated", stays=STAYS), Point.ADMISSION)["is_booked"].to_dict() == {
        "planned": 1,
        "undated": 1,
        "came": 0,
    }


def test_dates_that_are_shifted_by_patient_are_no_calendar(tmp_path: Path) -> None:
    dated = hospital(tmp_path, stays=STAYS)
    shifted = replace(dated, declaration=dated.declaration.model_copy(update={"timeline": "shifted"}))
    left_out = {*rows(dated, Point.ADMISSION)} - {*rows(shifted, Point.ADMISSION)}
    assert left_out == {"admission_hour", "admission_weekday", "admission_month"}
