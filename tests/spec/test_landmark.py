"""The landmark of admissions

A prediction at `admission` is made a set time after the admission (`landmark_hours`, 24 by default, kept
with the model). A row is a patient who is still in hospital then. Who was discharged or died by the
landmark, at its very hour included, is counted out, whoever of them comes back: what happened after the
landmark makes nobody a row. A patient who was moved to another hospital by then is in a bed and stays in.

The prediction time is admission plus `landmark_hours`; nothing that became known later is used. With a
landmark of 0 everyone is a row but those whose stay has no length.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import built, flow, hospital, rows

STAYS = """
    stay_id | patient_id | admitted_at         | discharged_at
    none    | A          | 2024-01-01 08:00:00 | 2024-01-01 08:00:00
    five    | B          | 2024-01-01 08:00:00 | 2024-01-01 13:00:00
    six     | C          | 2024-01-01 08:00:00 | 2024-01-01 14:00:00
    day     | D          | 2024-01-01 08:00:00 | 2024-01-02 08:00:00
    more    | E          | 2024-01-01 08:00:00 | 2024-01-02 08:00:01
    three   | F          | 2024-01-01 08:00:00 | 2024-01-04 08:00:00
    week    | G          | 2024-01-01 08:00:00 | 2024-01-08 08:00:00
    """


@pytest.mark.parametrize(
    ("hours", "present"),
    [
        (0.0, ["day", "five", "more", "six", "three", "week"]),
        (6.0, ["day", "more", "three", "week"]),
        (24.0, ["more", "three", "week"]),
        (72.0, ["week"]),
    ],
)
def test_who_left_by_the_landmark_is_counted_out(tmp_path: Path, hours: float, present: list[str]) -> None:
    extract = hospital(tmp_path, stays=STAYS)
    made = built(extract, Point.ADMISSION, replace(DEFAULT_SETTINGS, landmark_hours=hours))
    left = {step.step: step for step in made.flow}["left_before_landmark"]
    assert left.n == -(7 - len(present))
    assert left.meaning == f"discharged or died within {hours:g} hours of admission"
    found = made.read().set_index("stay_id").sort_index()
    assert found.index.tolist() == present
    assert (found["prediction_time"] == pd.Timestamp("2024-01-01 08:00") + pd.Timedelta(hours=hours)).all()


def test_at_discharge_every_stay_is_a_row_however_short(tmp_path: Path) -> None:
    assert len(rows(hospital(tmp_path, stays=STAYS), Point.DISCHARGE)) == 7


def test_who_goes_home_before_the_landmark_is_no_row_whoever_comes_back(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-01 18:00:00
        A2      | A          | H1          | 2024-01-02 04:00:00 | 2024-01-05 08:00:00
        B1      | B          | H1          | 2024-01-01 08:00:00 | 2024-01-01 18:00:00
        C1      | C          | H1          | 2024-01-01 08:00:00 | 2024-01-01 18:00:00
        C2      | C          | H2          | 2024-01-01 19:00:00 | 2024-01-05 08:00:00
        D1      | D          | H1          | 2024-01-01 08:00:00 | 2024-01-02 08:00:00
        """,
    )
    # At 2 January 08:00 A and B look the same: gone home after 10 hours. That A's return continues the stay
    # (a split stay) is known at its coding, on 5 January. C was moved: in a bed. D left at the landmark.
    assert rows(extract, Point.ADMISSION).index.tolist() == ["C1"]
    assert flow(extract, Point.ADMISSION)["left_before_landmark"] == -3


def test_a_death_before_the_landmark_is_counted_out_and_one_after_it_is_a_row(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at       | discharge_disposition
        soon    | A          | 2024-01-01 08:00:00 | 2024-01-01 18:00:00 | died
        late    | B          | 2024-01-01 08:00:00 | 2024-01-03 18:00:00 | died
        """,
    )
    assert rows(extract, Point.ADMISSION).index.tolist() == ["late"]
