"""History windows

Counts, days and costs of what happened in the 30, 90, 180 and 365 days before the admission (before the
admission of the episode's first stay; before an admission, the booking), `[anchor - window, anchor)`:
earlier stays (all, emergency, midnights in hospital, their totals), emergency and outpatient visits and
their cost. By default 30, 180 and 365 days of counts, 30 and 365 of costs and days; the others are
optional. A stay that only continued another is no further admission. A cost is missing if one in its window
is not known. A window that begins before `observed_from` is missing, not zero; an empty one is zero.

An emergency visit in the 24 hours before the admission is taken as the one that led to it: it says that the
patient came through the emergency department, and is no earlier visit. The days since the last discharge or
emergency visit and the length of the last stay look back 365 days.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

ALL = replace(DEFAULT_SETTINGS, optional_features=True)
STAYS = """
    stay_id | patient_id | admitted_at         | discharged_at       | admission_type | total_cost
    june    | 7          | 2023-06-01 08:00:00 | 2023-06-11 10:00:00 | elective       | 1000
    october | 7          | 2023-10-20 08:00:00 | 2023-10-23 10:00:00 | emergency      | 200
    now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00 | emergency      | 5000
    """
VISITS = """
    visit_id | patient_id | visited_at          | kind       | cost
    1        | 7          | 2023-12-20 08:00:00 | outpatient | 30
    2        | 7          | 2023-09-20 08:00:00 | home       | 20
    3        | 7          | 2023-08-20 08:00:00 | emergency  | 500
    4        | 7          | 2024-01-09 20:00:00 | emergency  | 400
    """


def test_each_window_holds_what_began_in_it(tmp_path: Path) -> None:
    extract = hospital(tmp_path, observed_from="2022-01-01", stays=STAYS, visits=VISITS)
    now = rows(extract, Point.ADMISSION, ALL).loc["now"]
    # 82 days before, and 223 days before.
    assert [now[f"n_stays_prior_{days}d"] for days in (30, 90, 180, 365)] == [0, 1, 1, 2]
    assert [now[f"n_emergency_stays_prior_{days}d"] for days in (30, 90, 180, 365)] == [0, 1, 1, 1]
    assert [now[f"days_in_hospital_prior_{days}d"] for days in (30, 90, 180, 365)] == [0, 3, 3, 13]
    assert [now[f"stay_cost_prior_{days}d"] for days in (30, 90, 180, 365)] == [0, 200, 200, 1200]
    # Visits 21, 112 and 143 days before, and the one that led here, whose cost was known all the same.
    assert [now[f"n_outpatient_visits_prior_{days}d"] for days in (30, 90, 180, 365)] == [1, 1, 2, 2]
    assert [now[f"n_emergency_visits_prior_{days}d"] for days in (30, 90, 180, 365)] == [0, 0, 1, 1]
    assert [now[f"visit_cost_prior_{days}d"] for days in (30, 90, 180, 365)] == [430, 430, 950, 950]
    assert now["outpatient_cost_prior_365d"] == 50
    assert now["came_through_emergency"] == 1
    assert now["days_since_last_emergency_visit"] == 143
    assert now["days_since_last_discharge"] == 79


def test_a_cost_that_is_not_known_leaves_its_windows_missing(tmp_path: Path) -> None:
    visits = VISITS.replace("home       | 20", "home       |   ")
    extract = hospital(tmp_path, observed_from="2022-01-01", stays=STAYS, visits=visits)
    now = rows(extract, Point.ADMISSION, ALL).loc["now"]
    assert now["visit_cost_prior_30d"] == 430
    assert pd.isna(now["visit_cost_prior_180d"])
    assert pd.isna(now["outpatient_cost_prior_365d"])


def test_who_comes_without_an_emergency_visit(tmp_path: Path) -> None:
    visits = VISITS.replace("2024-01-09 20:00:00", "2024-01-09 07:00:00")
    now = rows(hospital(tmp_path, stays=STAYS, visits=visits), Point.ADMISSION).loc["now"]
    # 25 hours before.
    assert now["came_through_emergency"] == 0
    assert now["n_emergency_visits_prior_30d"] == 1
