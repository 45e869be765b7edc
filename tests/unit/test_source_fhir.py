"""FHIR R4: a bundle and an NDJSON export of the same two hospitals, and what becomes of bad ones."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.dataset import open_dataset
from features.ingest import ingest
from features.quality.report import Quality
from features.sources.fhir import stage, stream
from features.sources.fhir.elements import address, known, plain_address, text
from features.sources.fhir.stream import Tally, name_of, resources_of
from features.tables import TABLES, TableError
from tests.tables import table

EXTRACTS = Path(__file__).parents[1] / "extracts" / "fhir"
Resource = dict[str, Any]


def rows(out: Path, name: str, columns: str) -> list[list[str | None]]:
    """The named columns of a table as text, in the order of their values."""
    names = [column.strip() for column in columns.split("|")]
    texts = ", ".join(f'CAST("{column}" AS VARCHAR)' for column in names)
    select = open_dataset(out).select(TABLES[name])
    return [list(row) for row in duckdb.sql(f"SELECT {texts} FROM ({select}) ORDER BY ALL").fetchall()]


def expected(lines: str) -> list[list[str | None]]:
    """Rows as lines of `a | b` under a header; an empty cell is null."""
    frame = table(lines).astype("object")
    return frame.where(frame.notna(), None).to_numpy().tolist()


def header(lines: str) -> str:
    return lines.strip().splitlines()[0]


def quarantined(out: Path, name: str) -> list[list[str | None]]:
    file = out / "quarantine" / f"{name}.parquet"
    return [list(row) for row in duckdb.sql(f"SELECT * FROM '{file}' ORDER BY ALL").fetchall()]


# Two of the six observations are quarantined, which is more than the default share of 5 %.
@pytest.fixture(scope="module", params=["ndjson", "bundle"])
def extract(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Quality]:
    out = tmp_path_factory.mktemp("fhir") / "out"
    return out, ingest("fhir", EXTRACTS / request.param, out, max_quarantine_share=0.4)


TABLES_BY_HAND = {
    # p2 was born in 1961-07, which is no day; 20:30 UTC is the next day in Shanghai.
    "patients": """
        patient_id | birth_date | sex     | death_date
        p1         | 1950-03-02 | female  |
        p2         |            | male    | 2024-03-09
        p3         | 1985-12-24 | unknown |
        """,
    # 18:00 UTC is 02:00 of the next day. The parts of e1 say its departments; without a serviceType the
    # hospital's department would. p2 is 62: born in July 1961, admitted in March 2024.
    "stays": """
        stay_id | patient_id | hospital_id | status     | admitted_at         | discharged_at       | age_years
        e1      | p1         | h1          | discharged | 2024-01-10 22:15:00 | 2024-01-15 10:00:00 |
        e2      | p1         | h2          | discharged | 2024-01-15 11:30:00 | 2024-01-22 09:00:00 |
        e3      | p2         | h1          | discharged | 2024-03-08 02:00:00 | 2024-03-09 04:30:00 | 62
        e4      | p3         | h1          | booked     |                     |                     |
        """,  # noqa: E501
    "diagnoses": """
        stay_id | kind      | position | code | present_on_admission | known_at
        e1      | admitting | 1        | R074 |                      | 2024-01-10 22:20:00
        e1      | discharge | 1        | I214 |                      | 2024-01-16 08:00:00
        e1      | discharge | 2        | N179 | N                    | 2024-01-31 23:59:59.999999
        e2      | discharge | 1        | I252 |                      |
        e3      | discharge | 1        | A419 | Y                    |
        e3      | discharge | 2        | R572 | N                    |
        e4      | admitting | 1        | M161 |                      |
        """,
    "procedures": """
        stay_id | position | code | code_system | performed_at        | is_planned
        e1      | 1        | 3606 | icd9cm3     | 2024-01-11 10:00:00 |
        e4      | 1        | 8151 | icd9cm3     | 2024-07-02 09:00:00 | true
        """,
    "observations": """
        patient_id | stay_id | taken_at            | code    | value | unit   | known_at
        p1         | e1      | 2024-01-11 06:00:00 | 718-7   | 10.9  | g/dL   | 2024-01-11 07:10:00
        p1         | e1      | 2024-01-11 06:05:00 | 8462-4  | 61.0  | mm[Hg] |
        p1         | e1      | 2024-01-11 06:05:00 | 8480-6  | 98.0  | mm[Hg] |
        p3         |         | 2024-05-20 09:10:00 | 34714-6 | 1.1   | {INR}  |
        """,
    "medications": """
        patient_id | stay_id | started_at          | ended_at            | code    | route        | known_at
        p1         | e1      | 2024-01-10 23:00:00 | 2024-01-11 23:00:00 | B01AB05 | subcutaneous |
        p1         | e1      | 2024-01-11 08:00:00 |                     | C07AB02 |              | 2024-01-11 08:00:00
        p2         |         | 2023-06-01 23:59:59.999999 |              | C10AA05 |              | 2024-03-08 23:59:59.999999
        """,  # noqa: E501
    "charges": """
        stay_id | incurred_on | category | amount   | item_code   | known_at
        e1      | 2024-01-10  | general  | 3000.00  | see revenue | 2024-02-01 23:59:59.999999
        e1      | 2024-01-11  | drugs    | 1500.25  | see revenue | 2024-02-01 23:59:59.999999
        e1      | 2024-01-11  | surgery  | 40000.25 | see revenue | 2024-02-01 23:59:59.999999
        """,
    "visits": """
        visit_id | patient_id | visited_at          | kind       | department
        e0       | p1         | 2024-01-10 20:40:00 | emergency  |
        e5       | p3         | 2024-05-20 09:00:00 | outpatient | Orthopaedics
        """,
    "facts": """
        stay_id | name                       | value | available_from
        e2      | is_recorded_as_readmission | true  | admission
        """,
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES_BY_HAND)
def test_a_bundle_and_an_export_by_line_give_the_rows_that_were_derived_by_hand(
    extract: tuple[Path, Quality], name: str
) -> None:
    lines = TABLES_BY_HAND[name]
    assert rows(extract[0], name, header(lines)) == expected(lines)


def test_how_a_stay_came_and_went_follows_the_code_systems_of_hl7(extract: tuple[Path, Quality]) -> None:
    lines = """
        stay_id | admission_type | admission_source | admission_department   | discharge_department   | discharge_disposition
        e1      | emergency      | home             | Intensive care         | Cardiology ward        | acute_transfer
        e2      | urgent         | other_hospital   | Cardiac rehabilitation | Cardiac rehabilitation | home
        e3      | emergency      | home             |                        |                        | died
        e4      | elective       |                  |                        |                        |
        """  # noqa: E501
    assert rows(extract[0], "stays", header(lines)) == expected(lines)


def test_a_booked_stay_has_the_times_of_its_appointment(extract: tuple[Path, Quality]) -> None:
    lines = """
        stay_id | booked_at           | planned_admission_at | payer
        e1      |                     |                      | City insurance
        e2      |                     |                      |
        e3      |                     |                      |
        e4      | 2024-05-20 09:30:00 | 2024-07-01 07:30:00  | City insurance
        """
    assert rows(extract[0], "stays", header(lines)) == expected(lines)


def test_what_was_billed_is_the_total_of_the_explanation_of_benefit_else_of_the_claim(
    extract: tuple[Path, Quality],
) -> None:
    # 3000.00 + 1500.25 + 40000.25 = 44500.50
    lines = """
        stay_id | payment_group | total_cost | patient_paid
        e1      | FM19          | 44500.50   | 8000.00
        e2      |               |            |
        e3      |               | 9000.00    |
        e4      |               |            |
        """
    assert rows(extract[0], "stays", header(lines)) == expected(lines)


def test_a_bound_and_a_patient_who_is_not_there_are_quarantined(extract: tuple[Path, Quality]) -> None:
    out, quality = extract
    assert [(rule.rule, rule.columns, rule.n_rows) for rule in quality.rules] == [
        ("unreadable", ("value",), 1),  # < 5 mg/L
        ("unknown_patient", (), 1),  # Patient/p9
    ]
    assert {row[4] for row in quarantined(out, "observations")} == {"<5", "12.1"}


def test_what_is_left_out_is_told_with_its_number(extract: tuple[Path, Quality]) -> None:
    assert extract[1].warnings[:12] == (
        "Condition: 1 left out (refuted).",
        "Encounter: 1 left out (entered in error).",
        "Encounter: 1 left out (visits that are planned or cancelled).",
        "MedicationAdministration: 1 left out (not given, not taken, or never ordered).",
        "Observation: 1 left out (entered in error).",
        "Observation: 1 left out (without a value that is a number).",
        "Procedure: 1 left out (not done).",
        "Resources that no table has a place for are left out: Practitioner 1.",
        "Encounter: 2 read as parts of the stay that partOf names.",
        "Condition: 1 left out (neither a diagnosis of an encounter by category nor named by one).",
        "Condition: 1 left out (diagnoses of visits: the table holds those of stays).",
        "Patient: 1 with a year or month of birth alone; birth_date is empty, age_years is right to one "
        "year.",
    )


PATIENT: Resource = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1950-01-31"}
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
STAY: Resource = {
    "resourceType": "Encounter",
    "id": "s",
    "status": "finished",
    "class": {"system": ACT, "code": "IMP"},
    "subject": {"reference": "Patient/p"},
    "serviceProvider": {"reference": "Organization/h"},
    "period": {"start": "2024-02-01T08:00:00+08:00", "end": "2024-02-05T08:00:00+08:00"},
}
ICD10 = "http://hl7.org/fhir/sid/icd-10"
SODIUM: Resource = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]},
    "subject": {"reference": "Patient/p"},
    "encounter": {"reference": "Encounter/s"},
    "effectiveDateTime": "2024-02-01T09:00:00+08:00",
    "valueQuantity": {"value": 139, "unit": "mmol/L"},
}


def diagnosis(name: str, code: str, **further: object) -> Resource:
    return {
        "resourceType": "Condition",
        "id": name,
        "category": [{"coding": [{"code": "encounter-diagnosis"}]}],
        "code": {"coding": [{"system": ICD10, "code": code}]},
        "subject": {"reference": "Patient/p"},
        "encounter": {"reference": "Encounter/s"},
        **further,
    }


HEART_FAILURE = diagnosis("c", "I50.0")


def export(folder: Path, *resources: Resource, name: str = "export.ndjson", **settings: str) -> Path:
    """An export by line with its declaration, some settings of which are changed (TOML text)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(resource) + "\n" for resource in resources), "utf-8")
    declare(folder, **settings)
    return folder


