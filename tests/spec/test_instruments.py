"""Instrument scores

Modified Rankin scale (0 to 6, lower is better; van Swieten et al., Stroke 1988;19(5):604-7), Harris hip
score (0 to 100, higher is better; Harris, J Bone Joint Surg Am 1969;51(4):737-55) and DAS28 (0 to 10, lower
is better; Prevoo et al., Arthritis Rheum 1995;38(1):44-8), by LOINC code or local name
(`features/codes/measure_codes_2025.csv`).

Baseline is the last score of the 365 days before the admission or of the day of admission; follow-up the
last one after that day by the prediction time; change is follow-up minus baseline. A score outside its
range is not used.
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
ALL = replace(DEFAULT_SETTINGS, optional_features=True)


@pytest.mark.parametrize(
    ("code", "unit", "name"),
    [
        ("75859-9", "{score}", "modified_rankin_scale"),
        ("mRS", "points", "modified_rankin_scale"),
        ("100291-4", "{score}", "harris_hip_score"),
        ("DAS28-CRP", "1", "das28"),
    ],
)
def test_baseline_follow_up_and_change(tmp_path: Path, code: str, unit: str, name: str) -> None:
    extract = hospital(
        tmp_path,
        stays=STAYS,
        observations=f"""
        patient_id | taken_at            | code   | value | unit
        7          | 2022-12-01 08:00:00 | {code} | 5     | {unit}
        7          | 2023-10-01 08:00:00 | {code} | 1     | {unit}
        7          | 2024-01-10 15:00:00 | {code} | 4     | {unit}
        7          | 2024-01-12 09:00:00 | {code} | 2     | {unit}
        7          | 2024-01-14 09:00:00 | {code} | 3     | {unit}
        7          | 2024-01-14 10:00:00 | {code} | 101   | {unit}
        7          | 2024-02-14 10:00:00 | {code} | 0     | {unit}
        """,
    )
    at_discharge = rows(extract, Point.DISCHARGE, ALL).loc["now"]
    # Of the day of admission, after the patient came: baseline still.
    assert at_discharge[f"{name}_baseline"] == 4
    assert at_discharge[f"{name}_followup"] == 3
    assert at_discharge[f"{name}_change"] == -1
    assert rows(extract, Point.ADMISSION).loc["now", f"{name}_baseline"] == 4


def test_without_a_score_there_is_no_baseline(tmp_path: Path) -> None:
    none = "patient_id | taken_at | code | value | unit"
    found = rows(hospital(tmp_path, stays=STAYS, observations=none), Point.DISCHARGE, ALL).loc["now"]
    for name in ("modified_rankin_scale", "harris_hip_score", "das28"):
        assert pd.isna(found[f"{name}_baseline"])
        assert pd.isna(found[f"{name}_change"])
