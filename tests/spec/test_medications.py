"""Medications

A course counts if it began in the 365 days before the admission or in this stay, and was known by the
prediction time. It is brought along if it began before the admission and had not ended by then; it is
active if it has not ended by the prediction time. Counts are of different substances (codes), however many
courses each has. Polypharmacy: five or more substances brought along (Masnoon et al., BMC Geriatr
2017;17:230).

Risk groups are prefixes of ATC codes (`features/codes/medication_groups_2025.csv`; ISMP list of high-alert
medications, AGS Beers Criteria, Budnitz et al., N Engl J Med 2011): anticoagulants, insulins, opioids,
cardiac glycosides, NSAIDs, sedatives and other psychotropics, cytotoxic drugs, systemic corticosteroids,
sulfonylureas, immunosuppressants; and besides, not as risks, antiplatelet drugs, diuretics, antimicrobials.
A fixed combination is in the groups of its parts. A patient takes a group if a course of it was brought
along or begun in this stay. A code that is no ATC
code, or too short to tell, makes a group unknown, not absent.
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
# Twice furosemide; apixaban ended before; metformin begun more than a year before; then insulin, morphine,
# piperacillin after the landmark, and prednisolone, which was entered two days later.
MEDICATIONS = """
    patient_id | code    | started_at          | ended_at            | known_at
    7          | C03CA01 | 2023-06-01 08:00:00 |                     |
    7          | C03CA01 | 2023-08-01 08:00:00 |                     |
    7          | B01AF02 | 2023-12-01 08:00:00 | 2024-01-05 08:00:00 |
    7          | A10BA02 | 2023-01-10 07:59:00 |                     |
    7          | A10AB01 | 2024-01-10 12:00:00 |                     |
    7          | N02AA01 | 2024-01-10 20:00:00 | 2024-01-11 07:00:00 |
    7          | J01CR05 | 2024-01-11 09:00:00 |                     |
    7          | H02AB06 | 2024-01-10 10:00:00 |                     | 2024-01-12 08:00:00
    """
ALL = replace(DEFAULT_SETTINGS, optional_features=True)


def now(folder: Path, point: Point, medications: str | None, observed_from: str = "2022-01-01") -> pd.Series:
    tables = {} if medications is None else {"medications": medications}
    extract = hospital(folder, observed_from=observed_from, stays=STAYS, **tables)
    return rows(extract, point, ALL).loc["now"]


def test_at_the_landmark(tmp_path: Path) -> None:
    found = now(tmp_path, Point.ADMISSION, MEDICATIONS)
    assert found["n_medications_before"] == 1
    assert found["n_medications_started"] == 2  # insulin, morphine
    assert found["n_medications_active"] == 2  # furosemide, insulin
    assert found["has_polypharmacy"] == 0
    takes = ("insulin", "opioid", "anticoagulant", "corticosteroid", "diuretic", "antimicrobial")
    assert [found[f"takes_{group}"] for group in takes] == [1, 1, 0, 0, 1, 0]
    assert found["n_high_risk_medication_groups"] == 2


def test_at_discharge(tmp_path: Path) -> None:
    found = now(tmp_path, Point.DISCHARGE, MEDICATIONS)
    assert found["n_medications_started"] == 4
    assert (found["takes_corticosteroid"], found["takes_antimicrobial"]) == (1, 1)
    assert found["n_high_risk_medication_groups"] == 3


def test_five_substances_are_polypharmacy(tmp_path: Path) -> None:
    codes = ("C03CA01", "C07AB07", "C09AA05", "C10AA05", "A02BC01")
    taken = "\n".join(f"7 | {code} | 2023-11-01 08:00:00" for code in codes)
    found = now(tmp_path, Point.ADMISSION, f"patient_id | code | started_at\n{taken}")
    assert (found["n_medications_before"], found["has_polypharmacy"]) == (5, 1)


@pytest.mark.parametrize(
    ("code", "opioid", "insulin"), [("LOCAL17", None, None), ("N02", None, 0), ("N02BE01", 0, 0)]
)
def test_a_code_that_does_not_tell_leaves_a_group_unknown(
    tmp_path: Path, code: str, opioid: int | None, insulin: int | None
) -> None:
    found = now(
        tmp_path,
        Point.ADMISSION,
        f"""
        patient_id | code    | started_at
        7          | {code}  | 2024-01-10 12:00:00
        7          | B01AA03 | 2024-01-10 12:00:00
        """,
    )
    assert [None if pd.isna(v) else v for v in (found["takes_opioid"], found["takes_insulin"])] == [
        opioid,
        insulin,
    ]
    assert found["takes_anticoagulant"] == 1  # warfarin says so whatever the other is
    assert found["n_medications_started"] == 2
    assert pd.isna(found["n_high_risk_medication_groups"]) == (opioid is None)


@pytest.mark.parametrize(
    ("code", "groups"),
    [
        ("A10BD02", ["sulfonylurea"]),  # metformin with a sulfonylurea
        ("C09DA01", ["diuretic"]),  # losartan with hydrochlorothiazide
        ("C07BB07", ["diuretic"]),  # bisoprolol with a thiazide
        ("C09BB04", []),  # perindopril with amlodipine
        ("M01BA01", ["corticosteroid", "nsaid"]),  # phenylbutazone with a corticosteroid
        ("N06CA01", ["sedative"]),  # amitriptyline with a psycholeptic
        ("C10BX04", ["antiplatelet"]),  # simvastatin, aspirin, ramipril
    ],
)
def test_a_fixed_combination_is_in_the_groups_of_its_parts(
    tmp_path: Path, code: str, groups: list[str]
) -> None:
    found = now(
        tmp_path, Point.ADMISSION, f"patient_id | code | started_at\n7 | {code} | 2024-01-10 12:00:00"
    )
    takes = found.filter(like="takes_")
    assert sorted(takes[takes == 1].index) == [f"takes_{group}" for group in groups]
    assert takes.notna().all()


def test_absent_is_unknown_empty_is_none_and_a_history_must_be_complete(tmp_path: Path) -> None:
    absent = now(tmp_path / "absent", Point.ADMISSION, None)
    names = ["n_medications_before", "n_medications_started", "takes_opioid", "n_high_risk_medication_groups"]
    assert absent[names].isna().all()
    empty = now(tmp_path / "empty", Point.ADMISSION, "patient_id | code | started_at")
    assert (empty[names] == 0).all()
    short = now(tmp_path / "short", Point.ADMISSION, MEDICATIONS, observed_from="2023-06-01")
    assert short[["n_medications_before", "takes_opioid"]].isna().all()
    assert short["n_medications_started"] == 2