def declare(folder: Path, **settings: str) -> None:
    lines = (EXTRACTS / "ndjson" / "dataset.toml").read_text("utf-8").splitlines()
    kept = [line for line in lines if line.split(" ")[0] not in settings]
    (folder / "dataset.toml").write_text(
        "\n".join([*kept, *(f"{name} = {value}" for name, value in settings.items())]), "utf-8"
    )


def taken(tmp_path: Path, *resources: Resource, **settings: str) -> Path:
    ingest(
        "fhir",
        export(tmp_path / "in", *resources, **settings),
        tmp_path / "out",
        max_quarantine_share=1.0,
    )
    return tmp_path / "out"


def changed(resource: Resource, **elements: object) -> Resource:
    return {name: value for name, value in {**resource, **elements}.items() if value is not None}


@pytest.mark.parametrize(
    "layout", ["gzip", "json by line", "a bundle per line", "a bundle per patient", "bom"]
)
def test_the_layout_of_the_files_does_not_matter(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "in"
    resources = [PATIENT, STAY, HEART_FAILURE, SODIUM]
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources]}
    if layout == "gzip":
        export(folder, *resources)
        content = (folder / "export.ndjson").read_bytes()
        (folder / "export.ndjson").unlink()
        (folder / "export.ndjson.gz").write_bytes(gzip.compress(content))
    elif layout == "json by line":
        export(folder, *resources, name="export.json")
    elif layout == "a bundle per line":
        export(folder, bundle, {"resourceType": "Bundle", "type": "collection"}, name="bundles.json")
    elif layout == "a bundle per patient":
        export(folder, bundle, name="p.json")
        (folder / "q.json").write_text(json.dumps(changed(PATIENT, id="q"), indent=1), "utf-8")
    else:
        export(folder, *resources)
        content = (folder / "export.ndjson").read_bytes()
        (folder / "export.ndjson").write_bytes(b"\xef\xbb\xbf" + content)
    quality = ingest("fhir", folder, tmp_path / "out")
    assert quality.rules == ()
    assert rows(tmp_path / "out", "diagnoses", "stay_id | position | code") == [["s", "1", "I500"]]
    assert rows(tmp_path / "out", "observations", "stay_id | value") == [["s", "139.0"]]


