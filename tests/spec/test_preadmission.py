"""Before an admission

At `preadmission` a booked admission is predicted at its booking (`booked_at`) from the history until then
and the plan. Planners ask of patients who are still to come: a stay that is booked and has not come yet is
scored. It is learned from once it came and was discharged. Cancelled stays are neither. A stay without a
booking time, or with one that does not lie before the admission, is no row; both are counted. Newborns,
patients under 18 and unknown ages are left out as at admission, by the age on the planned day for those
who have not come.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from features.build import rows_for_scoring
from features.dataset import DataSet
from features.points import Point
from tests.hospital import flow, hospital, rows, told


def scored(extract: DataSet) -> pd.DataFrame:
    frames = [frame for _, frame in rows_for_scoring(extract, Point.PREADMISSION)]
    return pd.concat(frames).set_index("stay_id").sort_index()


STAYS = """
    stay_id | patient_id | status     | booked_at           | planned_admission_at | admitted_at         | discharged_at       | admission_type
    came    | A          | discharged | 2024-02-20 08:00:00 | 2024-03-01 08:00:00  | 2024-03-01 08:00:00 | 2024-03-05 08:00:00 | elective
    in      | B          | in         | 2024-12-20 08:00:00 | 2024-12-30 08:00:00  | 2024-12-30 08:00:00 |                     | elective
    coming  | C          | booked     | 2024-12-28 08:00:00 | 2025-01-10 08:00:00  |                     |                     | elective
    off     | D          | cancelled  | 2024-12-28 08:00:00 | 2025-01-10 08:00:00  |                     |                     | elective
    untimed | E          | booked     |                     | 2025-01-10 08:00:00  |                     |                     | elective
    after   | F          | discharged | 2024-03-02 08:00:00 |                      | 2024-03-01 08:00:00 | 2024-03-05 08:00:00 | elective
    never   | G          | discharged |                     |                      | 2024-03-01 08:00:00 | 2024-03-05 08:00:00 | emergency
    later   | H          | booked     | 2025-01-01 08:00:00 | 2025-01-10 08:00:00  |                     |                     | elective
    """  # noqa: E501


def test_who_has_not_come_yet_is_scored_and_nothing_is_learned_from_them(tmp_path: Path) -> None:
    extract = hospital(tmp_path, stays=STAYS)
    # The extract ends on 31 December: H's booking lies after it.
    assert scored(extract).index.tolist() == ["came", "coming", "in"]
    learned = rows(extract, Point.PREADMISSION)
    assert learned.index.tolist() == ["came", "in"]
    assert told(learned, "label_readmission") == {"came": 0, "in": None}


def test_every_stay_that_is_no_row_is_counted(tmp_path: Path) -> None:
    assert flow(hospital(tmp_path, stays=STAYS), Point.PREADMISSION) == {
        "stays": 8,
        "cancelled": -1,
        "booked": -2,  # C and H
        "no_booking_time": -1,
        "merged": 0,
        "episodes": 4,
        "newborn": 0,
        "minor": 0,
        "age_unknown": 0,
        "not_booked": -2,  # F was "booked" a day after it came: its own stay would be its history
        "rows": 2,
    }


def test_age_is_that_of_the_planned_day(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        patients="""
        patient_id | birth_date
        A          | 2007-01-10
        B          | 2007-01-11
        """,
        stays="""
        stay_id | patient_id | status | booked_at  | planned_admission_at
        1       | A          | booked | 2024-12-20 | 2025-01-10
        2       | B          | booked | 2024-12-20 | 2025-01-10
        """,
    )
    # A turns 18 on the planned day, B the day after.
    assert scored(extract).index.tolist() == ["1"]


def test_a_booking_has_the_same_features_before_and_after_the_patient_came(tmp_path: Path) -> None:
    earlier = """
    stay_id | patient_id | status     | booked_at           | planned_admission_at | admitted_at         | discharged_at       | admission_type
    old     | A          | discharged |                     |                      | 2024-01-02 08:00:00 | 2024-01-09 08:00:00 | emergency
    """  # noqa: E501
    booked = "S | A | {status} | 2024-02-20 08:00:00 | 2024-03-01 08:00:00 | {dates} | elective"
    before = hospital(
        tmp_path / "before",
        observed_until="2024-02-20",
        stays=earlier + booked.format(status="booked", dates=" | "),
    )
    after = hospital(
        tmp_path / "after",
        stays=earlier + booked.format(status="discharged", dates="2024-03-02 09:00:00 | 2024-03-05 08:00:00"),
    )
    pd.testing.assert_frame_equal(scored(before), scored(after))
    assert scored(before).loc["S", "n_stays_prior_365d"] == 1
