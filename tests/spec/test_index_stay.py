"""Index charges and days of the stay

`label_index_charges` is the total of the stay that is scored alone, nominal and untruncated: what a
payment is settled against. `label_stay_days` are its midnights; a same-day stay is 0. Both are of the
stay, not of the episode: at `admission` of the episode's first stay, at `discharge` of its last. Both are
known once the episode has ended. The lag settings are of what features may know: no label, and no window of
one, waits for them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows, told


def test_charges_and_days_are_those_of_the_stay_that_is_scored(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | total_cost
        A       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-03 08:00:00 | 100
        B       | 7          | H2          | 2024-01-03 09:00:00 | 2024-01-20 08:00:00 | 900
        """,
    )
    first = rows(extract, Point.ADMISSION).loc["A"]
    assert (first["label_index_charges"], first["label_stay_days"]) == (100, 2)
    last = rows(extract, Point.DISCHARGE).loc["B"]
    assert (last["label_index_charges"], last["label_stay_days"]) == (900, 17)
    assert first["label_episode_cost"] == last["label_episode_cost"] == 1000


# The patient goes on to another hospital on the day of the first discharge and leaves that one on 20 January.
@pytest.mark.parametrize(
    ("until", "second_stay", "charges"),
    [
        ("2024-01-19", "                    | in         |", None),
        ("2024-01-20", "2024-01-20 08:00:00 | discharged | 900", 100),
    ],
)
def test_the_first_stay_is_told_on_the_day_on_which_its_episode_ended(
    tmp_path: Path, until: str, second_stay: str, charges: float | None
) -> None:
    extract = hospital(
        tmp_path,
        observed_until=until,
        stays=f"""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at       | status     | total_cost
        A       | 7          | H1          | 2024-01-01  | 2024-01-03 08:00:00 | discharged | 100
        B       | 7          | H2          | 2024-01-03  | {second_stay}
        """,
    )
    found = rows(extract, Point.ADMISSION)
    assert told(found, "label_index_charges") == {"A": charges}
    assert told(found, "label_stay_days") == {"A": None if charges is None else 2}
    for ends_on in (found["row_label_end_on_charges"], found["row_label_end_on_stay_days"]):
        known_on = pd.to_datetime(ends_on)["A"]
        assert pd.isna(known_on) if charges is None else known_on == pd.Timestamp(until)


def test_no_amount_waits_for_the_lag_of_costs(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at | discharged_at | total_cost
        A       | 7          | 2024-01-01  | 2024-01-05    | 100
        """
    extract = hospital(tmp_path, observed_until="2024-02-04", stays=stays)
    found = rows(extract, Point.ADMISSION, replace(DEFAULT_SETTINGS, cost_lag_hours=72.0)).loc["A"]
    assert (found["label_index_charges"], found["label_episode_cost"]) == (100, 100)
    # The day of the discharge, and 30 days after it.
    assert pd.Timestamp(found["row_label_end_on_charges"]) == pd.Timestamp("2024-01-05")
    assert pd.Timestamp(found["row_label_end_on_cost"]) == pd.Timestamp("2024-02-04")


def test_days_are_midnights(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        same    | A          | 2024-01-01 00:00:00 | 2024-01-01 23:59:00
        night   | B          | 2024-01-01 23:59:00 | 2024-01-02 00:00:00
        to_five | C          | 2024-01-01 08:00:00 | 2024-01-05 00:00:00
        """,
    )
    assert told(rows(extract, Point.DISCHARGE), "label_stay_days") == {"night": 1, "same": 0, "to_five": 4}