def test_a_table_is_there_where_the_export_holds_its_type(tmp_path: Path) -> None:
    folder = export(tmp_path / "in", PATIENT, STAY, HEART_FAILURE)
    (folder / "Procedure.0.ndjson").write_text("", "utf-8")  # asked for, and there were none
    ingest("fhir", folder, tmp_path / "out")
    out = open_dataset(tmp_path / "out")
    assert out.has("procedures")
    assert not any(out.has(name) for name in ("observations", "medications", "visits", "charges"))


def test_nothing_is_fetched_from_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "create_connection", refused)
    elsewhere = changed(STAY, subject={"reference": "http://127.0.0.1:9/fhir/Patient/p"})
    pages = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "next", "url": "http://127.0.0.1:9/next"}],
        "entry": [{"fullUrl": "http://127.0.0.1:9/fhir/Patient/p", "resource": PATIENT}],
    }
    out = taken(tmp_path, pages, elsewhere, HEART_FAILURE)
    assert rows(out, "stays", "stay_id | patient_id") == [["s", "p"]]
    warnings = json.loads((out / "quality.json").read_text("utf-8"))["warnings"]
    assert (
        "Bundles that name a next page, which is not fetched: 1. Put every page into the folder." in warnings
    )


@pytest.mark.parametrize(
    ("literal", "found"),
    [
        ("Patient/1", "Patient/1"),
        ("https://example.org/fhir/r4/Patient/1", "Patient/1"),
        ("Patient/1/_history/3", "Patient/1"),
        ("urn:uuid:0c3a", "urn:uuid:0c3a"),
        ("Patient?identifier=urn:x|7", "Patient?urn:x|7"),
        ("https://example.org/nothing", "https://example.org/nothing"),
    ],
)
def test_a_reference_has_one_form(literal: str, found: str) -> None:
    assert plain_address(literal) == found


def test_an_identifier_is_an_address_of_the_type_it_names() -> None:
    named = {"identifier": {"system": "urn:x", "value": "7"}}
    assert address(named, "Patient") == "Patient?urn:x|7"
    assert address({**named, "type": "Group"}, "Patient") == "Group?urn:x|7"
    assert address({}, "Patient") is None


