"""The same resources as an ingested export and as a request's prefetch give the same rows and features."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from features.build import build
from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.online import OnlineFeatures
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from features.sources.fhir.stream import Found
from features.tables import TABLES
from models.artefact import Context
from serving.fhir.records import FhirRecords, prediction_request
from serving.problems import Problem
from serving.requests.reading import read_request, to_admission
from tests.fhir_records import condition, encounter

EXTRACT = Path(__file__).parents[1] / "extracts" / "fhir" / "ndjson"
# Named by what is a patient's, and naming no patient.
_SHARED = ("Organization", "Medication", "Coverage", "Account", "Appointment")
Resource = dict[str, Any]


def resources() -> list[Resource]:
    return [
        json.loads(line)
        for file in sorted(EXTRACT.glob("*.ndjson"))
        for line in file.read_text("utf-8").splitlines()
        if line.strip()
    ]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The export, as an extract that was complete for long before and after."""
    folder = tmp_path_factory.mktemp("export")
    source = folder / "fhir"
    shutil.copytree(EXTRACT, source)
    declaration = source / "dataset.toml"
    text = declaration.read_text("utf-8")
    declaration.write_text(text.replace("2023-01-01", "2000-01-01"), "utf-8")
    ingest("fhir", source, folder / "out", max_quarantine_share=0.4)
    return open_dataset(folder / "out")


@pytest.fixture(scope="module")
def context(hospital: DataSet) -> Context:
    declared = hospital.declaration
    codes = declared.code_systems.model_dump(exclude_none=True)
    return Context(declared.time_zone, declared.currency, codes, declared.cost_basis)


@pytest.fixture(scope="module")
def records() -> FhirRecords:
    return FhirRecords()


def of_patient(patient_id: str) -> list[Found]:
    """What an EHR finds for one patient: theirs, and what several share."""
    everything = resources()
    claims_of = {resource["id"]: (resource.get("patient") or {}).get("reference") for resource in everything}
    own = []
    for resource in everything:
        reference = resource.get("subject") or resource.get("patient") or resource.get("beneficiary") or {}
        named = str(reference.get("reference", claims_of.get(resource["id"], "")))
        is_own = named.endswith(patient_id) or resource.get("id") == patient_id
        if is_own or resource["resourceType"] in _SHARED:
            own.append(Found(resource, "prefetch"))
    return own


@pytest.mark.parametrize("patient_id", ["p1", "p2", "p3"])
@pytest.mark.parametrize("name", ["patients", "stays", "diagnoses", "procedures", "observations",
                                  "medications", "charges", "visits", "facts"])  # fmt: skip
def test_a_patients_rows_are_those_of_the_ingested_export(
    hospital: DataSet, context: Context, records: FhirRecords, patient_id: str, name: str
) -> None:
    found = records.rows(of_patient(patient_id), context, patient_id=patient_id)
    table = TABLES[name]
    with duckdb.connect() as data:
        stays = f"SELECT stay_id FROM ({hospital.select(TABLES['stays'])}) WHERE patient_id = '{patient_id}'"
        owned = f"patient_id = '{patient_id}'" if table.owner == "patient_id" else f"stay_id IN ({stays})"
        names = [column.name for column in table.columns]
        selected = ", ".join(f'"{column}"' for column in names)
        order = ", ".join(f'"{column}"' for column in table.key) or selected
        rows = data.execute(
            f"SELECT {selected} FROM ({hospital.select(table)}) WHERE {owned} ORDER BY {order}"
        ).fetchall()
    assert [tuple(row[column] for column in names) for row in found.tables.get(name, [])] == rows


# e1 goes on as e2 in another hospital: the first is scored at admission, the last at discharge.
@pytest.mark.parametrize(
    ("stay_id", "patient_id", "point"),
    [("e1", "p1", Point.ADMISSION), ("e3", "p2", Point.ADMISSION), ("e2", "p1", Point.DISCHARGE)],
)
def test_a_patients_features_are_those_of_the_ingested_export(
    hospital: DataSet,
    context: Context,
    records: FhirRecords,
    tmp_path: Path,
    stay_id: str,
    patient_id: str,
    point: Point,
) -> None:
    batch = build(hospital, point, tmp_path / "rows.parquet", settings=DEFAULT_SETTINGS)
    row = batch.read().set_index("stay_id")
    rows = records.rows(of_patient(patient_id), context, patient_id=patient_id)
    request = prediction_request(rows, stay_id, point, None)
    # Whole tables of the export that hold nothing of this patient are known to be empty, not unknown.
    for name in TABLES:
        if hospital.has(name) and name not in ("outcomes", "identities", "payment_groups"):
            request["records"].setdefault(name, [])
    asked = read_request({**request, "history_from": "2000-01-01"}, max_rows=1_000)
    admission = to_admission(asked, context.time_zone, hospital.declaration.code_systems)
    online = OnlineFeatures(hospital.declaration.code_systems, DEFAULT_SETTINGS).rows([admission]).features
    names = [feature.name for feature in batch.features if feature.name in online]
    assert len(names) > 50
    expected = row.loc[[stay_id], names].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        online[names].reset_index(drop=True).astype(expected.dtypes.to_dict()), expected, check_exact=True
    )


def test_one_translator_serves_one_patient_after_another(context: Context) -> None:
    # What the patient before had (claims, medications, parts of stays) is gone for the next.
    records = FhirRecords()
    first = records.rows(of_patient("p1"), context, patient_id="p1")
    other = records.rows(of_patient("p3"), context, patient_id="p3")
    assert records.rows(of_patient("p1"), context, patient_id="p1") == first
    fresh = FhirRecords().rows(of_patient("p3"), context, patient_id="p3")
    assert other == fresh
    assert {row["patient_id"] for row in other.tables["stays"]} == {"p3"}


