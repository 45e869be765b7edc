"""Records of every table give the same features in a batch and online, at every point, optional ones too."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.catalogue import FAMILY_OF, features_at
from features.dataset import CodeSystems, DataSet
from features.online import OnlineFeatures
from features.points import Point
from features.records import AdmissionRecords
from features.settings import DEFAULT_SETTINGS
from features.tables import TABLES
from tests.hospital import hospital, rows

SETTINGS = replace(DEFAULT_SETTINGS, optional_features=True)
TEXTS = {
    "stays": """
    stay_id | patient_id | booked_at           | planned_admission_at | admitted_at         | discharged_at       | admission_type | discharge_department | total_cost
    before  | 7          |                     |                      | 2023-06-01 08:00:00 | 2023-06-05 10:00:00 | emergency      | oncology             | 500
    now     | 7          | 2024-01-02 09:00:00 | 2024-01-10 09:00:00  | 2024-01-10 08:00:00 | 2024-01-15 10:00:00 | elective       | surgery              | 900
    other   | 8          | 2024-02-02 09:00:00 |                      | 2024-02-10 08:00:00 | 2024-02-15 10:00:00 | elective       | surgery              | 900
    """,  # noqa: E501
    "diagnoses": """
    stay_id | kind      | position | code | present_on_admission
    before  | discharge | 1        | N390 | Y
    now     | admitting | 1        | M170 |
    now     | discharge | 1        | M170 | Y
    now     | discharge | 2        | F009 | Y
    other   | discharge | 1        | M170 | Y
    """,
    "procedures": """
    stay_id | position | code | performed_at        | is_planned
    now     | 1        | 8154 | 2024-01-11 06:00:00 | true
    other   | 1        | 8154 | 2024-02-11 06:00:00 | true
    """,
    "charges": """
    stay_id | incurred_on | category       | amount
    now     | 2024-01-10  | drugs          | 100.10
    now     | 2024-01-10  | antimicrobials | 40
    now     | 2024-01-12  | surgery        | 500
    other   | 2024-02-10  | imaging        | 70
    """,
    "observations": """
    patient_id | taken_at            | code      | value | unit
    7          | 2023-11-01 08:00:00 | 718-7     | 139   | g/L
    7          | 2024-01-10 09:00:00 | 718-7     | 13    | g/dL
    7          | 2024-01-14 09:00:00 | 718-7     | 11.3  | g/dL
    7          | 2024-01-14 09:00:00 | 2951-2    | 134   | mmol/L
    7          | 2023-12-01 09:00:00 | 59261-8   | 58    | mmol/mol
    7          | 2023-12-01 09:00:00 | 100291-4  | 44    | {score}
    7          | 2024-01-14 09:00:00 | 100291-4  | 71    | {score}
    8          | 2024-02-10 09:00:00 | 2160-0    | 88.4  | umol/L
    8          | 2024-02-10 09:00:00 | 2160-0    | 88.4  | furlong
    """,
    "medications": """
    patient_id | started_at          | ended_at            | code
    7          | 2023-11-01 08:00:00 |                     | A10BA02
    7          | 2023-12-01 08:00:00 | 2024-01-10 12:00:00 | C03CA01
    7          | 2024-01-10 12:00:00 |                     | A10AB01
    8          | 2024-02-10 12:00:00 |                     | LOCAL17
    """,
    "visits": """
    visit_id | patient_id | visited_at          | kind       | cost
    1        | 7          | 2023-12-20 08:00:00 | outpatient | 30
    2        | 7          | 2024-01-10 06:00:00 | emergency  | 300
    """,
}


def records(extract: DataSet, patient_id: str) -> dict[str, list[dict[str, object]]]:
    """All of a patient's rows, those of the future too."""
    found = {}
    for name in ("patients", *TEXTS):
        sql = f"SELECT * FROM ({extract.select(TABLES[name])})"
        where = (
            f"patient_id = '{patient_id}'"
            if TABLES[name].owner == "patient_id"
            else f"stay_id IN (SELECT stay_id FROM ({extract.select(TABLES['stays'])}) "
            f"WHERE patient_id = '{patient_id}')"
        )
        table = duckdb.sql(f"{sql} WHERE {where}").to_arrow_table()
        found[name] = table.to_pylist()
    return found


@pytest.mark.parametrize("point", list(Point))
def test_batch_and_online_agree_to_the_last_bit(tmp_path: Path, point: Point) -> None:
    extract = hospital(tmp_path, observed_from="2021-01-01", **TEXTS)
    batch = rows(extract, point, SETTINGS)
    asked = [
        AdmissionRecords(str(stay), point, records(extract, patient), None, dt.date(2021, 1, 1))
        for stay, patient in batch["patient_id"].items()
    ]
    answered = OnlineFeatures(CodeSystems(diagnosis="icd10", procedure="icd9cm3"), SETTINGS).rows(asked)
    online = answered.features
    names = [feature.name for feature in features_at(point, optional=True)]
    expected = batch[names].reset_index(drop=True)
    pd.testing.assert_frame_equal(online[names], expected, check_dtype=False, check_exact=True)
    told = [any("a unit that is not known" in text for text in each) for each in answered.warnings]
    # Before the admission it lies in the future, as the other values of the stay do.
    assert told == ((batch["patient_id"] == "8") & (point is not Point.PREADMISSION)).tolist()
    # Every family has a value to compare.
    known = {FAMILY_OF[name] for name in names if expected[name].notna().any()}
    assert known == {FAMILY_OF[name] for name in names}