def test_resources_of_a_transaction_go_by_the_uuid_that_they_are_posted_with(tmp_path: Path) -> None:
    entries = [
        {"fullUrl": "urn:uuid:aa", "resource": changed(PATIENT, id=None)},
        {
            "fullUrl": "urn:uuid:bb",
            "resource": changed(STAY, id=None, subject={"reference": "urn:uuid:aa"}),
        },
        {"resource": changed(HEART_FAILURE, encounter={"reference": "urn:uuid:bb"})},
        {"request": {"method": "DELETE", "url": "Patient/9"}},
    ]
    out = taken(tmp_path, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert rows(out, "stays", "stay_id | patient_id") == [["bb", "aa"]]
    assert rows(out, "diagnoses", "stay_id | code") == [["bb", "I500"]]


def test_an_identifier_of_two_patients_is_nobodys(tmp_path: Path) -> None:
    shared = [{"system": "urn:x", "value": "7"}]
    out = taken(
        tmp_path,
        changed(PATIENT, identifier=shared),
        changed(PATIENT, id="q", identifier=shared),
        STAY,
        changed(STAY, id="t", subject={"identifier": shared[0]}),
        HEART_FAILURE,
    )
    assert rows(out, "stays", "stay_id") == [["s"]]
    assert quarantined(out, "stays")[0][-1] == "unknown_patient"
    assert "7" not in str(quarantined(out, "stays")[0][1])  # an identifier is no pseudonym


def test_a_reference_that_is_missing_reaches_the_check(tmp_path: Path) -> None:
    out = taken(
        tmp_path,
        PATIENT,
        STAY,
        HEART_FAILURE,
        diagnosis("c2", "J18.9", encounter={"reference": "Encounter/gone"}),
        diagnosis("c3", "J18.9", encounter=None),
        changed(STAY, id="t", subject=None),
        changed(SODIUM, subject={"display": "somebody"}),
    )
    assert {row[-1] for row in quarantined(out, "diagnoses")} == {"unknown_stay", "missing_value: stay_id"}
    assert quarantined(out, "stays")[0][-1] == "missing_value: patient_id"
    assert quarantined(out, "observations")[0][-1] == "missing_value: patient_id"


def test_no_day_is_invented_for_a_time_that_has_none(tmp_path: Path) -> None:
    year = changed(PATIENT, id="q", birthDate="1950", deceasedDateTime="2024-05")
    out = taken(
        tmp_path,
        PATIENT,
        year,
        STAY,
        # Admitted in February: 2024 - 1950 = 74, and the birthday, taken at midyear, is to come.
        changed(STAY, id="t", subject={"reference": "Patient/q"}),
        changed(STAY, id="u", period={"start": "2024-02", "end": "2024-02-05"}),
        diagnosis("c", "I50.0", recordedDate="2024-02"),
        changed(SODIUM, effectiveDateTime="2024"),
    )
    assert rows(out, "patients", "patient_id | birth_date | death_date") == [
        ["p", "1950-01-31", None],
        ["q", None, None],
    ]
    assert rows(out, "stays", "stay_id | age_years") == [["s", None], ["t", "73"]]
    assert [row[-1] for row in quarantined(out, "stays")] == ["unreadable: admitted_at"]
    assert [row[-1] for row in quarantined(out, "observations")] == ["unreadable: taken_at"]
    # Known no earlier than on the last day of a leap year's February.
    assert rows(out, "diagnoses", "known_at") == [["2024-02-29 23:59:59.999999"]]
    warnings = json.loads((out / "quality.json").read_text("utf-8"))["warnings"]
    assert any(
        warning.startswith("Patient: 1 dead by the record without a full date") for warning in warnings
    )


@pytest.mark.parametrize(
    ("value", "day"),
    [("2023", "2023-12-31"), ("2023-04", "2023-04-30"), ("2023-04-02", "2023-04-02"), ("2023-13", "2023-13"),
     ("0000", "0000"), (None, None)],
)  # fmt: skip
def test_a_record_of_a_month_is_known_at_its_end(value: str | None, day: str | None) -> None:
    assert known(value) == day


def test_diagnoses_without_an_order_have_no_principal_one(tmp_path: Path) -> None:
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, diagnosis("c2", "J18.9"))
    assert rows(out, "diagnoses", "position | code") == [["2", "I500"], ["3", "J189"]]
    warnings = json.loads((out / "quality.json").read_text("utf-8"))["warnings"]
    assert warnings[0].startswith("Encounter: 1 stays with diagnoses none of which is the principal one")


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    lines = [PATIENT, STAY, HEART_FAILURE, diagnosis("c2", "J18.9"), diagnosis("c3", "A41.9"), SODIUM]
    found = []
    for name, resources in (("there", lines), ("back", lines[::-1])):
        out = taken(tmp_path / name, *resources)
        found.append(
            [rows(out, "diagnoses", "position | code"), rows(out, "observations", "stay_id | value")]
        )
    assert found[0] == found[1]
    assert found[0][0] == [["2", "A419"], ["3", "I500"], ["4", "J189"]]


def test_diagnoses_that_no_stay_is_found_for_are_all_quarantined(tmp_path: Path) -> None:
    lost = [diagnosis(f"c{number}", "J18.9", encounter=None) for number in range(3)]
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, *lost)
    assert len(quarantined(out, "diagnoses")) == 3


def test_a_rank_is_kept_where_the_first_is_not_there(tmp_path: Path) -> None:
    second = [{"condition": {"reference": "Condition/c"}, "rank": 2}]
    out = taken(tmp_path, PATIENT, changed(STAY, diagnosis=second), HEART_FAILURE)
    assert rows(out, "diagnoses", "position | code") == [["2", "I500"]]


def test_a_planned_part_of_a_stay_is_not_where_the_patient_left_from(tmp_path: Path) -> None:
    whole = {"reference": "Encounter/s"}
    ward = changed(STAY, id="t", partOf=whole, serviceType={"text": "Surgery"})
    planned = changed(
        ward, id="u", status="planned", serviceType={"text": "Ward 2"}, period={"start": "2024-02-06"}
    )
    out = taken(tmp_path, PATIENT, STAY, ward, planned, HEART_FAILURE)
    assert rows(out, "stays", "stay_id | discharge_department") == [["s", "Surgery"]]


def test_the_newest_version_of_a_resource_counts_and_the_same_again_counts_once(tmp_path: Path) -> None:
    older = {"lastUpdated": "2024-02-02T00:00:00Z"}
    newer = {"lastUpdated": "2024-02-02T09:00:00+08:00"}  # one hour later
    out = taken(
        tmp_path,
        PATIENT,
        STAY,
        HEART_FAILURE,
        PATIENT,
        changed(SODIUM, meta=newer, valueQuantity={"value": 141, "unit": "mmol/L"}),
        changed(SODIUM, meta=older),
    )
    assert rows(out, "observations", "value") == [["141.0"]]
    warnings = json.loads((out / "quality.json").read_text("utf-8"))["warnings"]
    assert warnings[0] == "Resources left out, since there is a newer version (meta.lastUpdated): 1."
    assert warnings[1] == "Resources left out, since they are in the extract before, word for word: 1."


