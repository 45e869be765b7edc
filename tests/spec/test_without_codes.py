"""Without diagnosis codes

An extract may hold no coded diagnoses at all: its declaration then names no code system for them. What rests
on codes is unknown, never "no": features of diagnoses, scores that need them, whether a return was planned
and complications are missing; dates, costs and what the extract supplies ready-made stay. Where a code system
is declared, the table is required.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from features.catalogue import CATALOGUE
from features.dataset import CodeSystems, open_dataset
from features.ingest import ingest
from features.online import OnlineFeatures
from features.points import Point
from features.quality.check import check
from features.records import AdmissionRecords
from features.settings import DEFAULT_SETTINGS
from features.tables import TableError
from tests.hospital import built, hospital, rows
from tests.tables import write_folder

STAYS = """
    stay_id | patient_id | admitted_at      | discharged_at    | total_cost
    1       | 7          | 2024-01-01 08:00 | 2024-01-05 10:00 | 1000
    2       | 7          | 2024-01-20 08:00 | 2024-01-25 10:00 | 500
    3       | 8          | 2024-03-01 08:00 | 2024-03-04 10:00 | 300
    """
PATIENTS = """
    patient_id | birth_date | sex
    7          | 1950-03-01 | female
    8          | 1960-01-01 | male
    """
EXTRACT = {
    "patients": PATIENTS,
    "stays": """
        stay_id | patient_id | hospital_id | status     | admitted_at | discharged_at | admission_type
        1       | 7          | H           | discharged | 2024-01-01  | 2024-01-05    | emergency
        """,
}


def _rest_on_diagnoses() -> list[str]:
    return [
        name
        for name, feature in CATALOGUE.items()
        if not feature.optional and any("diagnoses" in each.tables for each in (feature, *feature.needs))
    ]


def test_features_of_diagnoses_are_missing(tmp_path: Path) -> None:
    built_rows = rows(hospital(tmp_path, stays=STAYS, without=("diagnoses",)), Point.DISCHARGE)
    coded = _rest_on_diagnoses()
    assert {"principal_diagnosis_group", "n_diagnoses", "charlson_score", "had_diabetes"} <= {*coded}, coded
    assert built_rows[[*coded, "lace_index", "hospital_score"]].isna().all().all()
    # What needs no code is known all the same: stay 2 follows stay 1 by 15 days.
    assert built_rows["n_stays_prior_365d"].loc["2"] == 1
    assert built_rows["length_of_stay_days"].tolist() == [4, 5, 3]


def test_labels_that_need_codes_are_missing_and_the_others_are_not(tmp_path: Path) -> None:
    extract = hospital(tmp_path, stays=STAYS, without=("diagnoses",))
    built_rows = rows(extract, Point.DISCHARGE)
    # Nobody can tell whether the return on 20 January was planned; a label for those without a return
    # alone would say that nobody is ever readmitted.
    for label in ("label_readmission", "label_readmission_or_death", "label_complication"):
        assert built_rows[label].isna().all()
    # 1000 of stay 1 and 500 of stay 2, 15 days later.
    assert built_rows["label_episode_cost"].tolist() == [1500, 500, 300]
    assert built(extract, Point.DISCHARGE).complication_by == "impossible_codes"


def test_labels_that_the_extract_gives_need_no_codes(tmp_path: Path) -> None:
    outcomes = "stay_id | complication\n1 | true\n3 | false"
    built_rows = rows(
        hospital(tmp_path, stays=STAYS, outcomes=outcomes, without=("diagnoses",)), Point.DISCHARGE
    )
    assert built_rows["label_complication"].dropna().to_dict() == {"1": 1, "3": 0}


def test_an_admission_asked_about_online_gets_the_same_features(tmp_path: Path) -> None:
    batch = rows(hospital(tmp_path, stays=STAYS, without=("diagnoses",)), Point.DISCHARGE)
    stay = {
        "stay_id": "3",
        "patient_id": "8",
        "hospital_id": "H1",
        "status": "discharged",
        "admission_type": "emergency",
        "admitted_at": dt.datetime(2024, 3, 1, 8),
        "discharged_at": dt.datetime(2024, 3, 4, 10),
        "total_cost": 300,
    }
    patient = {"patient_id": "8", "birth_date": dt.date(1950, 1, 1), "sex": "female"}
    asked = AdmissionRecords(
        "3",
        Point.DISCHARGE,
        {"patients": [patient], "stays": [stay], "procedures": []},
        history_from=dt.date(2023, 1, 1),
    )
    online = OnlineFeatures(CodeSystems(procedure="icd9cm3"), DEFAULT_SETTINGS).rows([asked])
    known = online.features.iloc[0].dropna().to_dict()
    assert known == batch.loc["3", online.features.columns].dropna().to_dict()
    assert known["length_of_stay_days"] == 3


def test_the_table_is_required_only_where_its_code_system_is_declared(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", EXTRACT, code_systems="{}")
    quality = ingest("canonical", folder, tmp_path / "out")
    assert [warning.split(",")[0] for warning in quality.warnings] == [
        "diagnoses: no such table",
        "procedures: no such table",
    ]
    assert not open_dataset(tmp_path / "out").has("diagnoses")
    assert check(tmp_path / "out").rules == ()
    with pytest.raises(TableError, match="diagnoses: the required table is missing"):
        check(write_folder(tmp_path / "declared", EXTRACT))
    declared = (tmp_path / "out/dataset.toml").read_text("utf-8").replace("{  }", '{ diagnosis = "icd10" }')
    (tmp_path / "out/dataset.toml").write_text(declared, "utf-8")
    with pytest.raises(TableError, match="not a checked data set \\(no diagnoses\\)"):
        open_dataset(tmp_path / "out")


def test_diagnoses_need_a_code_system(tmp_path: Path) -> None:
    codes = "stay_id | kind | position | code\n1 | discharge | 1 | I10"
    with pytest.raises(
        TableError, match=r"diagnoses: their code system is not declared\. Add code_systems\.d"
    ):
        check(write_folder(tmp_path / "a", EXTRACT | {"diagnoses": codes}, code_systems="{}"))
    # Unless every row names its own.
    own = (
        "stay_id | kind | position | code | code_system\n1 | discharge | 1 | I10 | icd10\n1|discharge|2|I10|"
    )
    found = check(write_folder(tmp_path / "b", EXTRACT | {"diagnoses": own}, code_systems="{}"))
    assert [(rule.rule, rule.n_rows, rule.first_row) for rule in found.rules] == [
        ("code_outside_system", 1, 2)
    ]
