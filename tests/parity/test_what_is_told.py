"""What of the records could not be used, and of what there was none: told alike in a batch and online."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.build import rows_for_scoring
from features.catalogue import CATALOGUE, features_at
from features.dataset import CodeSystems, DataSet
from features.evidence import EVIDENCE
from features.online import OnlineFeatures, OnlineRows
from features.points import Point
from features.records import AdmissionRecords
from features.settings import DEFAULT_SETTINGS
from features.tables import TABLES
from tests.admission_rows import FACT
from tests.hospital import hospital

SYSTEMS = CodeSystems(diagnosis="icd10", procedure="icd9cm3")
FACTS = tuple(replace(FACT, name=name) for name in ("score", "late"))
HISTORY_FROM = dt.date(2023, 1, 1)
LATE = "1 rows lie after the prediction time and are ignored"
PATIENTS = ("patients", "stays", "diagnoses", "procedures", "charges", "observations", "medications",
            "visits", "facts")  # fmt: skip


def records(extract: DataSet, patient_id: str) -> AdmissionRecords:
    """All of the patient's rows, those of the future too."""
    stays = f"(SELECT stay_id FROM ({extract.select(TABLES['stays'])}) WHERE patient_id = '{patient_id}')"
    found = {}
    for name in filter(extract.has, PATIENTS):
        is_patients = TABLES[name].owner == "patient_id"
        where = f"patient_id = '{patient_id}'" if is_patients else f"stay_id IN {stays}"
        sql = f"SELECT * FROM ({extract.select(TABLES[name])}) WHERE {where}"
        found[name] = duckdb.sql(sql).to_arrow_table().to_pylist()
    return AdmissionRecords(f"now{patient_id}", Point.ADMISSION, found, None, HISTORY_FROM)


def batch(extract: DataSet, point: Point = Point.ADMISSION) -> pd.DataFrame:
    read = (*features_at(point), *FACTS)
    frames = [frame for _, frame in rows_for_scoring(extract, point, read=read)]
    return pd.concat(frames).set_index("stay_id")


def online(extract: DataSet, patients: Collection[str], point: Point = Point.ADMISSION) -> OnlineRows:
    asked = [replace(records(extract, each), point=point) for each in patients]
    return OnlineFeatures(SYSTEMS, DEFAULT_SETTINGS).rows(asked, FACTS)