def test_resources_that_differ_under_one_id_are_refused(tmp_path: Path) -> None:
    folder = export(tmp_path / "in", PATIENT, STAY, changed(STAY, status="cancelled"))
    with pytest.raises(TableError, match="1 ids of type Encounter"):
        ingest("fhir", folder, tmp_path / "out")


def test_parts_that_close_on_themselves_stay_stays(tmp_path: Path) -> None:
    out = taken(
        tmp_path,
        PATIENT,
        changed(STAY, partOf={"reference": "Encounter/t"}),
        changed(STAY, id="t", partOf={"reference": "Encounter/s"}),
        changed(STAY, id="u", partOf={"reference": "Encounter/gone"}),
        HEART_FAILURE,
    )
    assert rows(out, "stays", "stay_id") == [["s"], ["t"], ["u"]]


def test_a_class_that_is_not_known_is_quarantined_with_its_stay(tmp_path: Path) -> None:
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, changed(STAY, id="t", **{"class": {"code": "ward"}}))
    assert rows(out, "stays", "stay_id") == [["s"]]
    assert quarantined(out, "stays")[0][-1] == "unreadable: admitted_at"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"status": "banana"}, "not_allowed: status"),
        (
            {"hospitalization": {"dischargeDisposition": {"text": "gone"}}},
            "not_allowed: discharge_disposition",
        ),
        ({"serviceProvider": None}, "missing_value: hospital_id"),
    ],
)
def test_a_value_that_no_map_knows_stays_as_it_is(tmp_path: Path, changes: Resource, where: str) -> None:
    out = taken(tmp_path, PATIENT, changed(STAY, id="t", **changes), STAY, HEART_FAILURE)
    assert [row[-1] for row in quarantined(out, "stays")] == [where]


@pytest.mark.parametrize(
    ("changes", "admission_type"),
    [
        ({}, "unknown"),
        ({"priority": {"coding": [{"code": "A"}]}}, "urgent"),
        ({"priority": {"coding": [{"code": "PRN"}]}}, "unknown"),
        ({"hospitalization": {"admitSource": {"coding": [{"code": "born"}]}}}, "newborn"),
        ({"hospitalization": {"admitSource": {"coding": [{"code": "emd"}]}}}, "emergency"),
        ({"classHistory": [{"class": {"code": "EMER"}, "period": {"start": "2024-01-31"}}]}, "emergency"),
    ],
)
def test_urgency_is_the_priority_or_the_way_in(
    tmp_path: Path, changes: Resource, admission_type: str
) -> None:
    out = taken(tmp_path, PATIENT, changed(STAY, **changes), HEART_FAILURE)
    assert rows(out, "stays", "admission_type") == [[admission_type]]


def test_a_hospital_in_words_is_a_hospital_and_a_booking_is_the_first_planned_status(tmp_path: Path) -> None:
    history = [
        {"status": "planned", "period": {"start": "2024-01-09T10:00:00+08:00"}},
        {"status": "in-progress", "period": {"start": "2024-02-01T08:00:00+08:00"}},
    ]
    words = changed(STAY, serviceProvider={"display": "East Hospital"}, statusHistory=history)
    out = taken(tmp_path, PATIENT, words, HEART_FAILURE)
    assert rows(out, "stays", "hospital_id | booked_at") == [["East Hospital", "2024-01-09 10:00:00"]]


def test_the_hospital_can_be_named_where_no_encounter_names_it(tmp_path: Path) -> None:
    folder = export(tmp_path / "in", PATIENT, changed(STAY, serviceProvider=None), HEART_FAILURE)
    ingest("fhir", folder, tmp_path / "out", options={"hospital": "east"})
    assert rows(tmp_path / "out", "stays", "hospital_id") == [["east"]]


def claim(name: str, *encounters: str, amount: float = 100, **further: object) -> Resource:
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": name,
        "status": "active",
        "type": {"text": "institutional"},
        "use": "claim",
        "outcome": "complete",
        "patient": {"reference": "Patient/p"},
        "created": "2024-03-01",
        "insurer": {"display": "City insurance"},
        "provider": {"reference": "Organization/h"},
        "insurance": [{"focal": True, "coverage": {"reference": "Coverage/gone"}}],
        "total": [
            {
                "category": {"coding": [{"code": "submitted"}]},
                "amount": {"value": amount, "currency": "CNY"},
            }
        ],
        "payment": {"amount": {"value": amount * 0.75, "currency": "CNY"}},
        "item": [
            {
                "sequence": 1,
                "productOrService": {"text": "stay"},
                "servicedDate": "2024-02-01",
                "encounter": [{"reference": f"Encounter/{encounter}"} for encounter in encounters],
            }
        ],
        **further,
    }


@pytest.mark.parametrize(("basis", "total"), [("billed", "150.50"), ("paid", "112.88"), ("cost", None)])
def test_the_cost_basis_chooses_the_total(tmp_path: Path, basis: str, total: str | None) -> None:
    # 100.00 + 50.50 billed; 75.00 + 37.875 paid, which DECIMAL(18, 2) holds as 37.88. FHIR knows no cost.
    bills = claim("x1", "s"), claim("x2", "s", amount=50.5)
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, *bills, cost_basis=f'"{basis}"')
    assert rows(out, "stays", "total_cost | payer") == [[total, "City insurance"]]


