"""Planned returns

A return is **planned**, in three steps, by the planned readmission algorithm of the CMS Hospital-Wide
All-Cause Unplanned Readmission measure (Yale CORE), variant `cms`:

1. any procedure that is always planned: transplants (AHRQ CCS procedure categories 64, 105, 176), or a
principal diagnosis that is always planned: maintenance chemotherapy (CCS diagnosis category 45) and
rehabilitation (254); 2. else any potentially planned procedure (65 CCS procedure categories, and for
ICD-9-CM volume 3 eleven single codes) with a principal diagnosis that is not acute; 3. otherwise the
return is unplanned.

The principal diagnosis is that of the return's first stay; procedures count from every stay of the return.
Acute are the categories that the measure names whole (`planned_cms.csv`) and, by code system, those that
it names in part (`acute_diagnoses_*.csv`): by ICD-9-CM single codes of carditis, dysrhythmia, conduction
disorder, heart failure, biliary and pancreatic disease, and infarction but its subsequent care (the
measure's program of 2013); by ICD-10-CM single codes of these and others, and injuries, poisonings and
complications of devices and of care at their first treatment (seventh character A, B or C; the measure's
list of fiscal year 2019); by WHO's ICD-10 and its national editions, whose codes tell less apart, the same
as far as four characters say it. Not held: the measure's single potentially planned ICD-10-PCS codes
outside the categories.

If the principal diagnosis has no category and only a potentially planned procedure could decide, the
return cannot be judged.

Variant `front_page` (China's inpatient front page): also planned if the discharge record plans a return
within 31 days, or if the return is elective with a booked procedure, unless the return is an emergency.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from tests.hospital import hospital, rows, told

STAYS = """
    stay_id | patient_id | admitted_at | discharged_at | admission_type
    1       | 7          | 2024-01-01  | 2024-01-05    | emergency
    2       | 7          | 2024-01-12  | 2024-01-20    | elective
    """


def is_unplanned(
    folder: Path, principal: str, procedure: str | None = None, *, system: str = "icd10"
) -> float | None:
    """The label of a stay whose patient came back for `principal` and had `procedure` (ICD-9-CM volume 3)."""
    operated = "" if procedure is None else f"2 | 1 | {procedure}"
    extract = hospital(
        folder,
        stays=STAYS,
        diagnoses=f"""
        stay_id | position | code        | code_system
        1       | 1        | J449        | icd10
        2       | 1        | {principal} | {system}
        """,
        procedures=f"stay_id | position | code\n{operated}",
    )
    return told(rows(extract, Point.DISCHARGE), "label_readmission")["1"]


@pytest.mark.parametrize(
    ("principal", "procedure", "expected"),
    [
        ("J449", "4100", 0),  # step 1: bone marrow transplant (CCS 64), whatever the diagnosis
        ("Z511", None, 0),  # step 1: maintenance chemotherapy (45)
        ("Z501", None, 0),  # step 1: rehabilitation (254)
        ("I350", "3521", 0),  # step 2: valve replacement (43) for aortic stenosis, which is not acute
        ("I214", "3606", 1),  # step 3: coronary intervention (45) for an acute infarction (100)
        ("I350", "8872", 1),  # step 3: a diagnostic ultrasound plans nothing
        ("I350", None, 1),  # step 3: no procedure at all
    ],
)
def test_the_three_steps(tmp_path: Path, principal: str, procedure: str | None, expected: int) -> None:
    assert is_unplanned(tmp_path, principal, procedure) == expected


@pytest.mark.parametrize(
    ("system", "principal", "procedure", "expected"),
    [
        # Heart failure (CCS 108) and a valve replacement: decompensated is acute, chronic is not.
        ("icd10cm", "I5023", "3521", 1),
        ("icd10cm", "I5022", "3521", 0),
        ("icd9cm", "42823", "3521", 1),
        ("icd9cm", "42822", "3521", 0),
        ("icd10", "I500", "3521", 1),
        # Hip fracture (226) and a hip replacement (153): at its first treatment, and later.
        ("icd10cm", "S72001A", "8151", 1),
        ("icd10cm", "S72001D", "8151", 0),
        ("icd10gb", "S72000", "8151", 1),
        ("icd9cm", "82021", "8151", 1),
        # Gallbladder (149) and its removal (84): acute inflammation, and stones with a chronic one.
        ("icd10", "K810", "5123", 1),
        ("icd10", "K811", "5123", 0),
        ("icd10cm", "K8010", "5123", 0),
        ("icd9cm", "5750", "5123", 1),
        ("icd9cm", "57410", "5123", 0),
        # Infarction (100) and a bypass (44): by ICD-9-CM its subsequent care is not acute.
        ("icd9cm", "41011", "3611", 1),
        ("icd9cm", "41012", "3611", 0),
        # Laryngectomy is potentially planned by its single code, for cancer of the larynx (CCS 11).
        ("icd10", "C320", "304", 0),
    ],
)
def test_what_is_acute_in_part_is_told_by_the_code(
    tmp_path: Path, system: str, principal: str, procedure: str, expected: int
) -> None:
    assert is_unplanned(tmp_path, principal, procedure, system=system) == expected


def test_a_procedure_in_any_stay_of_the_return_counts(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-05 08:00:00
        A2      | A          | H1          | 2024-01-12 08:00:00 | 2024-01-13 08:00:00
        A3      | A          | H2          | 2024-01-13 09:00:00 | 2024-01-20 08:00:00
        """,
        diagnoses="stay_id | position | code\nA1 | 1 | I251\nA2 | 1 | I251\nA3 | 1 | I251",
        procedures="stay_id | position | code\nA3 | 1 | 3615",
    )
    # Came back to the first hospital and had a bypass in the second: one planned return.
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"A1": 0, "A3": 0}


