"""FHIR: which diagnosis counts as the admitting one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_source_fhir import (
    HEART_FAILURE,
    ICD10,
    PATIENT,
    STAY,
    changed,
    diagnosis,
    rows,
    taken,
)

PNEUMONIA = diagnosis("c2", "J18.9")
CHEST_PAIN = {"coding": [{"system": ICD10, "code": "R07.4"}]}
SNOMED = {"coding": [{"system": "http://snomed.info/sct", "code": "29857009"}], "text": "Chest pain"}
OF_C = {"reference": "Condition/c"}
AD = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/diagnosis-role", "code": "AD"}]}
WHAT = "kind | position | code"


def test_a_diagnosis_whose_use_is_admission_is_the_admitting_one(tmp_path: Path) -> None:
    stay = changed(
        STAY, diagnosis=[{"condition": OF_C, "use": AD}], reasonReference=[{"reference": "Condition/c2"}]
    )
    out = taken(tmp_path, PATIENT, stay, HEART_FAILURE, PNEUMONIA)
    # What is called admitting is; the reason is not asked then, and stays a diagnosis of the stay.
    assert rows(out, "diagnoses", WHAT) == [["admitting", "1", "I500"], ["discharge", "1", "J189"]]


def test_without_one_the_condition_that_the_stay_is_for_is(tmp_path: Path) -> None:
    stay = changed(STAY, reasonReference=[OF_C])
    recorded = changed(HEART_FAILURE, recordedDate="2024-02-01T09:30:00+08:00")
    out = taken(tmp_path, PATIENT, stay, recorded, PNEUMONIA)
    assert rows(out, "diagnoses", f"{WHAT} | known_at") == [
        ["admitting", "1", "I500", "2024-02-01 09:30:00"],
        ["discharge", "2", "I500", "2024-02-01 09:30:00"],
        ["discharge", "3", "J189", None],
    ]


def test_a_problem_that_the_stay_is_for_is_its_admitting_diagnosis_alone(tmp_path: Path) -> None:
    problem = changed(HEART_FAILURE, category=[{"coding": [{"code": "problem-list-item"}]}], encounter=None)
    out = taken(tmp_path, PATIENT, changed(STAY, reasonReference=[OF_C]), problem)
    assert rows(out, "diagnoses", WHAT) == [["admitting", "1", "I500"]]


def test_a_reason_given_as_a_code_of_icd_is_and_makes_the_table(tmp_path: Path) -> None:
    out = taken(tmp_path, PATIENT, changed(STAY, reasonCode=[CHEST_PAIN]))
    assert rows(out, "diagnoses", WHAT) == [["admitting", "1", "R074"]]


@pytest.mark.parametrize(
    "reason",
    [
        {"reasonCode": [SNOMED]},
        {"reasonCode": [{"text": "Chest pain"}]},
        {"reasonReference": [{"reference": "Condition/gone"}]},
        {"reasonReference": [{"reference": "Observation/o"}]},
        {"reasonReference": [{"reference": "Condition/c3"}]},
    ],
    ids=["SNOMED", "words", "not sent", "no diagnosis", "a Condition in SNOMED"],
)
def test_other_reasons_are_none_and_break_no_rule(tmp_path: Path, reason: dict[str, Any]) -> None:
    problem = changed(
        HEART_FAILURE, id="c3", code=SNOMED, category=[{"coding": [{"code": "problem-list-item"}]}]
    )
    out = taken(tmp_path, PATIENT, changed(STAY, **reason), HEART_FAILURE, problem)
    assert rows(out, "diagnoses", WHAT) == [["discharge", "1", "I500"]]
    assert not (out / "quarantine" / "diagnoses.parquet").exists()


def test_the_reason_of_a_transfer_is_none_for_the_admission(tmp_path: Path) -> None:
    ward = changed(STAY, id="t", partOf={"reference": "Encounter/s"}, reasonReference=[OF_C])
    out = taken(tmp_path, PATIENT, STAY, ward, HEART_FAILURE)
    assert rows(out, "diagnoses", WHAT) == [["discharge", "1", "I500"]]
