"""Superseded discharges

A score given at a discharge after which the stay was continued (a transfer, a split stay, an overlapping
stay) is **superseded**: the episode's last discharge is the one that is learned from and judged. The
cohort flow at `discharge` counts every discharge of which this is so. A nightly run cannot know of a
continuation that is still to come: it scores such a discharge, and no evaluation holds the score.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from features.build import rows_for_scoring
from features.points import Point
from tests.hospital import built, flow, hospital, rows

STAYS = """
    stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | status
    A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00 | discharged
    A2      | A          | H2          | 2024-01-05 12:00:00 | 2024-01-09 10:00:00 | discharged
    A3      | A          | H3          | 2024-01-10 12:00:00 | 2024-01-15 10:00:00 | discharged
    B1      | B          | H1          | 2024-03-01 08:00:00 | 2024-03-05 10:00:00 | discharged
    B2      | B          | H1          | 2024-03-05 20:00:00 | 2024-03-09 10:00:00 | discharged
    C1      | C          | H1          | 2024-12-20 08:00:00 | 2024-12-28 10:00:00 | discharged
    C2      | C          | H2          | 2024-12-28 12:00:00 |                     | in
    """


def test_every_superseded_discharge_is_counted_and_only_the_last_is_a_row(tmp_path: Path) -> None:
    extract = hospital(tmp_path, stays=STAYS)
    counted = flow(extract, Point.DISCHARGE)
    # A1 and A2 were continued by transfers, B1 by its second half, C1 by a stay that goes on.
    assert (counted["stays"], counted["superseded"], counted["merged"], counted["episodes"]) == (7, -4, 0, 3)
    assert counted["still_in_hospital"] == -1
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["A3", "B2"]
    meanings = {step.step: step.meaning for step in built(extract, Point.DISCHARGE).flow}
    assert "superseded" in meanings["superseded"]


def test_before_discharge_the_same_stays_are_merged_into_those_that_are_scored(tmp_path: Path) -> None:
    counted = flow(hospital(tmp_path, stays=STAYS), Point.ADMISSION)
    assert (counted["merged"], counted["episodes"], counted["rows"]) == (-4, 3, 3)
    assert "superseded" not in counted


def test_two_stays_that_both_go_on_are_merged_and_no_discharge_is_superseded(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at | status
        1       | 7          | H1          | 2024-12-20  |               | in
        2       | 7          | H2          | 2024-12-22  |               | in
        """,
    )
    counted = flow(extract, Point.DISCHARGE)
    assert (counted["superseded"], counted["merged"], counted["episodes"]) == (0, -1, 1)


def test_a_nightly_run_scores_a_discharge_whose_continuation_is_still_to_come(tmp_path: Path) -> None:
    # The extract of 5 March, 12 o'clock, knows B's first half alone.
    tonight = hospital(
        tmp_path,
        observed_until="2024-03-05",
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | status
        B1      | B          | H1          | 2024-03-01 08:00:00 | 2024-03-05 10:00:00 | discharged
        """,
    )
    since = dt.datetime(2024, 3, 5)
    scored = [
        stay
        for _, frame in rows_for_scoring(tonight, Point.DISCHARGE, since=since)
        for stay in frame["stay_id"]
    ]
    assert scored == ["B1"]