def test_a_claim_of_two_stays_is_the_cost_of_neither(tmp_path: Path) -> None:
    second = changed(STAY, id="t", period={"start": "2024-03-01", "end": "2024-03-02"})
    out = taken(
        tmp_path,
        PATIENT,
        STAY,
        second,
        HEART_FAILURE,
        claim("x1", "s", "t"),
        claim("x2", "t", status="draft"),
    )
    assert rows(out, "stays", "stay_id | total_cost") == [["s", None], ["t", None]]
    warnings = json.loads((out / "quality.json").read_text("utf-8"))["warnings"]
    assert "ExplanationOfBenefit: 1 left out (cancelled or drafts)." in warnings
    assert (
        "Claim and ExplanationOfBenefit: 1 that do not name one single encounter; their totals are nobody's."
        in warnings
    )


ICD9_PROCEDURES = "http://terminology.hl7.org/CodeSystem/icd9cm"


def icd9_procedure(code: str) -> Resource:
    return {"coding": [{"system": ICD9_PROCEDURES, "code": code}]}


def test_an_explanation_of_benefit_stands_for_its_claim(tmp_path: Path) -> None:
    asked = {
        **changed(claim("a", "s"), outcome=None, payment=None, insurer=None),
        "resourceType": "Claim",
        "priority": {"text": "normal"},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": "none"}}],
        "total": {"value": 900, "currency": "CNY"},
    }
    # It names no encounter, but the claim that it answers does: 100, not 900 nor 1000.
    answer = changed(claim("x"), item=None, claim={"reference": "Claim/a"})
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, asked, answer)
    assert rows(out, "stays", "total_cost") == [["100.00"]]
    assert json.loads((out / "quality.json").read_text("utf-8"))["rules"] == []


def test_a_claim_completes_diagnoses_and_procedures_and_repeats_none(tmp_path: Path) -> None:
    coded = claim(
        "x",
        "s",
        diagnosis=[
            {"sequence": 1, "diagnosisCodeableConcept": HEART_FAILURE["code"], "onAdmission": {"text": "Y"}},
            {"sequence": 2, "diagnosisReference": {"reference": "Condition/c2"},
             "type": [{"coding": [{"code": "principal"}]}]},
            {"sequence": 3, "diagnosisCodeableConcept": {"coding": [{"system": ICD10, "code": "E11.9"}]}},
        ],
        procedure=[
            {"sequence": 1, "procedureCodeableConcept": icd9_procedure("36.06"), "date": "2024-02-02"},
            {"sequence": 2, "procedureCodeableConcept": icd9_procedure("37.22"), "date": "2024-02-01"},
            {"sequence": 3, "procedureReference": {"reference": "Procedure/r"}},
        ],
    )  # fmt: skip
    done = {
        "resourceType": "Procedure",
        "id": "r",
        "status": "completed",
        "code": icd9_procedure("37.22"),
        "subject": {"reference": "Patient/p"},
        "encounter": {"reference": "Encounter/s"},
        "performedDateTime": "2024-02-01T12:00:00+08:00",
    }
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, diagnosis("c2", "J18.9"), coded, done)
    # The claim's principal diagnosis is the first; what the claim alone holds comes last.
    lines = """
        position | code | present_on_admission
        1        | J189 |
        2        | I500 | Y
        3        | E119 |
        """
    assert rows(out, "diagnoses", header(lines)) == expected(lines)
    lines = """
        position | code | performed_at
        1        | 3606 | 2024-02-02 23:59:59.999999
        2        | 3722 | 2024-02-01 12:00:00
        """
    assert rows(out, "procedures", header(lines)) == expected(lines)


def test_the_cost_of_a_visit_is_the_visits(tmp_path: Path) -> None:
    visit = changed(STAY, id="v", **{"class": {"code": "AMB"}})
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, visit, claim("x", "v"))
    assert rows(out, "visits", "visit_id | cost") == [["v", "100.00"]]
    assert rows(out, "stays", "stay_id | total_cost") == [["s", None]]


def test_a_result_from_outside_any_stay_belongs_to_the_patient_alone(tmp_path: Path) -> None:
    ambulance = changed(STAY, id="f", **{"class": {"code": "FLD"}})
    out = taken(
        tmp_path,
        PATIENT,
        STAY,
        HEART_FAILURE,
        ambulance,
        changed(SODIUM, encounter={"reference": "Encounter/f"}),
        # Collected over a day, and so known at its end.
        changed(
            SODIUM,
            id="o2",
            effectiveDateTime=None,
            effectivePeriod={"start": "2024-02-01T09:00:00+08:00", "end": "2024-02-02T09:00:00+08:00"},
            valueQuantity=None,
            valueInteger=140,
        ),
    )
    lines = """
        stay_id | taken_at            | value | unit
        s       | 2024-02-02 09:00:00 | 140.0 | 1
                | 2024-02-01 09:00:00 | 139.0 | mmol/L
        """
    assert rows(out, "observations", header(lines)) == expected(lines)
    warnings = json.loads((out / "quality.json").read_text("utf-8"))["warnings"]
    assert "Encounter: 1 left out (neither stays nor visits by their class: FLD, PRENC)." in warnings


def test_a_plan_is_no_prescription(tmp_path: Path) -> None:
    order = {
        "resourceType": "MedicationRequest",
        "id": "m",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "heparin"},
        "subject": {"reference": "Patient/p"},
        "authoredOn": "2024-02-01T09:00:00+08:00",
        "dispenseRequest": {"validityPeriod": {"start": "2024-02-02T08:00:00+08:00"}},
    }
    plan = changed(order, id="n", intent="plan")
    gone = {"reference": "Medication/gone"}
    nameless = changed(order, id="o", medicationCodeableConcept=None, medicationReference=gone)
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, order, plan, nameless)
    lines = """
        code    | started_at          | known_at
        heparin | 2024-02-02 08:00:00 | 2024-02-01 09:00:00
        """
    assert rows(out, "medications", header(lines)) == expected(lines)
    assert quarantined(out, "medications")[0][-1] == "missing_value: code"


