"""HOSPITAL

At discharge (Donzé et al., JAMA Intern Med 2013;173(8):632-8): last haemoglobin below 12 g/dL 1; discharged
from an oncology service 2; last sodium below 135 mmol/L 1; any procedure 1; urgent or emergent admission 1
(by the first stay of the episode); five nights or more 2; admissions of the year before 0, 2 or 5: 0 to 13
points. Bands: 0–4, 5–6, 7 and more.

`hospital_score` is the simplified form (Aubert et al., Swiss Med Wkly 2017;147:w14335): no procedure, and a
cancer diagnosis for the oncology service, 0 to 12 points. `hospital_score_full` is the published one; a
department counts as one of oncology by its name or its number in the national catalogue of China
(`features/codes/oncology_departments_2025.csv`), so that a hospital with numbers of its own must name it.
Admissions of the year before by the cuts 0 / 1–5 / more than 5; the optional `…_from_2` by 0–1 / 2–5 / more
than 5.

Missing where an input is unknown.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.dataset import DataSet
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

ALL = replace(DEFAULT_SETTINGS, optional_features=True)


def patient(
    folder: Path,
    *,
    haemoglobin: float = 12.0,
    sodium: int = 135,
    code: str = "J449",
    discharged_at: str = "2024-01-14",
    admission_type: str = "elective",
    department: str = "cardiology",
    n_before: int = 0,
    n_procedures: int = 0,
    without: tuple[str, ...] = (),
) -> DataSet:
    earlier = "\n".join(
        f"E{n} | 7 | 2023-{n + 2:02}-01 | 2023-{n + 2:02}-03 | elective | x" for n in range(1, n_before + 1)
    )
    performed = "\n".join(f"1 | {n} | 8872 | 2024-01-10 12:00:00" for n in range(1, n_procedures + 1))
    return hospital(
        folder,
        observed_from="2022-01-01",
        without=without,
        stays=f"""
        stay_id | patient_id | admitted_at | discharged_at   | admission_type   | discharge_department
        1       | 7          | 2024-01-10  | {discharged_at} | {admission_type} | {department}
        {earlier}
        """,
        diagnoses=f"""
        stay_id | position | code   | present_on_admission
        1       | 1        | J449   | Y
        1       | 2        | {code} | Y
        """,
        procedures=f"stay_id | position | code | performed_at\n{performed}",
        observations=f"""
        patient_id | taken_at            | code   | value         | unit
        7          | 2024-01-10 12:00:00 | 718-7  | 5             | g/dL
        7          | 2024-01-12 12:00:00 | 718-7  | {haemoglobin} | g/dL
        7          | 2024-01-12 12:00:00 | 2951-2 | {sodium}      | mmol/L
        """,
    )


@pytest.mark.parametrize(
    ("of", "simplified", "full"),
    [
        ({}, 0, 0),  # nothing applies; the last haemoglobin counts, not the first
        ({"haemoglobin": 11.9, "sodium": 134}, 2, 2),
        ({"admission_type": "urgent", "discharged_at": "2024-01-15"}, 1 + 2, 1 + 2),
        ({"code": "C341"}, 2, 0),  # a cancer diagnosis, on a ward of cardiology
        ({"department": "Medical Oncology"}, 0, 2),
        ({"department": "肿瘤内科"}, 0, 2),
        ({"department": "19.02"}, 0, 2),
        ({"department": "190"}, 0, 0),
        ({"n_procedures": 3}, 0, 1),
        ({"n_before": 1}, 2, 2),
        ({"n_before": 5}, 2, 2),
        ({"n_before": 6}, 5, 5),
        (
            {"haemoglobin": 11.9, "sodium": 134, "code": "C341", "department": "oncology", "n_procedures": 1,
             "admission_type": "emergency", "discharged_at": "2024-01-15", "n_before": 6},
            12,
            13,
        ),
    ],
)  # fmt: skip
def test_both_forms(tmp_path: Path, of: dict[str, object], simplified: int, full: int) -> None:
    found = rows(patient(tmp_path, **of), Point.DISCHARGE).loc["1"]  # type: ignore[arg-type]
    assert (found["hospital_score"], found["hospital_score_full"]) == (simplified, full)


@pytest.mark.parametrize(("n_before", "expected"), [(0, 0), (1, 0), (2, 2), (5, 2), (6, 5)])
def test_the_other_published_cut(tmp_path: Path, n_before: int, expected: int) -> None:
    found = rows(patient(tmp_path, n_before=n_before), Point.DISCHARGE, ALL).loc["1"]
    assert (found["hospital_score_from_2"], found["hospital_score_full_from_2"]) == (expected, expected)


def test_a_form_is_missing_where_one_of_its_inputs_is_unknown(tmp_path: Path) -> None:
    unnamed = rows(patient(tmp_path / "a", department=""), Point.DISCHARGE).loc["1"]
    assert unnamed["hospital_score"] == 0
    assert pd.isna(unnamed["hospital_score_full"])
    uncoded = rows(patient(tmp_path / "b", without=("procedures",)), Point.DISCHARGE).loc["1"]
    assert uncoded["hospital_score"] == 0
    assert pd.isna(uncoded["hospital_score_full"])
    unmeasured = rows(patient(tmp_path / "c", without=("observations",)), Point.DISCHARGE).loc["1"]
    assert unmeasured[["hospital_score", "hospital_score_full"]].isna().all()


def test_of_a_transferred_patient_the_first_admission_counts(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        observed_from="2022-01-01",
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | admission_type | discharge_department
        1       | 7          | H1          | 2024-01-10 08:00:00 | 2024-01-11 10:00:00 | emergency      | cardiology
        2       | 7          | H2          | 2024-01-11 11:00:00 | 2024-01-13 10:00:00 | elective       | cardiology
        """,  # noqa: E501
        observations="""
        patient_id | taken_at            | code   | value | unit
        7          | 2024-01-12 12:00:00 | 718-7  | 13    | g/dL
        7          | 2024-01-12 12:00:00 | 2951-2 | 140   | mmol/L
        """,
    )
    # Three nights; the urgency of the first admission is the one point.
    found = rows(extract, Point.DISCHARGE).loc["2"]
    assert (found["hospital_score"], found["hospital_score_full"]) == (1, 1)
