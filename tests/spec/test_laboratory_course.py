"""Laboratory: first day, course and extremes

For each analyte the last value within 24 hours of the admission; at discharge the last haemoglobin, sodium
and creatinine. The last value counts, not the mean: clinicians act on the latest result. Of two values of
the same second the larger counts, so that the order of rows does not.

So far in the episode: the lowest haemoglobin, the highest creatinine; change as last minus first value of
the episode and, by the days between the two, a day (missing with fewer than two values); change from before
as the last value of the episode minus the last of the 365 days before the admission.

Limit: a value taken in the emergency department before the recorded admission is one from before, not of
the first day, and may be the very value that the change from before is measured against.

**HbA1c**: the latest value known, at most 365 days before the admission; at target below 7.0 %,
to the one decimal that laboratories tell, so that 53 mmol/mol (6.9995 %) is not (ADA Standards of Care in
Diabetes 2025, section 6: below 7 %, below 53 mmol/mol; `HBA1C_TARGET_PERCENT` in
`features/families/laboratory.py`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

STAYS = """
    stay_id | patient_id | admitted_at         | discharged_at
    now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00
    """
HAEMOGLOBIN = """
    patient_id | taken_at            | code  | value | unit
    7          | 2023-01-10 07:59:59 | 718-7 | 15    | g/dL
    7          | 2023-11-01 08:00:00 | 718-7 | 14    | g/dL
    7          | 2024-01-10 09:00:00 | 718-7 | 13    | g/dL
    7          | 2024-01-12 12:00:00 | 718-7 | 10    | g/dL
    7          | 2024-01-14 12:00:00 | 718-7 | 11    | g/dL
    """
ALL = replace(DEFAULT_SETTINGS, optional_features=True)


def now(folder: Path, point: Point, observations: str) -> pd.Series:
    return rows(hospital(folder, stays=STAYS, observations=observations), point, ALL).loc["now"]


def test_the_course_of_a_stay(tmp_path: Path) -> None:
    found = now(tmp_path, Point.DISCHARGE, HAEMOGLOBIN)
    assert found["haemoglobin_first_day"] == 13
    assert found["haemoglobin_at_discharge"] == 11
    assert found["haemoglobin_min"] == 10
    assert found["haemoglobin_change"] == 11 - 13
    # 10 January 09:00 to 14 January 12:00 are 4 days and 3 hours.
    assert found["haemoglobin_slope"] == pytest.approx(-2 / 4.125)
    assert found["haemoglobin_change_from_earlier"] == 11 - 14


def test_one_value_has_no_course(tmp_path: Path) -> None:
    found = now(tmp_path, Point.ADMISSION, HAEMOGLOBIN)
    assert pd.isna(found["haemoglobin_change"])
    assert pd.isna(found["haemoglobin_slope"])
    assert found["haemoglobin_change_from_earlier"] == 13 - 14


def test_a_value_of_more_than_a_year_before_is_no_earlier_one(tmp_path: Path) -> None:
    old = HAEMOGLOBIN.replace("2023-11-01", "2022-11-01")
    assert pd.isna(now(tmp_path, Point.ADMISSION, old)["haemoglobin_change_from_earlier"])


@pytest.mark.parametrize("values", [(1.2, 3.4), (3.4, 1.2)])
def test_of_two_values_of_one_moment_the_larger_counts(tmp_path: Path, values: tuple[float, float]) -> None:
    found = now(
        tmp_path,
        Point.ADMISSION,
        f"""
        patient_id | taken_at            | code   | value       | unit
        7          | 2024-01-10 09:00:00 | 2160-0 | {values[0]} | mg/dL
        7          | 2024-01-10 09:00:00 | 2160-0 | {values[1]} | mg/dL
        """,
    )
    assert (found["creatinine_first_day"], found["creatinine_max"]) == (3.4, 3.4)
    assert pd.isna(found["creatinine_change"])


@pytest.mark.parametrize(
    ("measured", "latest", "at_target"),
    [
        ({"2023-06-01 08:00:00": 6.9}, 6.9, 1),
        ({"2023-06-01 08:00:00": 6.9, "2024-01-10 20:00:00": 7.0}, 7.0, 0),
        ({"2023-01-10 07:00:00": 6.9}, None, None),
    ],
)
def test_hba1c_is_at_target_below_seven(
    tmp_path: Path, measured: dict[str, float], latest: float | None, at_target: int | None
) -> None:
    taken = "\n".join(f"7 | {at} | 4548-4 | {value} | %" for at, value in measured.items())
    found = now(tmp_path, Point.ADMISSION, f"patient_id | taken_at | code | value | unit\n{taken}")
    values = [found["hba1c_latest"], found["is_hba1c_at_target"]]
    assert [None if pd.isna(value) else value for value in values] == [latest, at_target]


@pytest.mark.parametrize(
    ("code", "value", "unit", "latest", "at_target"),
    [
        # The target is below 7 %, below 53 mmol/mol: 0.0915 * 53 + 2.15 = 6.9995, told as 7.0 %.
        ("59261-8", 53, "mmol/mol", 6.9995, 0),
        ("4548-4", 52, "mmol/mol", 6.908, 1),
        ("4548-4", 6.94, "%", 6.94, 1),
        ("4548-4", 6.96, "%", 6.96, 0),
        # A percentage by the IFCC's method is no NGSP percentage (7.0 % there are 5.3 % here): not used.
        ("59261-8", 5.3, "%", None, None),
    ],
)
def test_hba1c_is_held_against_the_target_to_one_decimal(
    tmp_path: Path, code: str, value: float, unit: str, latest: float | None, at_target: int | None
) -> None:
    found = now(
        tmp_path,
        Point.ADMISSION,
        f"""
        patient_id | taken_at            | code   | value   | unit
        7          | 2023-06-01 08:00:00 | {code} | {value} | {unit}
        """,
    )
    values = [found["hba1c_latest"], found["is_hba1c_at_target"]]
    assert [None if pd.isna(each) else each for each in values] == [latest, at_target]