def test_money_of_another_currency_is_not_added_up(tmp_path: Path) -> None:
    out = taken(
        tmp_path, PATIENT, changed(STAY, id="t"), STAY, HEART_FAILURE, claim("x", "s"), currency='"USD"'
    )
    assert rows(out, "stays", "stay_id") == [["t"]]
    assert quarantined(out, "stays")[0][-1] == "unreadable: total_cost"


def test_charge_items_serve_where_there_are_no_claims(tmp_path: Path) -> None:
    items = [
        {
            "resourceType": "ChargeItem",
            "id": f"i{number}",
            "status": "billed",
            "code": {"coding": [{"system": "https://www.nubc.org/CodeSystem/RevenueCodes", "code": "0301"}]},
            "subject": {"reference": "Patient/p"},
            "context": {"reference": "Encounter/s"},
            "occurrenceDateTime": "2024-02-01T23:30:00Z",
            "priceOverride": {"value": 20.25, "currency": "CNY"},
        }
        for number in range(2)
    ]
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, *items)
    # 23:30 UTC is the next day in Shanghai; 2 × 20.25 = 40.50.
    charge = ["2024-02-02", "laboratory", "20.25"]
    assert rows(out, "charges", "incurred_on | category | amount") == [charge, charge]
    assert rows(out, "stays", "total_cost") == [["40.50"]]


@pytest.mark.parametrize(
    ("broken", "name", "path"),
    [
        (changed(STAY, id="t", period=["2024"]), "stays", "period"),
        (changed(STAY, id="t", period={"start": "yesterday"}), "stays", "period.start"),
        (changed(HEART_FAILURE, id="t", subject=None), "diagnoses", "subject"),
        (changed(SODIUM, id="t", valueQuantity={"value": "much"}), "observations", "valueQuantity.value"),
        (changed(SODIUM, id="t", status=None), "observations", "status"),
        (changed(SODIUM, id="t", **{"Mrs Jones": 1}), "observations", "(an element that R4 does not have)"),
        (
            changed(SODIUM, id="t", component=[{"code": {"text": "x"}, "valueQuantity": 3}]),
            "observations",
            "component.valueQuantity",
        ),
        (changed(PATIENT, id="t", birthDate="31.01.1950"), "patients", "birthDate"),
        (
            changed(SODIUM, id="t", contained=[{"resourceType": "Jones"}]),
            "observations",
            "contained or nested resources",
        ),
    ],
)  # fmt: skip
def test_an_invalid_resource_is_quarantined_and_its_element_named(
    tmp_path: Path, broken: Resource, name: str, path: str
) -> None:
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, SODIUM, broken)
    found = quarantined(out, name)
    assert len(found) == 1
    assert any(str(cell).startswith("not valid FHIR R4 at ") for cell in found[0])
    quality = json.loads((out / "quality.json").read_text("utf-8"))
    kind = broken["resourceType"]
    assert quality["warnings"][0] == (
        f"{kind}: 1 not valid FHIR R4 at {path} (first: export.ndjson, line 5); in quarantine."
    )
    assert not any(
        word in (out / "quality.json").read_text("utf-8") for word in ("Jones", "much", "yesterday")
    )


def nested(depth: int) -> Resource:
    extension: Resource = {"url": "x"}
    for _ in range(depth):
        extension = {"url": "x", "extension": [extension]}
    return extension


