"""Episodes

A **stay** is one inpatient admission as one hospital records it. Stays are merged into one **episode** if
the patient went straight on:

- to another hospital on the same or the next calendar day (a transfer),
- back to the same hospital within 24 hours with the same 3-character principal diagnosis (a split stay),
  or
- if the stays overlap.

Each stay is held against the latest discharge among the patient's earlier ones, since a short stay may lie
within a longer one; chains of any length become one episode. Stays that overlap are merged, not thrown
away, and a stay that began before the last one ended is never a return. A return to the same hospital on
the same day with another principal diagnosis, or with one that is not coded, is a return and no second
half. A stay that has not ended goes on: every later stay of the patient is part of it until its discharge
is known. A stay of no length (admitted and discharged at one instant) is a stay like any other; a
discharge at midnight belongs to the day that begins.

`episode_id` is the first stay's id. At `admission` the first stay of an episode is scored, at `discharge`
the one that ends last. Labels use every link. Features and cohort use only the links that were known at
the prediction time: a transfer when the patient arrives, a split stay when both halves are coded. Until
then they are two stays.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from tests.hospital import flow, hospital, rows, told


def test_a_chain_of_transfers_is_one_episode_and_its_last_discharge_counts(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        B       | 7          | H2          | 2024-01-05 11:00:00 | 2024-01-09 10:00:00
        C       | 7          | H3          | 2024-01-10 09:00:00 | 2024-01-15 10:00:00
        D       | 7          | H1          | 2024-02-14 09:00:00 | 2024-02-20 10:00:00
        """,
    )
    at_discharge = rows(extract, Point.DISCHARGE)
    assert at_discharge["episode_id"].to_dict() == {"C": "A", "D": "D"}
    # 15 January + 30 days = 14 February: a return of the whole chain.
    assert told(at_discharge, "label_readmission") == {"C": 1, "D": 0}
    assert rows(extract, Point.ADMISSION).index.tolist() == ["A", "D"]


def test_a_patient_who_is_moved_and_moved_back_stays_in_one_episode(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        B       | 7          | H2          | 2024-01-05 12:00:00 | 2024-01-08 10:00:00
        C       | 7          | H1          | 2024-01-08 15:00:00 | 2024-01-12 10:00:00
        """,
    )
    assert rows(extract, Point.DISCHARGE)["episode_id"].to_dict() == {"C": "A"}


@pytest.mark.parametrize(("again", "episodes"), [("2024-01-06 10:00:00", 1), ("2024-01-06 10:00:01", 2)])
def test_a_split_stay_ends_after_24_hours(tmp_path: Path, again: str, episodes: int) -> None:
    stays = f"""
        stay_id | patient_id | admitted_at         | discharged_at
        1       | 7          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        2       | 7          | {again}             | 2024-01-12 10:00:00
        """
    assert flow(hospital(tmp_path, stays=stays), Point.DISCHARGE)["episodes"] == episodes


@pytest.mark.parametrize(
    ("first", "second", "episodes"),
    [
        ("J440", "J449", 1),  # the same three characters
        ("J449", "I500", 2),
        ("J449", None, 2),  # nobody knows whether it is the same
    ],
)
def test_a_split_stay_needs_the_same_principal_diagnosis(
    tmp_path: Path, first: str, second: str | None, episodes: int
) -> None:
    coded = f"stay_id | position | code\n1 | 1 | {first}\n1 | 2 | I500\n"
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        1       | 7          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        2       | 7          | 2024-01-05 20:00:00 | 2024-01-12 10:00:00
        """,
        diagnoses=coded if second is None else coded + f"2 | 1 | {second}",
    )
    assert flow(extract, Point.DISCHARGE)["episodes"] == episodes


@pytest.mark.parametrize(
    ("moved", "episodes"),
    [
        ("2024-01-05 00:00:00", 1),
        ("2024-01-06 23:59:59", 1),
        ("2024-01-07 00:00:00", 2),
    ],
)
def test_a_transfer_reaches_the_next_calendar_day_and_a_discharge_at_midnight_belongs_to_the_day_that_begins(
    tmp_path: Path, moved: str, episodes: int
) -> None:
    stays = f"""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        1       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-05 00:00:00
        2       | 7          | H2          | {moved}             | 2024-01-12 10:00:00
        """
    assert flow(hospital(tmp_path, stays=stays), Point.DISCHARGE)["episodes"] == episodes


