"""Frailty

The Hospital Frailty Risk Score (Gilbert et al., Lancet 2018;391(10132):1775-82): 109 categories of ICD-10,
three characters each, with weights of 0.1 to 7.1 (`features/codes/frailty_2018.csv`); each category counts
once. At discharge over the discharge diagnoses of the episode and of all stays of the 730 days before (the
paper: of emergency admissions), before that over the earlier stays alone. Published bands: below 5, 5 to
15, above 15.

Defined for ICD-10 alone: missing if a code of the window is in another system, if an earlier stay is not
coded yet, or if the two years are not observed.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.codes.comorbidity import frailty_flags, frailty_score_sql
from features.points import Point
from tests.hospital import hospital, rows

STAYS = """
    stay_id | patient_id | admitted_at         | discharged_at
    old     | 7          | 2021-12-01 08:00:00 | 2021-12-05 10:00:00
    before  | 7          | 2022-06-01 08:00:00 | 2022-06-05 10:00:00
    now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00
    """
# Two years before 10 January 2024 is 10 January 2022: `old` is outside.
DIAGNOSES = """
    stay_id | position | code | code_system | present_on_admission
    old     | 1        | G309 |             | Y
    before  | 1        | N390 |             | Y
    before  | 2        | G819 |             | Y
    now     | 1        | F009 |             | Y
    now     | 2        | N399 |             | Y
    now     | 3        | J449 |             | Y
    """


def scores(folder: Path, diagnoses: str, observed_from: str = "2021-01-01") -> list[float | None]:
    extract = hospital(folder, observed_from=observed_from, stays=STAYS, diagnoses=diagnoses)
    found = rows(extract, Point.DISCHARGE).loc["now", ["frailty_score_earlier", "frailty_score"]]
    return [None if pd.isna(value) else value for value in found]


def test_each_category_counts_once(tmp_path: Path) -> None:
    # Before: N39 3.2, G81 4.4. Now also F00 7.1; N39 is counted already, J44 is no category.
    assert scores(tmp_path, DIAGNOSES) == [pytest.approx(7.6), pytest.approx(14.7)]


def test_it_is_missing_where_a_code_is_not_icd_10(tmp_path: Path) -> None:
    in_icd9 = DIAGNOSES.replace(
        "now     | 3        | J449 |             ", "now     | 3        | 496  | icd9cm      "
    )
    assert scores(tmp_path / "now", in_icd9) == [pytest.approx(7.6), None]
    in_icd9 = DIAGNOSES.replace(
        "before  | 2        | G819 |             ", "before  | 2        | 34290 | icd9cm     "
    )
    assert scores(tmp_path / "before", in_icd9) == [None, None]


def test_both_years_must_be_observed(tmp_path: Path) -> None:
    assert scores(tmp_path, DIAGNOSES, observed_from="2022-02-01") == [None, None]


def test_categories_and_weights_are_those_of_the_package_pycomorb() -> None:
    import polars as pl
    import pycomorb

    codes = [f"{letter}{number:02}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for number in range(100)]
    table = pl.DataFrame({"id": codes, "code": codes})
    theirs = pycomorb.HospitalFrailtyRiskScore(table)
    expected = dict(zip(theirs["id"], theirs["HFRS Score"], strict=True))
    with duckdb.connect() as con:
        con.register("flags", frailty_flags(codes, "icd10"))
        score = frailty_score_sql("frailty_low", "frailty_high")
        ours = dict(con.execute(f"SELECT code, {score} FROM flags").fetchall())
    assert sum(weight > 0 for weight in ours.values()) == 109
    assert ours == pytest.approx(expected)