def test_deep_nesting_ends_in_quarantine(tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": r} for r in (PATIENT, STAY, HEART_FAILURE)]}
    content = json.dumps(bundle)
    deep = '{"url": "x", "extension": [' * 5000 + "]}" * 5000
    odd = json.dumps({"resource": SODIUM})[:-2] + f', "extension": [{deep}]' + "}}"
    folder = tmp_path / "in"
    export(folder, name="bundle.json")
    (folder / "bundle.json").write_text(content[:-2] + ",\n" + odd + "]}", "utf-8")
    ingest("fhir", folder, tmp_path / "out", max_quarantine_share=1.0)
    assert len(quarantined(tmp_path / "out", "observations")) == 1


def test_texts_of_any_kind_are_texts(tmp_path: Path) -> None:
    odd = [
        "=HYPERLINK(1)",
        "<script>alert(1)</script>",
        "x" * 100_000,
        "\x00",
        "\ud800",
        "'; DROP TABLE stays",
    ]
    encounters = [
        changed(
            STAY,
            id=f"t{number}",
            serviceType={"text": value},
            hospitalization={"admitSource": {"coding": [{"code": value}]}},
        )
        for number, value in enumerate(odd)
    ]
    out = taken(tmp_path, PATIENT, STAY, HEART_FAILURE, *encounters)
    assert rows(out, "stays", "stay_id") == [["s"]]
    assert len(quarantined(out, "stays")) == len(odd)
    assert text("\ud800") == "?"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "No resource of type Patient"),
        ("{", "export.ndjson, line 1: not JSON in UTF-8, or cut short"),
        ('{"resourceType": "Patient", "id": "Jones"', "line 1: not JSON"),
        ("[1, 2]", "line 1: not a JSON object"),
        ('"Jones"', "line 1: not a JSON object"),
        ('{"resourceType": "Patient", "id": NaN}', "line 1: not JSON"),
        ('{"resourceType": "Patient", "id": ' + "1" * 5000 + "}", "line 1: not JSON"),
        ("[" * 100_000, "line 1: not JSON"),
        ("\xff\xfe{", "line 1: not JSON"),
        (json.dumps(PATIENT) + '\n{"id": "Jones"}', "line 2: an object without resourceType among resources"),
        ('{"id": "Jones"}', "No resource of type Patient"),
        (json.dumps(PATIENT), "No Encounter of inpatients"),
        (
            json.dumps(PATIENT) + "\n" + json.dumps(changed(STAY, **{"class": {"code": "Jones"}})),
            "No Encounter has a class of v3-ActCode",
        ),
        (
            json.dumps({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Bundle"}}]}),
            "line 1, entry 1: a bundle within a bundle",
        ),
        (json.dumps({"resourceType": "Bundle", "entry": ["Jones"]}), "entry 1: an entry that is no"),
    ],
)  # fmt: skip
def test_a_damaged_export_is_refused_without_a_word_of_its_content(
    tmp_path: Path, content: str, message: str
) -> None:
    folder = export(tmp_path / "in")
    (folder / "export.ndjson").write_bytes(content.encode("latin-1"))
    with pytest.raises(TableError, match=message) as error:
        ingest("fhir", folder, tmp_path / "out")
    assert "Jones" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{\n"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Pat', "not one JSON"),
        (b'{\n"resourceType": "Bundle"}{\n"resourceType": "Bundle"}', "not one JSON"),
        (b'{\n"entry": [{"resource": {"resourceType": "Patient"}}]}', "entries without resourceType Bundle"),
        (b"\x00\x01\x02", "not one JSON"),
        (b'{\n"resourceType": "Bundle", "entry": [{"resource": {"id": "\xff\xff"}}]}', "not one JSON"),
    ],
)  # fmt: skip
def test_a_damaged_bundle_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    folder = export(tmp_path / "in", name="bundle.json")
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(TableError, match=message):
        ingest("fhir", folder, tmp_path / "out")


@pytest.mark.parametrize("cut", [20, 60])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, cut: int) -> None:
    folder = export(tmp_path / "in")
    (folder / "export.ndjson").unlink()
    packed = gzip.compress(json.dumps(PATIENT).encode() * 10)
    (folder / "export.ndjson.gz").write_bytes(packed[:cut])
    with pytest.raises(TableError, match=r"export.ndjson.gz(: damaged|, line)"):
        ingest("fhir", folder, tmp_path / "out")


def test_a_bundle_is_read_as_a_stream(tmp_path: Path) -> None:
    entry = json.dumps({"resource": PATIENT})
    file = tmp_path / "bundle.json"
    file.write_text('{\n"resourceType": "Bundle", "entry": [' + f"{entry}," * 5000 + "cut", "utf-8")
    found = resources_of(file, "bundle.json", Tally())
    # What is whole comes out before the damage at the end is met.
    assert next(found).resource == PATIENT
    with pytest.raises(TableError, match=r"bundle.json, after entry 5000: not one JSON document"):
        list(found)


@pytest.mark.parametrize("name", ["export.ndjson", "bundle.json"])
def test_a_resource_too_large_to_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(stream, "RESOURCE_BYTES", 200_000)
    folder = export(tmp_path / "in", name=name)
    large = json.dumps(changed(PATIENT, text={"div": "x" * 400_000}))
    content = large if name == "export.ndjson" else f'{{\n"entry": [{{"resource": {large}}}]}}'
    (folder / name).write_text(content, "utf-8")
    with pytest.raises(TableError, match=f"{name}, (line|entry) 1: larger than"):
        ingest("fhir", folder, tmp_path / "out")


def test_files_that_are_no_resources_are_counted(tmp_path: Path) -> None:
    folder = export(tmp_path / "in", PATIENT, STAY, HEART_FAILURE)
    (folder / "manifest.json").write_text(
        '{"transactionTime": "2024", "output": [{"url": "http://x"}]}', "utf-8"
    )
    (folder / "log.ndjson").write_text('{"exportId": 1}\n{"exportId": 1}\n', "utf-8")
    quality = ingest("fhir", folder, tmp_path / "out")
    assert "Files left out, JSON without a resourceType: 2." in quality.warnings


def test_a_file_named_after_a_patient_goes_by_its_number() -> None:
    assert name_of(Path("Jones_Mary_1.json"), 2, 30) == "file 2 of 30 (by name)"
    assert name_of(Path("Patient.000.ndjson"), 1, 2) == "Patient.000.ndjson"
    assert name_of(Path("mine.json"), 1, 1) == "mine.json"


def test_an_extract_must_be_there_and_declared(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="reads a bundle, an NDJSON file or a folder"):
        ingest("fhir", tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(TableError, match="no file that ends in"):
        ingest("fhir", tmp_path / "in", tmp_path / "out")
    folder = export(tmp_path / "in", PATIENT)
    (folder / "dataset.toml").unlink()
    with pytest.raises(TableError, match="time_zone"):
        ingest("fhir", folder, tmp_path / "out")


def test_the_declaration_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = export(tmp_path / "in", PATIENT, STAY, HEART_FAILURE)
    shutil.move(folder / "dataset.toml", tmp_path / "declared.toml")
    staging = tmp_path / "aside" / "staging"
    staging.mkdir(parents=True)
    told = stage(folder, staging, declaration=tmp_path / "declared.toml").declaration
    assert (told.name, told.source) == ("two-hospitals", "fhir 4.0.1")
    assert [entry.name for entry in staging.parent.iterdir()] == ["staging"]
