"""Episode cost

Total of the episode and of every acute stay that starts within the window (`cost_window_days`, 30 by
default) of its discharge, whole: a stay that starts within it and ends after it counts with all of its
total. In the data set's one currency and on its one cost basis. The windows of 0, 30 and 90 days stand
side by side as `label_episode_cost_0d`, `_30d`, `_90d`; `label_episode_cost` is the one that is set, and
that models learn.

Missing while the window is open, if a stay of the episode or one that starts in the window has not ended
or has no total, or if a quarantined stay of the patient may start in it. A death does not complete the
window early: rows would then mature by their outcome.

Nothing is truncated here: training truncates (above the 99.5th percentile) and evaluation reports both.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from features.settings import FeatureSettings
from tests.hospital import hospital, quarantine, rows, told

# Stays 1 and 2 are one episode (moved to another hospital the next day), discharged on 10 January.
STAYS = """
    stay_id | patient_id | hospital_id | admitted_at | discharged_at | total_cost
    1       | 7          | H1          | 2024-01-01  | 2024-01-05    | 1000.10
    2       | 7          | H2          | 2024-01-06  | 2024-01-10    | 2000.20
    3       | 7          | H2          | 2024-01-10  | 2024-01-11    | 500.05
    4       | 7          | H1          | 2024-02-09  | 2024-03-20    | 4000.40
    5       | 7          | H1          | 2024-04-09  | 2024-04-12    | 8000.80
    """
DIAGNOSES = """
    stay_id | position | code
    1       | 1        | J449
    2       | 1        | J449
    3       | 1        | I500
    4       | 1        | J449
    5       | 1        | J449
    """


def test_every_stay_that_starts_within_the_window_counts_whole(tmp_path: Path) -> None:
    found = rows(hospital(tmp_path, stays=STAYS, diagnoses=DIAGNOSES), Point.ADMISSION)
    # The return on the day of the discharge (stay 3) lies in every window; stay 4 starts 30 days after
    # 10 January and ends in March; stay 5 starts 90 days after it.
    # 1000.10 + 2000.20 + 500.05 = 3500.35; + 4000.40 = 7500.75; + 8000.80 = 15501.55.
    assert found.loc["1", "label_episode_cost_0d"] == 3500.35
    assert found.loc["1", "label_episode_cost_30d"] == 7500.75
    assert found.loc["1", "label_episode_cost_90d"] == 15501.55
    assert told(found, "label_episode_cost")["1"] == 7500.75


@pytest.mark.parametrize(("window", "expected"), [(0, 3500.35), (29, 3500.35), (60, 7500.75), (90, 15501.55)])
def test_the_window_is_a_setting(tmp_path: Path, window: int, expected: float) -> None:
    extract = hospital(tmp_path, stays=STAYS, diagnoses=DIAGNOSES)
    found = rows(extract, Point.ADMISSION, FeatureSettings(cost_window_days=window))
    assert told(found, "label_episode_cost")["1"] == expected
    assert found.loc["1", "label_episode_cost_30d"] == 7500.75


def test_a_stay_that_is_not_costed_leaves_the_windows_unknown_that_hold_it(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | total_cost | status
        A1      | A          | 2024-01-01  | 2024-01-05    | 1000       | discharged
        A2      | A          | 2024-01-20  | 2024-01-25    |            | discharged
        B1      | B          | 2024-01-01  | 2024-01-05    | 1000       | discharged
        B2      | B          | 2024-02-20  |               | 200        | in
        C1      | C          | 2024-01-01  | 2024-01-05    |            | discharged
        """,
    )
    found = rows(extract, Point.ADMISSION)
    # A2 has no total; B2 is still going on, and its interim total is not its cost.
    assert told(found, "label_episode_cost_0d") == {
        "A1": 1000,
        "A2": None,
        "B1": 1000,
        "B2": None,
        "C1": None,
    }
    assert told(found, "label_episode_cost_30d") == {
        "A1": None,
        "A2": None,
        "B1": 1000,
        "B2": None,
        "C1": None,
    }
    assert told(found, "label_episode_cost_90d") == {
        "A1": None,
        "A2": None,
        "B1": None,
        "B2": None,
        "C1": None,
    }


def test_an_episode_of_which_one_stay_has_no_total_has_no_cost(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | hospital_id | admitted_at | discharged_at | total_cost
        1       | 7          | H1          | 2024-01-01  | 2024-01-05    |
        2       | 7          | H2          | 2024-01-05  | 2024-01-10    | 2000
        """
    assert told(rows(hospital(tmp_path, stays=stays), Point.ADMISSION), "label_episode_cost") == {"1": None}


def test_a_death_does_not_complete_the_window_early(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        observed_until="2024-01-20",
        patients="patient_id | death_date\n7 | 2024-01-10",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | total_cost
        1       | 7          | 2024-01-01  | 2024-01-05    | 1000
        """,
    )
    assert told(rows(extract, Point.ADMISSION), "label_episode_cost") == {"1": None}


# 20 January + 0 = 20 January; + 30 = 19 February; + 90 = 19 April 2024.
@pytest.mark.parametrize(
    ("unseen", "known"),
    [
        ("2023-12-31", ["0d", "30d", "90d"]),  # before the episode
        ("2024-01-02", []),
        ("2024-01-20", []),
        ("2024-02-19", ["0d"]),
        ("2024-02-20", ["0d", "30d"]),
        ("2024-04-20", ["0d", "30d", "90d"]),
        (None, []),
    ],
)
def test_a_quarantined_stay_leaves_the_windows_unknown_in_which_it_may_start(
    tmp_path: Path, unseen: str | None, known: list[str]
) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | total_cost
        1       | 7          | 2024-01-01  | 2024-01-20    | 1000
        """,
    )
    quarantine(extract, "7", unseen)
    found = rows(extract, Point.DISCHARGE).loc["1"]
    assert [d for d in ("0d", "30d", "90d") if found[f"label_episode_cost_{d}"] == 1000] == known


def test_a_cost_that_the_extract_supplies_is_used_as_it_is(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | total_cost
        1       | 7          | 2024-01-01  | 2024-01-05    | 1000
        """,
        outcomes="stay_id | episode_cost\n1 | 1234.56",
    )
    assert told(rows(extract, Point.ADMISSION), "label_episode_cost") == {"1": 1234.56}
