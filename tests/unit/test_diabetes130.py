"""The public file of diabetic encounters: every encounter kept, every value in its place."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.dataset import open_dataset
from features.ingest import ingest
from features.sources.diabetes130 import restored_code
from features.tables import TABLES, TableError

PUBLIC_DATA = Path(os.environ.get("WARDCAST_PUBLIC_DATA") or Path(__file__).parents[3] / "shared" / "data")

DRUGS = (
    "metformin,repaglinide,nateglinide,chlorpropamide,glimepiride,acetohexamide,glipizide,glyburide,"
    "tolbutamide,pioglitazone,rosiglitazone,acarbose,miglitol,troglitazone,tolazamide,examide,citoglipton,"
    "insulin,glyburide-metformin,glipizide-metformin,glimepiride-pioglitazone,metformin-rosiglitazone,"
    "metformin-pioglitazone"
)
HEADER = (
    "encounter_id,patient_nbr,race,gender,age,weight,admission_type_id,discharge_disposition_id,"
    "admission_source_id,time_in_hospital,payer_code,medical_specialty,num_lab_procedures,num_procedures,"
    "num_medications,number_outpatient,number_emergency,number_inpatient,diag_1,diag_2,diag_3,"
    f"number_diagnoses,max_glu_serum,A1Cresult,{DRUGS},change,diabetesMed,readmitted"
)
NO_DRUGS = ",".join(["No"] * 17)
ENCOUNTERS = (
    f"11,7,Caucasian,Female,[70-80),?,1,1,7,3,MC,Cardiology,59,0,18,2,1,4,250.6,V27,8,9,None,>8,{NO_DRUGS},"
    "Up,No,No,No,No,No,Ch,Yes,<30",
    f"12,7,Caucasian,Female,[70-80),?,7,11,4,14,?,?,1,6,2,0,0,0,38,?,E885,2,>200,None,{NO_DRUGS},"
    "No,No,No,No,No,No,No,No,NO",
    f"13,8,?,Unknown/Invalid,[0-10),?,6,18,20,1,?,?,1,0,2,0,0,0,?,250,428,2,None,None,{NO_DRUGS},"
    "No,Steady,No,No,No,No,No,No,>30",
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    source = tmp_path / "dataset.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("dataset_diabetes/diabetic_data.csv", "\n".join((HEADER, *ENCOUNTERS)) + "\n")
    ingest("diabetes130", source, tmp_path / "out")
    return tmp_path / "out"


def rows(out: Path, name: str) -> pd.DataFrame:
    return duckdb.sql(f"SELECT * FROM ({open_dataset(out).select(TABLES[name])}) ORDER BY ALL").df()


def cells(frame: pd.DataFrame, *columns: str) -> list[list[object]]:
    """The columns' values, null as None."""
    found = frame[list(columns)].astype("object")
    return found.where(found.notna(), None).to_numpy().tolist()


def test_the_file_has_no_timeline_and_gives_its_own_label(out: Path) -> None:
    declaration = open_dataset(out).declaration
    assert (declaration.timeline, declaration.currency, declaration.observed_until) == ("none", "USD", None)
    assert declaration.labels.readmission.definition == "all-cause within 30 days"


def test_every_encounter_becomes_a_stay(out: Path) -> None:
    stays = rows(out, "stays")
    assert cells(stays, "stay_id", "patient_id", "admission_type", "admission_source", "age_years") == [
        ["11", "7", "emergency", "home", 75],
        ["12", "7", "emergency", "other_hospital", 75],  # a trauma centre is an emergency
        ["13", "8", "unknown", None, 5],
    ]
    assert cells(stays, "discharge_disposition", "payer", "admission_department", "status") == [
        ["home", "MC", "Cardiology", "discharged"],
        ["died", None, None, "discharged"],
        [None, None, None, "discharged"],
    ]
    assert cells(rows(out, "patients"), "patient_id", "sex") == [["7", "female"], ["8", "unknown"]]