def test_what_no_feature_can_use_is_counted_and_not_shown(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        now7    | 7          | 2024-06-10 08:00:00 | 2024-06-15 10:00:00
        now8    | 8          | 2024-06-10 08:00:00 | 2024-06-15 10:00:00
        """,
        diagnoses="""
        stay_id | kind      | position | code
        now7    | admitting | 1        | U998
        now8    | admitting | 1        | J449
        """,
        # Of patient 7: potassium of 56 for 5.6 mmol/L, albumin in g/L and creatinine in µmol/L under other
        # units' names, a code of the house twice, a unit of nobody. A value of 2022 counts for no feature.
        observations="""
        patient_id | taken_at            | code     | value | unit
        7          | 2024-06-10 12:00:00 | 2823-3   | 56    | mmol/L
        7          | 2024-06-10 12:00:00 | 1751-7   | 35    | g/dL
        7          | 2024-06-10 12:00:00 | 2160-0   | 88    | mg/dL
        7          | 2024-06-10 12:00:00 | HAUS-17  | 4     | mmol/L
        7          | 2024-06-10 13:00:00 | HAUS-17  | 5     | mmol/L
        7          | 2024-06-10 12:00:00 | 718-7    | 13    | furlong
        7          | 2024-06-10 12:00:00 | 2951-2   | 140   | mmol/L
        7          | 2022-06-10 12:00:00 | 2823-3   | 56    | mmol/L
        7          | 2024-06-12 12:00:00 | 2823-3   | 56    | mmol/L
        8          | 2024-06-10 12:00:00 | 2823-3   | 5.6   | mmol/L
        """,
        medications="""
        patient_id | started_at          | code
        7          | 2024-06-10 12:00:00 | LOCAL17
        7          | 2024-06-10 12:00:00 | A10BA02
        8          | 2024-06-10 12:00:00 | a10
        """,
        facts="""
        stay_id | name   | value | available_from
        now7    | unread | 3     | admission
        now7    | late   | 3     | discharge
        now7    | score  | much  | admission
        now8    | score  | 3     | admission
        """,
    )
    expected = [
        "1 code is not in the code set of icd10: treated as unknown",
        "observations: 3 rows outside the plausible range of their test: not used",
        "observations: 2 rows with a code that no feature reads: not used",
        "medications: 1 row with a code that is not ATC: counted, their groups are unknown",
        "facts: 1 row that no model reads: not used",
        "facts: 1 row known at a later prediction point only: not used",
        "facts: 1 row without the number that the model learned from: not used",
        "1 values are in a unit that is not known and are not used",
    ]
    told = batch(extract)["row_warnings"].to_dict()
    assert told == {"now7": expected, "now8": []}
    # Beside them, online alone: the potassium of the third day.
    assert online(extract, "78").warnings == [[*expected, LATE], []]
    shown = " ".join(expected)
    assert not any(text in shown for text in ("56", "35", "88", "HAUS", "LOCAL17", "U99", "furlong", "much"))


NOTHING = """
stay_id | patient_id | admitted_at         | discharged_at       | booked_at
now7    | 7          | 2024-06-10 08:00:00 | 2024-06-15 10:00:00 |
now8    | 8          | 2023-06-10 08:00:00 | 2023-06-15 10:00:00 |
now9    | 9          | 2024-06-10 08:00:00 | 2024-06-15 10:00:00 |
"""
IN_YEAR = {"n_stays_without_end", "n_visits_of_unknown_kind", "n_unused_values_in_year"}
OF_PROCEDURES = {"n_possible_operations", "n_possible_plans"}


@pytest.fixture
def little_known(tmp_path: Path) -> DataSet:
    """Of patients 7 and 8 nothing is known before the stay or of it; of 9 much is left open.

    The history of 8 reaches back less than a year.
    """
    return hospital(
        tmp_path,
        stays=NOTHING,
        procedures="""
        stay_id | code | performed_at        | is_planned
        now9    | 8154 | 2024-06-10 12:00:00 |
        """,
        charges="stay_id | incurred_on | category | amount\nnow9 | 2024-06-10 | antimicrobials | 40",
        observations="""
        patient_id | taken_at            | code   | value | unit
        9          | 2024-06-10 12:00:00 | 2823-3 | 56    | mmol/L
        """,
        visits="visit_id | patient_id | visited_at | kind\n1 | 9 | 2024-05-10 08:00:00 | outpatient",
    )


def test_none_is_told_from_unknown(little_known: DataSet) -> None:
    told = batch(little_known)["row_none"].to_dict()
    of_the_stay = {"n_charges", "n_unused_values", *OF_PROCEDURES}
    assert told["now7"] == of_the_stay | IN_YEAR
    # Since 1 January 2023: half a year before the admission.
    assert told["now8"] == of_the_stay
    at_discharge = batch(little_known, Point.DISCHARGE)["row_none"].to_dict()
    assert at_discharge["now7"] == of_the_stay | IN_YEAR | {"n_procedures_of_stay"}
    for point in (Point.ADMISSION, Point.DISCHARGE):
        found = online(little_known, "78", point)
        both = batch(little_known, point)["row_none"]
        assert found.none == [both["now7"], both["now8"]]


def test_what_is_open_is_not_told_as_none(little_known: DataSet) -> None:
    found = online(little_known, "9")
    # A value that is not plausible, an operation that may have been planned, charges: it is known that there
    # was no stay before, and that no visit was an emergency.
    assert found.none == [{"n_stays_without_end", "n_visits_of_unknown_kind"}]
    row = found.features.iloc[0]
    assert row[["potassium_first_day", "planned_procedure_group", "charges_so_far"]].isna().all()


def test_a_table_that_was_not_sent_leaves_open_whether_there_was_none(little_known: DataSet) -> None:
    asked = records(little_known, "7")
    tables = {name: asked.tables[name] for name in ("patients", "stays", "diagnoses")}
    bare = OnlineFeatures(SYSTEMS, DEFAULT_SETTINGS).rows([replace(asked, tables=tables)])
    assert not bare.none[0] & {"n_charges", "n_visits_of_unknown_kind", *OF_PROCEDURES}
    assert "n_stays_without_end" in bare.none[0]


def test_every_feature_that_can_be_missing_for_none_names_a_count_that_is_made() -> None:
    named = {feature.none_if_zero for feature in CATALOGUE.values()} - {""}
    assert named == EVIDENCE
    # Nothing that has a value for none is missing for none.
    assert all(feature.when_none is None for feature in CATALOGUE.values() if feature.none_if_zero)