@pytest.mark.parametrize("hospital_id", ["H1", "H2"])
def test_a_stay_that_began_before_the_last_one_ended_is_part_of_it_and_no_return(
    tmp_path: Path, hospital_id: str
) -> None:
    extract = hospital(
        tmp_path,
        stays=f"""
        stay_id | patient_id | hospital_id   | admitted_at         | discharged_at
        1       | 7          | H1            | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        2       | 7          | {hospital_id} | 2024-01-04 09:00:00 | 2024-01-09 10:00:00
        """,
        diagnoses="stay_id | position | code\n1 | 1 | J449\n2 | 1 | I500",
    )
    # A gap of minus one day: in the same hospital too, and whatever the diagnosis.
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"2": 0}
    assert rows(extract, Point.ADMISSION).index.tolist() == ["1"]


def test_a_stay_within_a_longer_stay_is_the_same_episode_and_the_longer_discharge_counts(
    tmp_path: Path,
) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at
        1       | 7          | H1          | 2024-01-01  | 2024-01-20
        2       | 7          | H2          | 2024-01-05  | 2024-01-06
        3       | 7          | H2          | 2024-01-21  | 2024-01-25
        """,
    )
    # Stay 2 lies within stay 1; stay 3 follows stay 1's discharge in another hospital the next day.
    assert flow(extract, Point.DISCHARGE)["episodes"] == 1
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["3"]


def test_a_stay_without_an_end_goes_on_through_later_ones(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | status
        1       | 7          | 2024-01-01  | 2024-01-05    | discharged
        2       | 7          | 2024-03-01  |               | in
        3       | 7          | 2024-05-01  | 2024-05-05    | discharged
        4       | 8          | 2024-05-01  | 2024-05-05    | discharged
        """,
    )
    # Stay 2's discharge was forgotten: whether patient 7 left before May is not known, so stay 3 is neither a
    # return nor an index discharge.
    counted = flow(extract, Point.DISCHARGE)
    assert (counted["episodes"], counted["still_in_hospital"]) == (3, -1)
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["1", "4"]
    at_admission = rows(extract, Point.ADMISSION)
    assert told(at_admission, "label_readmission") == {"1": 0, "2": None, "4": 0}


def test_a_stay_of_no_length_is_a_stay_like_any_other(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        A2      | A          | H2          | 2024-01-05 12:00:00 | 2024-01-05 12:00:00
        A3      | A          | H3          | 2024-01-06 09:00:00 | 2024-01-09 10:00:00
        B1      | B          | H1          | 2024-01-01 08:00:00 | 2024-01-01 08:00:00
        B2      | B          | H1          | 2024-01-20 08:00:00 | 2024-01-25 08:00:00
        """,
    )
    # A was moved on at once; B was sent home and came back after 19 days.
    at_discharge = rows(extract, Point.DISCHARGE)
    assert told(at_discharge, "label_readmission") == {"A3": 0, "B1": 1, "B2": 0}
    assert told(at_discharge, "label_stay_days") == {"A3": 3, "B1": 0, "B2": 5}


def test_an_unknown_disposition_of_the_last_stay_is_not_that_of_the_first(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | discharge_disposition
        1       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-03 08:00:00 | acute_transfer
        2       | 7          | H2          | 2024-01-03 09:00:00 | 2024-01-09 08:00:00 |
        """,
    )
    assert flow(extract, Point.DISCHARGE)["transferred_out"] == 0
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["2"]


def test_an_uncoded_stay_between_two_others_is_not_merged_by_the_code_before_it(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        A       | 7          | 2024-01-01 08:00:00 | 2024-01-05 08:00:00
        B       | 7          | 2024-03-01 08:00:00 | 2024-03-05 08:00:00
        C       | 7          | 2024-03-05 18:00:00 | 2024-03-09 08:00:00
        """,
        diagnoses="stay_id | position | code\nA | 1 | J449\nC | 1 | J449",
    )
    # Nobody knows what B was treated for, so C is a return on the same day, not its second half.
    assert flow(extract, Point.DISCHARGE)["episodes"] == 3
