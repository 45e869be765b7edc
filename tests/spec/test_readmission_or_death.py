"""Readmission or death

A death within the window without a readmission before it is a competing event: the patient can no longer
be readmitted. The data set keeps the first event after a discharge alive, `row_first_event`: `readmitted`
(an unplanned return), `died`, or `neither`. Two targets learn from it. **`readmission`** is the published
measure: who died without a return counts as not readmitted. **`readmission_or_death`** is also true for
who died within the window, its last day included. A planned return ends the follow-up: an event after it
counts for neither target. Rows are never restricted to those who survive the window.

The data set declares what is known of deaths. With `deaths = "registry"` deaths outside hospital are
known. With `deaths = "in_hospital"` they are not: `readmission_or_death` is missing for everyone, and
without a return the first event is unknown unless a date of death tells it. The first event is unknown
where the readmission label would be: for an immature window, a return that cannot be judged, a stay in
quarantine that may have been the first return; and for who did not leave alive.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from features.points import Point
from tests.hospital import hospital, quarantine, rows, told

PATIENTS = """
    patient_id | death_date
    soon       | 2024-01-20
    last_day   | 2024-02-04
    day_after  | 2024-02-05
    alive      |
    returned   | 2024-01-25
    planned    | 2024-01-25
    uncoded    | 2024-01-25
    """
# Discharged on 5 January: the window ends on 4 February.
STAYS = """
    stay_id    | patient_id | admitted_at | discharged_at | discharge_disposition
    soon       | soon       | 2024-01-01  | 2024-01-05    | home
    last_day   | last_day   | 2024-01-01  | 2024-01-05    | home
    day_after  | day_after  | 2024-01-01  | 2024-01-05    | home
    alive      | alive      | 2024-01-01  | 2024-01-05    | home
    returned   | returned   | 2024-01-01  | 2024-01-05    | home
    returned_2 | returned   | 2024-01-12  | 2024-01-25    | died
    planned    | planned    | 2024-01-01  | 2024-01-05    | home
    planned_2  | planned    | 2024-01-12  | 2024-01-15    | home
    uncoded    | uncoded    | 2024-01-01  | 2024-01-05    | home
    uncoded_2  | uncoded    | 2024-01-12  | 2024-01-15    | home
    """
# Z511: maintenance chemotherapy, always planned.
DIAGNOSES = """
    stay_id    | position | code
    soon       | 1        | J449
    last_day   | 1        | J449
    day_after  | 1        | J449
    alive      | 1        | J449
    returned   | 1        | J449
    returned_2 | 1        | J449
    planned    | 1        | J449
    planned_2  | 1        | Z511
    uncoded    | 1        | J449
    """


def first_events(frame: pd.DataFrame) -> dict[str, str]:
    return {str(stay): str(event) for stay, event in frame["row_first_event"].fillna("unknown").items()}


def test_with_a_registry_a_death_without_a_return_is_the_first_event(tmp_path: Path) -> None:
    extract = hospital(tmp_path, patients=PATIENTS, stays=STAYS, diagnoses=DIAGNOSES)
    found = rows(extract, Point.DISCHARGE).drop(index=["uncoded_2"])
    assert first_events(found) == {
        "alive": "neither",
        "day_after": "neither",
        "last_day": "died",
        "planned": "neither",
        "returned": "readmitted",
        "soon": "died",
        "uncoded": "unknown",
    }
    assert told(found, "label_readmission") == {
        "alive": 0, "day_after": 0, "last_day": 0, "planned": 0, "returned": 1, "soon": 0, "uncoded": None
    }  # fmt: skip
    assert told(found, "label_readmission_or_death") == {
        "alive": 0, "day_after": 0, "last_day": 1, "planned": 0, "returned": 1, "soon": 1, "uncoded": None
    }  # fmt: skip


def test_where_only_deaths_in_hospital_are_known_readmission_or_death_is_missing_for_everyone(
    tmp_path: Path,
) -> None:
    extract = hospital(tmp_path, deaths="in_hospital", patients=PATIENTS, stays=STAYS, diagnoses=DIAGNOSES)
    found = rows(extract, Point.DISCHARGE).drop(index=["uncoded_2"])
    assert found["label_readmission_or_death"].isna().all()
    # A date of death that the extract holds all the same is a fact; its absence tells nothing.
    assert first_events(found) == {
        "alive": "unknown",
        "day_after": "unknown",
        "last_day": "died",
        "planned": "neither",
        "returned": "readmitted",
        "soon": "died",
        "uncoded": "unknown",
    }
    assert told(found, "label_readmission")["alive"] == 0


def test_who_did_not_leave_alive_has_no_first_event(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        patients="patient_id | death_date\n7 | 2024-01-05",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | discharge_disposition
        1       | 7          | 2024-01-01  | 2024-01-05    | died
        """,
    )
    found = rows(extract, Point.ADMISSION)
    assert first_events(found) == {"1": "unknown"}
    assert told(found, "label_readmission_or_death") == {"1": None}


def test_an_open_window_or_an_unseen_stay_leaves_the_first_event_unknown(tmp_path: Path) -> None:
    patients = "patient_id | death_date\n7 | 2024-01-20"
    stays = "stay_id | patient_id | admitted_at | discharged_at\n1 | 7 | 2024-01-01 | 2024-01-05"
    early = hospital(tmp_path / "early", observed_until="2024-02-03", patients=patients, stays=stays)
    found = rows(early, Point.DISCHARGE)
    # An early event in a young row is never learned from: rows would mature by their outcome.
    assert (first_events(found), told(found, "label_readmission_or_death")) == ({"1": "unknown"}, {"1": None})
    late = hospital(tmp_path / "late", patients=patients, stays=stays)
    assert first_events(rows(late, Point.DISCHARGE)) == {"1": "died"}
    quarantine(late, "7", "2024-01-12")
    assert first_events(rows(late, Point.DISCHARGE)) == {"1": "unknown"}


def test_without_procedures_a_return_is_no_known_event(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-01-12  | 2024-01-20
        """
    extract = hospital(tmp_path, stays=stays, without=("procedures",))
    assert first_events(rows(extract, Point.DISCHARGE)) == {"1": "unknown", "2": "neither"}
