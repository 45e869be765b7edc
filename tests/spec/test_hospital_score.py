"""The HOSPITAL score, simplified form (Donzé 2013; Aubert 2017), from records."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from tests.hospital import hospital, rows


@pytest.mark.parametrize(
    ("haemoglobin", "sodium", "code", "discharged_at", "admission_type", "n_before", "expected"),
    [
        # nothing applies
        (12.0, 135, "J449", "2024-01-14", "elective", 0, 0),
        # haemoglobin 1, cancer 2, sodium 1, urgent 1, five days 2, six admissions 5: 12
        (11.9, 134, "C341", "2024-01-15", "urgent", 6, 12),
        # one to five admissions: 2
        (12.0, 135, "J449", "2024-01-14", "elective", 5, 2),
    ],
)
def test_hospital_score(
    tmp_path: Path,
    haemoglobin: float,
    sodium: float,
    code: str,
    discharged_at: str,
    admission_type: str,
    n_before: int,
    expected: int,
) -> None:
    earlier = "\n".join(
        f"E{n} | 7 | 2023-{n + 2:02}-01 | 2023-{n + 2:02}-03 | elective" for n in range(1, n_before + 1)
    )
    extract = hospital(
        tmp_path,
        observed_from="2022-01-01",
        stays=f"""
        stay_id | patient_id | admitted_at | discharged_at   | admission_type
        1       | 7          | 2024-01-10  | {discharged_at} | {admission_type}
        {earlier}
        """,
        diagnoses=f"""
        stay_id | position | code   | present_on_admission
        1       | 1        | J449   | Y
        1       | 2        | {code} | Y
        """,
        observations=f"""
        patient_id | taken_at            | code   | value         | unit
        7          | 2024-01-10 12:00:00 | 718-7  | 5             | g/dL
        7          | 2024-01-12 12:00:00 | 718-7  | {haemoglobin} | g/dL
        7          | 2024-01-12 12:00:00 | 2951-2 | {sodium}      | mmol/L
        """,
    )
    # The last haemoglobin counts, not the first.
    assert rows(extract, Point.DISCHARGE).loc["1", "hospital_score"] == expected