def test_diagnoses_keep_their_places_and_regain_lost_zeros(out: Path) -> None:
    assert cells(rows(out, "diagnoses"), "stay_id", "position", "code") == [
        ["11", 1, "25060"],
        ["11", 2, "V27"],
        ["11", 3, "008"],
        ["12", 1, "038"],
        ["12", 3, "E885"],
        ["13", 2, "25000"],
        ["13", 3, "428"],
    ]


def test_lost_zeros_return_only_where_the_file_drops_them() -> None:
    codes = pd.Series(["8", "38", "250", "250.6", "250.02", "428", "365.44", "V27", "E885"])
    assert restored_code(codes).tolist() == [
        "008", "038", "25000", "25060", "25002", "428", "36544", "V27", "E885",
    ]  # fmt: skip


def test_labels_are_the_files_own_and_unknown_is_not_no(out: Path) -> None:
    assert cells(rows(out, "outcomes"), "stay_id", "readmission", "died_in_hospital") == [
        ["11", True, False],
        ["12", False, True],
        ["13", False, None],  # its disposition is not recorded; readmitted later than 30 days
    ]


def test_facts_are_known_from_their_point_on_and_race_is_not_one(out: Path) -> None:
    facts = rows(out, "facts")
    first = facts[facts["stay_id"] == "11"].set_index("name")
    assert first[first["available_from"] == "admission"]["value"].to_dict() == {
        "n_emergency_visits_prior_365d": "1",
        "n_outpatient_visits_prior_365d": "2",
        "n_stays_prior_365d": "4",
    }
    at_discharge = first[first["available_from"] == "discharge"]["value"]
    assert at_discharge["length_of_stay_days"] == "3"
    assert at_discharge["max_glu_serum"] == "None"  # not measured, which is known
    assert at_discharge["a1c_result"] == ">8"
    assert at_discharge["insulin"] == "Up"
    # 10 named facts and 20 drugs: 22 of the file's 23 without insulin, less the two that never vary.
    assert len(at_discharge) == 30
    assert not {"race", "examide", "citoglipton", "weight"} & set(facts["name"])


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("other.csv", HEADER, "0 files diabetic_data.csv in it"),
        ("diabetic_data.csv", "a,b\n1,2\n", "columns are missing: encounter_id"),
        ("diabetic_data.csv", "", "damaged or encrypted"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, member: str, content: str, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(member, content)
    with pytest.raises(TableError, match=message):
        ingest("diabetes130", tmp_path / "x.zip", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.zip"]


def test_the_public_file_keeps_every_encounter(tmp_path: Path) -> None:
    source = PUBLIC_DATA / "diabetes130_dev.zip"
    if not source.is_file():
        pytest.skip("the public file diabetes130_dev.zip is not in the public data folder")
    quality = ingest("diabetes130", source, tmp_path / "out")
    assert (quality.rules, quality.warnings) == ((), ())
    assert quality.counts["stays"].n_out == 71_110
    assert quality.counts["patients"].n_out == 49_847
    outcomes = open_dataset(tmp_path / "out").select(TABLES["outcomes"])
    # 7,950 of 71,110 encounters.
    assert duckdb.sql(f"SELECT count(*) FILTER (readmission) FROM ({outcomes})").fetchall() == [(7950,)]


@pytest.mark.parametrize("place", ["content", "directory"])
def test_a_damaged_file_is_refused_without_a_word_of_its_content(tmp_path: Path, place: str) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("diabetic_data.csv", "\n".join([HEADER, *ENCOUNTERS * 50]))
    content = bytearray(file.read_bytes())
    start = 80 if place == "content" else content.rindex(b"PK\x01\x02") + 10
    content[start : start + 8] = bytes(byte ^ 0xFF for byte in content[start : start + 8])
    file.write_bytes(content)
    with pytest.raises(TableError, match="damaged or encrypted") as error:
        ingest("diabetes130", file, tmp_path / "out")
    assert "Caucasian" not in str(error.value)
