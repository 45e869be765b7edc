"""Index charges and days of the stay

`label_index_charges` is the total of the stay that is scored alone, nominal and untruncated: what a
payment is settled against. `label_stay_days` are its midnights; a same-day stay is 0. Both are of the
stay, not of the episode: at `admission` of the episode's first stay, at `discharge` of its last. Both are
known once the episode has ended.
"""

from __future__ import annotations

from pathlib import Path

from features.points import Point
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
