"""Combination therapy

Drugs of two or more complementary mechanisms against one condition, brought along or given in this stay.
Mechanisms are prefixes of ATC codes (`features/codes/medication_mechanisms_2025.csv`, WHO ATC index 2025):
for diabetes, hypertension, heart failure, rheumatoid arthritis, obstructive lung disease (COPD, asthma),
thrombosis and lipids. A fixed combination has several mechanisms in one code. Two drugs of one mechanism
are no combination; conventional DMARDs of different mechanisms are one, as in triple therapy. It says
nothing of the indication: an ACE inhibitor with a beta blocker counts for hypertension and, where the beta
blocker is one with evidence there, for heart failure. Unknown where a code does not tell.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

ALL = replace(DEFAULT_SETTINGS, optional_features=True)


@pytest.mark.parametrize(
    ("codes", "combined"),
    [
        (["A10BA02", "A10BH01"], ["diabetes"]),  # metformin, sitagliptin
        (["A10BD07"], ["diabetes"]),  # both in one tablet
        (["A10BB01", "A10BB12"], []),  # two sulfonylureas
        (["A10AE56"], ["diabetes"]),  # insulin with liraglutide
        (["A10BH51"], []),  # sitagliptin with simvastatin: one mechanism of each condition
        (["C09AA05", "C07AB07"], ["hypertension", "heart_failure"]),  # ramipril, bisoprolol
        (["C09AA05", "C07AB03"], ["hypertension"]),  # atenolol has no evidence in heart failure
        (["C09BA05"], ["hypertension"]),  # ramipril with a diuretic
        (["C09BX05"], ["hypertension", "heart_failure"]),  # ramipril with bisoprolol
        (["C09DX05"], ["hypertension", "heart_failure"]),  # valsartan with nebivolol
        (["C10BX03", "C09CA03"], ["hypertension"]),  # atorvastatin with amlodipine, valsartan
        (["C10BX04"], []),  # simvastatin, aspirin, ramipril: one mechanism of each condition
        (["A10BD15", "C03DA01"], ["diabetes", "heart_failure"]),  # metformin with dapagliflozin
        (["L04AX03", "L04AB04"], ["rheumatoid_arthritis"]),  # methotrexate, adalimumab
        (["L04AX03", "P01BA02", "A07EC01"], ["rheumatoid_arthritis"]),  # triple therapy, all conventional
        (["R03AK06"], ["obstructive_lung_disease"]),  # salmeterol with fluticasone
        (["B01AF02", "B01AC06"], ["thrombosis"]),  # apixaban, aspirin
        (["B01AX05", "B01AC06"], ["thrombosis"]),  # fondaparinux, aspirin
        (["C10AA05", "C10AX09"], ["lipids"]),  # atorvastatin, ezetimibe
        (["C10BA10"], ["lipids"]),  # bempedoic acid with ezetimibe
        (["C10BA10", "C10AX09"], ["lipids"]),
        (["C10BA11"], ["lipids"]),  # pravastatin with ezetimibe
        (["C03CA01"], []),
    ],
)
def test_mechanisms_are_counted_not_drugs(tmp_path: Path, codes: list[str], combined: list[str]) -> None:
    found = treated_with(tmp_path, codes)
    flags = found.filter(like="has_combination_therapy_")
    assert sorted(flags[flags == 1].index) == sorted(f"has_combination_therapy_{name}" for name in combined)
    assert flags.notna().all()
    assert found["n_combination_therapies"] == len(combined)


def test_a_code_that_does_not_tell_leaves_it_unknown(tmp_path: Path) -> None:
    found = treated_with(tmp_path, ["A10BA02", "A10BH01", "LOCAL17"])
    assert found["has_combination_therapy_diabetes"] == 1
    assert pd.isna(found["has_combination_therapy_lipids"])
    assert pd.isna(found["n_combination_therapies"])


def treated_with(folder: Path, codes: list[str]) -> pd.Series:
    given = "\n".join(f"7 | {code} | 2024-01-10 12:00:00" for code in codes)
    extract = hospital(
        folder,
        observed_from="2022-01-01",
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00
        """,
        medications=f"patient_id | code | started_at\n{given}",
    )
    return rows(extract, Point.ADMISSION, ALL).loc["now"]