def test_after_a_failure_the_next_patient_is_translated_as_before(context: Context) -> None:
    records = FhirRecords()
    first = records.rows(of_patient("p1"), context, patient_id="p1")
    stay = next(found for found in of_patient("p1") if found.resource["id"] == "e2")
    other = Found({**stay.resource, "status": "cancelled", "meta": None}, "prefetch")
    with pytest.raises(Problem) as refused:
        records.rows([*of_patient("p1"), other], context, patient_id="p1")
    assert "1 ids of type Encounter" in refused.value.errors[0].message
    assert records.rows(of_patient("p1"), context, patient_id="p1") == first


@pytest.mark.prove
def test_a_patients_resources_become_rows_within_a_tenth_of_a_second_of_computing(context: Context) -> None:
    records, found, times = FhirRecords(), of_patient("p1"), []
    records.rows(found, context, patient_id="p1")
    for _ in range(20):
        began = time.process_time()
        records.rows(found, context, patient_id="p1")
        times.append(time.process_time() - began)
    assert sorted(times)[len(times) // 2] < 0.1


def exported(hospital: DataSet) -> dict[str, list[Resource]]:
    """A made-up hospital's patients, stays, diagnoses, procedures and values as FHIR, by patient."""

    def rows(name: str) -> list[dict[str, Any]]:
        with duckdb.connect() as data:
            found = data.execute(f"SELECT * FROM ({hospital.select(TABLES[name])}) ORDER BY ALL")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    by_patient: dict[str, list[Resource]] = {}
    patient_of: dict[str, str] = {}
    for row in rows("patients"):
        patient = {"resourceType": "Patient", "id": row["patient_id"], "gender": row["sex"]}
        by_patient[row["patient_id"]] = [patient | {"birthDate": str(row["birth_date"])}]
    for row in rows("stays"):
        if row["status"] not in ("in", "discharged"):
            continue
        patient_of[row["stay_id"]] = row["patient_id"]
        end = None if row["discharged_at"] is None else f"{row['discharged_at'].isoformat()}+08:00"
        stay = encounter(
            row["stay_id"], f"{row['admitted_at'].isoformat()}+08:00", end, patient=row["patient_id"]
        )
        by_patient[row["patient_id"]].append(stay)
    for number, row in enumerate(rows("diagnoses")):
        if row["stay_id"] in patient_of and row["kind"] == "discharge":
            owner = patient_of[row["stay_id"]]
            found = condition(f"c{number}", row["stay_id"], row["code"], patient=owner)
            by_patient[owner].append(found)
    for number, row in enumerate(rows("observations")):
        if row["stay_id"] in patient_of:
            value = {
                "resourceType": "Observation",
                "id": f"o{number}",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": row["code"]}]},
                "subject": {"reference": f"Patient/{row['patient_id']}"},
                "encounter": {"reference": f"Encounter/{row['stay_id']}"},
                "effectiveDateTime": f"{row['taken_at'].isoformat()}+08:00",
                "valueQuantity": {"value": row["value"], "unit": row["unit"]},
            }
            by_patient[row["patient_id"]].append(value)
    return by_patient


def test_every_patient_of_a_made_up_hospital_has_the_same_rows_either_way(
    context: Context, records: FhirRecords, tmp_path: Path
) -> None:
    ingest("synthetic", None, tmp_path / "made", options={"admissions": 60})
    by_patient = exported(open_dataset(tmp_path / "made"))
    source = tmp_path / "fhir"
    source.mkdir()
    lines = [json.dumps(resource) for resources in by_patient.values() for resource in resources]
    (source / "everything.ndjson").write_text("\n".join(lines), "utf-8")
    declaration = (EXTRACT / "dataset.toml").read_text("utf-8")
    declared = declaration.replace("2023-01-01", "2000-01-01").replace("2024-06-30", "2026-06-30")
    (source / "dataset.toml").write_text(declared, "utf-8")
    ingest("fhir", source, tmp_path / "out", max_quarantine_share=1.0)
    batch = open_dataset(tmp_path / "out")
    names = ("patients", "stays", "diagnoses", "observations")
    online: dict[str, list[tuple[object, ...]]] = {name: [] for name in names}
    for patient_id, resources in by_patient.items():
        found = records.rows([Found(one, "prefetch") for one in resources], context, patient_id=patient_id)
        for name in names:
            online[name] += [tuple(row.values()) for row in found.tables.get(name, [])]
    with duckdb.connect() as data:
        for name in names:
            table = TABLES[name]
            columns = ", ".join(f'"{column.name}"' for column in table.columns)
            rows = data.execute(f"SELECT {columns} FROM ({batch.select(table)})").fetchall()
            assert len(rows) > 30, name
            assert sorted(map(repr, online[name])) == sorted(map(repr, rows)), name


@pytest.mark.parametrize(
    "time", ["294247-01-10T04:00:54Z", "-290308-12-22T00:00:00Z", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_that_no_calendar_has_is_left_out_and_no_failure(
    context: Context, records: FhirRecords, time: str
) -> None:
    dead = [
        Found({**found.resource, "deceasedDateTime": time}, found.place)
        if found.resource["resourceType"] == "Patient"
        else found
        for found in of_patient("p1")
    ]
    rows = records.rows(dead, context, patient_id="p1")
    kept = [row["death_date"] for row in rows.tables["patients"]]
    # The last of them is a day of the year 10000 in Shanghai.
    assert kept == []
    assert len(rows.broken["patients"]) == 1