def test_a_return_whose_diagnosis_has_no_category_is_not_judged_by_its_operation(tmp_path: Path) -> None:
    assert is_unplanned(tmp_path / "operated", "U99", "3615") is None
    # A transplant is planned whatever the diagnosis; without an operation nothing could make it planned.
    assert is_unplanned(tmp_path / "transplant", "U99", "4100") == 0
    assert is_unplanned(tmp_path / "plain", "U99") == 1


@pytest.mark.parametrize(
    ("variant", "planned_return", "admission_type", "booked", "expected"),
    [
        ("front_page", "true", "elective", "", 0),
        ("front_page", "true", "emergency", "", 1),  # an emergency is never the planned return
        ("front_page", "", "elective", "true", 0),
        ("front_page", "", "urgent", "true", 1),
        ("front_page", "", "elective", "false", 1),
        ("front_page", "false", "elective", "", 1),
        ("cms", "true", "elective", "true", 1),
    ],
)
def test_the_front_page_variant_takes_a_planned_return_at_its_word_unless_it_is_an_emergency(
    tmp_path: Path, variant: str, planned_return: str, admission_type: str, booked: str, expected: int
) -> None:
    extract = hospital(
        tmp_path,
        variant=variant,
        stays=f"""
        stay_id | patient_id | admitted_at | discharged_at | planned_return_31d | admission_type
        1       | 7          | 2024-01-01  | 2024-01-05    | {planned_return}   | emergency
        2       | 7          | 2024-01-12  | 2024-01-20    |                    | {admission_type}
        """,
        # 8872 is an ultrasound of the heart: no procedure that the measure calls potentially planned.
        procedures=f"stay_id | position | code | is_planned\n2 | 1 | 8872 | {booked}",
    )
    assert told(rows(extract, Point.DISCHARGE), "label_readmission")["1"] == expected


def test_the_plan_of_the_first_stay_is_not_the_plan_of_the_last(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        variant="front_page",
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | planned_return_31d | admission_type
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-03 08:00:00 | true               | urgent
        A2      | A          | H2          | 2024-01-03 09:00:00 | 2024-01-09 08:00:00 |                    | urgent
        A3      | A          | H1          | 2024-01-20 09:00:00 | 2024-01-25 08:00:00 |                    | urgent
        """,  # noqa: E501
    )
    assert told(rows(extract, Point.DISCHARGE), "label_readmission") == {"A2": 1, "A3": 0}
