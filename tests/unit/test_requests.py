"""Requests: strict JSON, the canonical tables and nothing else, errors by place and without values."""

from __future__ import annotations

import copy
import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from features.dataset import CodeSystems
from features.quality.rules import CODE_FORMS
from features.tables import TABLES
from serving.predictions.documents import EXAMPLE_REQUEST
from serving.problems import Problem
from serving.requests.reading import parse_json, read_items, read_request, to_admission
from serving.requests.schema import REQUEST_TABLES

SECRET = "Zhang-Wei-4711"
SYSTEMS = CodeSystems(diagnosis="icd10gb", procedure="icd9cm3")


@pytest.fixture
def request_content() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE_REQUEST)


def refused(content: Any, *, max_rows: int = 100, zone: str = "Asia/Shanghai") -> dict[str, Any]:
    """The problem document of a request that must not be taken; it never quotes the request."""
    with pytest.raises(Problem) as caught:
        to_admission(read_request(content, max_rows=max_rows), zone, SYSTEMS)
    document = caught.value.document()
    assert SECRET not in json.dumps(document)
    return document


def fields(document: dict[str, Any]) -> dict[str, str]:
    return {error["field"]: error["message"] for error in document["errors"]}


def accepted(content: Any, zone: str = "Asia/Shanghai") -> Any:
    return to_admission(read_request(content, max_rows=100), zone, SYSTEMS)


def test_every_table_of_a_patient_can_be_sent_with_every_declared_column(request_content):
    schema = type(read_request(request_content, max_rows=100).records).model_json_schema()
    assert (
        set(schema["properties"])
        == set(REQUEST_TABLES)
        == set(TABLES)
        - {
            "payment_groups",
            "outcomes",
            "identities",
        }
    )
    for name, table in REQUEST_TABLES.items():
        rows = schema["$defs"][f"{name.capitalize()}Row"]
        assert list(rows["properties"]) == [column.name for column in table.columns]


def test_a_table_left_out_is_unknown_and_an_empty_one_is_none(request_content):
    request_content["records"]["visits"] = []
    tables = accepted(request_content).tables
    assert tables["visits"] == []
    assert "procedures" not in tables


def test_the_status_of_a_stay_follows_from_its_times(request_content):
    request_content["records"]["stays"].append(
        {"stay_id": "S10", "patient_id": "P7", "hospital_id": "H1", "admission_type": "elective",
         "booked_at": "2026-01-05T09:00:00"}
    )  # fmt: skip
    assert [stay["status"] for stay in accepted(request_content).tables["stays"]] == [
        "in",
        "discharged",
        "booked",
    ]


def test_times_with_an_offset_become_local_wall_time(request_content):
    stay = request_content["records"]["stays"][0]
    # 02:00 UTC is 10:00 in Shanghai (UTC+8).
    stay["admitted_at"] = "2026-01-07T02:00:00Z"
    request_content["prediction_time"] = "2026-01-07T20:00:00+08:00"
    admission = accepted(request_content)
    assert admission.tables["stays"][0]["admitted_at"] == dt.datetime(2026, 1, 7, 10)
    assert admission.prediction_time == dt.datetime(2026, 1, 7, 20)


def test_codes_and_money_are_taken_as_the_tables_store_them(request_content):
    request_content["records"]["diagnoses"][0]["code"] = "i50.0"
    request_content["records"]["stays"][1]["total_cost"] = 18200.005
    tables = accepted(request_content).tables
    assert tables["diagnoses"][0]["code"] == "I500"
    # Half a cent rounds up, as written in the request.
    assert tables["stays"][1]["total_cost"] == Decimal("18200.01")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("records", "stays", 0, "admitted_at"), SECRET, "must be a time such as"),
        (("records", "stays", 0, "admitted_at"), 1767780000, "must be a time such as"),
        (("records", "stays", 0, "admitted_at"), "0001-01-01T00:00:00+14:00", "must be a time such as"),
        (("records", "patients", 0, "birth_date"), "3 March 1951", "must be a date such as"),
        (("records", "patients", 0, "sex"), SECRET, "must be 'male', 'female', 'other' or 'unknown'"),
        (("records", "diagnoses", 0, "position"), 0, "must be at least 1"),
        (("records", "diagnoses", 0, "position"), "1", "must be a whole number"),
        (("records", "diagnoses", 0, "code"), 500, "must be text"),
        (("records", "diagnoses", 0, "code"), "", "must not be empty"),
        (("records", "diagnoses", 0, "code"), "\ud800", "must be valid Unicode text"),
        (("records", "stays", 1, "total_cost"), -1, "must be at least 0"),
        (("records", "stays", 1, "total_cost"), float("inf"), "must be a finite number"),
        (("records", "stays", 1, "planned_return_31d"), "yes", "must be true or false"),
        (("records", "stays"), {}, "must be a list"),
        (("prediction_point",), SECRET, "must be 'preadmission', 'admission' or 'discharge'"),
    ],
)
def test_a_wrong_value_is_named_by_its_place_alone(request_content, path, value, message):
    target = request_content
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    found = fields(refused(request_content))
    place = ".".join(str(part) for part in path)
    assert list(found) == [place]
    assert found[place].startswith(message)


def test_unknown_fields_are_counted_at_their_parent_and_not_named(request_content):
    request_content["records"]["stays"][0] |= {SECRET: 1, "patient_name": SECRET}
    request_content["records"][f"{SECRET}-table"] = []
    request_content["records"]["identities"] = []
    found = fields(refused(request_content))
    known = "stay_id, patient_id, hospital_id, status, booked_at"
    assert found["records.stays.0"].startswith(f"has 2 unknown fields; known are {known}")
    assert found["records"] == (
        "has 2 unknown fields; known are patients, stays, diagnoses, procedures, charges, observations, "
        "medications, visits, facts"
    )
    del request_content["records"]["identities"], request_content["records"][f"{SECRET}-table"]
    del request_content["records"]["stays"][0][SECRET], request_content["records"]["stays"][0]["patient_name"]
    request_content[SECRET] = 1
    assert fields(refused(request_content)) == {
        "body": "has 1 unknown field; known are stay_id, prediction_point, prediction_time, history_from, "
        "currency, records"
    }


def test_rows_of_another_patient_are_refused(request_content):
    request_content["records"]["stays"][1]["patient_id"] = SECRET
    assert fields(refused(request_content)) == {
        "records.stays.1.patient_id": "1 row names another patient than records.patients; this is the first"
    }
    request_content["records"]["patients"] *= 2
    assert fields(refused(request_content)) == {"records.patients": "has 2 rows; send exactly one patient"}


def test_rows_of_a_stay_that_was_not_sent_are_refused(request_content):
    request_content["records"]["diagnoses"] = [
        {"stay_id": SECRET, "kind": "admitting", "position": place, "code": "I500"} for place in (1, 2)
    ]
    assert fields(refused(request_content)) == {
        "records.diagnoses.0.stay_id": "2 rows name a stay that is not in records.stays; this is the first"
    }
    request_content["records"]["diagnoses"] = []
    request_content["stay_id"] = SECRET
    assert fields(refused(request_content)) == {"stay_id": "names a stay that is not in records.stays"}


def test_a_laboratory_value_may_belong_to_no_stay(request_content):
    request_content["records"]["observations"] = [
        {"patient_id": "P7", "taken_at": "2026-01-07T11:00:00", "code": "718-7", "value": 11, "unit": "g/dL"}
    ]
    assert accepted(request_content).tables["observations"][0]["stay_id"] is None


def test_the_same_row_twice_is_refused(request_content):
    request_content["records"]["diagnoses"] *= 2
    message = "repeats the stay_id, kind, position of an earlier row"
    assert fields(refused(request_content)) == {"records.diagnoses.1": message}


def test_impossible_times_are_refused(request_content):
    request_content["records"]["stays"][1]["discharged_at"] = "2025-11-01T09:00:00"
    assert fields(refused(request_content)) == {
        "records.stays.1.discharged_at": "1 row lies before the admission; this is the first"
    }


def test_a_discharge_is_predicted_for_a_stay_that_ended_or_as_of_a_named_time(request_content):
    request_content["prediction_point"] = "discharge"
    assert fields(refused(request_content)) == {
        "records.stays.0.discharged_at": "is required to predict at discharge"
    }
    request_content["prediction_time"] = "2026-01-09T08:00:00"
    assert accepted(request_content).prediction_time == dt.datetime(2026, 1, 9, 8)
    request_content["prediction_time"] = "2026-01-07T09:59:00"
    assert list(fields(refused(request_content))) == ["prediction_time"]


@pytest.mark.parametrize("status", ["booked", "cancelled"])
def test_a_stay_that_never_began_is_not_predicted_as_of_its_admission(request_content, status):
    request_content["records"]["stays"][0]["status"] = status
    message = "must be in or discharged to predict at admission; leave it out to have it derived"
    assert fields(refused(request_content)) == {"records.stays.0.status": message}
    request_content["records"]["stays"][0] |= {"status": "in"}
    assert accepted(request_content)


@pytest.mark.parametrize(
    ("table", "systems"),
    [("diagnoses", {"icd10gb": "I500", "icd9cm": "4280"}), ("procedures", {"icd9cm3": "8154"})],
)
def test_a_code_system_that_is_not_known_is_refused_with_those_that_are(request_content, table, systems):
    row = {"diagnoses": {"stay_id": "S9", "kind": "admitting", "position": 1, "code": "I500"},
           "procedures": {"stay_id": "S9", "position": 1, "code": "8154"}}[table]  # fmt: skip
    for system, code in systems.items():
        request_content["records"][table] = [row | {"code_system": system, "code": code}]
        assert accepted(request_content)
    request_content["records"][table] = [row | {"code_system": "snomed"}]
    ((place, message),) = fields(refused(request_content)).items()
    assert place == f"records.{table}.0.code_system"
    assert message.startswith("must be ")
    assert all(f"'{system}'" in message for system in systems)


CODES = {
    "diagnoses": {"stay_id": "S9", "kind": "admitting", "position": 1},
    "procedures": {"stay_id": "S9", "position": 1},
}


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("diagnoses", " . "),
        ("diagnoses", "I50'); DROP TABLE stays; --"),
        ("diagnoses", "428.0"),
        ("diagnoses", "\u0399" + "50"),  # a Greek capital that looks like an I
        ("procedures", "I50"),
    ],
)
def test_a_code_must_have_the_form_of_its_system(request_content, table, code):
    request_content["records"][table] = [CODES[table] | {"code": code}]
    found = fields(refused(request_content))
    assert found == {
        f"records.{table}.0.code": "1 row has a code that has not the form of its code system; "
        "this is the first"
    }


@pytest.mark.parametrize("code", ["I\u000050", "I50\n", "\u001b[31mI50", "I50\u007f"])
def test_no_text_holds_a_control_character(request_content, code):
    request_content["records"]["diagnoses"] = [CODES["diagnoses"] | {"code": code}]
    found = fields(refused(request_content))
    assert found == {"records.diagnoses.0.code": r"is not in the expected form, ^[^\x00-\x1f\x7f]*$"}


def test_the_form_is_that_of_the_code_system_of_the_row(request_content):
    samples = {"icd10": "I50.0", "icd10cm": "S72.001A", "icd10gb": "I10.x00x002", "icd9cm": "250.01",
               "icd10cn_insurance": "I50.900", "icd9cm3": "36.06", "icd10pcs": "0DTJ4ZZ"}  # fmt: skip
    assert set(samples) == set(CODE_FORMS)
    for system, code in samples.items():
        table = "procedures" if system in ("icd9cm3", "icd10pcs") else "diagnoses"
        request_content["records"] |= {"diagnoses": [], "procedures": []}
        request_content["records"][table] = [CODES[table] | {"code": code, "code_system": system}]
        assert accepted(request_content)


def test_procedures_need_a_code_system_where_the_models_have_none(request_content):
    request_content["records"]["procedures"] = [CODES["procedures"] | {"code": "36.06"}]
    request = read_request(request_content, max_rows=100)
    with pytest.raises(Problem) as caught:
        to_admission(request, "Asia/Shanghai", CodeSystems(diagnosis="icd9cm"))
    assert [error.field for error in caught.value.errors] == [
        "records.diagnoses.0.code",  # I500 is no code of icd9cm
        "records.procedures.0.code_system",
    ]


def test_diagnoses_need_a_code_system_where_the_models_have_none(request_content):
    request = read_request(request_content, max_rows=100)
    with pytest.raises(Problem) as caught:
        to_admission(request, "Asia/Shanghai", CodeSystems())
    assert "records.diagnoses.0.code_system" in [error.field for error in caught.value.errors]


def test_an_age_must_be_known_and_possible(request_content):
    patient, stays = request_content["records"]["patients"][0], request_content["records"]["stays"]
    birth_date = patient.pop("birth_date")
    unknown = "no age: send the patient's birth_date, or age_years with every stay; this is the first"
    assert fields(refused(request_content)) == {"records.stays.0.age_years": f"2 rows have {unknown}"}
    stays[0]["age_years"] = 130
    assert fields(refused(request_content)) == {"records.stays.1.age_years": f"1 row has {unknown}"}
    stays[1]["age_years"] = 2**31 - 1
    assert fields(refused(request_content)) == {"records.stays.1.age_years": "must be at most 130"}
    stays[1]["age_years"] = 74
    assert accepted(request_content)
    patient["birth_date"] = birth_date
    assert accepted(request_content)


def test_nobody_is_admitted_before_birth_but_newborns_are_on_the_day(request_content):
    # S3 begins on 2 November 2025, S9 later.
    request_content["records"]["patients"][0]["birth_date"] = "2025-11-02"
    assert accepted(request_content)
    request_content["records"]["patients"][0]["birth_date"] = "2025-11-03"
    assert fields(refused(request_content)) == {
        "records.stays.1.admitted_at": "1 row lies before the patient's birth_date; this is the first"
    }


def test_a_status_needs_its_times(request_content):
    request_content["records"]["stays"].append(
        {"stay_id": "S1", "patient_id": "P7", "hospital_id": "H1", "admission_type": "elective",
         "admitted_at": "2024-01-05T09:00:00", "status": "discharged"}
    )  # fmt: skip
    assert fields(refused(request_content)) == {
        "records.stays.2.status": "1 row has no time of admission or discharge for it; this is the first"
    }


def test_charges_cannot_add_up_to_more_than_the_total(request_content):
    charge = {"stay_id": "S3", "incurred_on": "2025-11-03", "category": "drugs"}
    # S3 cost 18,200 in all; 1 % more is 18,382. Antimicrobials are a part of drugs.
    request_content["records"]["charges"] = [
        charge | {"amount": 18_000.0},
        charge | {"amount": 382.0},
        charge | {"category": "antimicrobials", "amount": 9_000.0},
    ]
    assert accepted(request_content)
    request_content["records"]["charges"][1]["amount"] = 382.01
    assert fields(refused(request_content)) == {
        "records.charges.0.amount": "3 rows add up to more than the stay's total_cost; this is the first"
    }


def test_a_history_that_is_too_long_is_refused_before_it_is_read(request_content):
    request_content["records"]["visits"] = [{"no": "visit"}] * 7
    # 1 patient, 2 stays, 1 diagnosis and 7 visits.
    found = fields(refused(request_content, max_rows=10))
    assert found == {"records": "has 11 rows; at most 10. Send a shorter history and set history_from"}


def test_a_request_without_records_is_told_that_no_history_is_held():
    document = refused({"stay_id": "S9", "prediction_point": "admission"})
    assert document["type"] == "urn:wardcast:problem:records-required"
    assert "no history" in document["detail"]


def test_records_that_are_null_are_not_those_that_are_held():
    assert refused({"stay_id": "S9", "prediction_point": "admission", "records": None})["errors"] == [
        {"field": "records", "message": "must be an object"}
    ]


@pytest.mark.parametrize("content", [None, [], "S9", 3, {}])
def test_what_is_no_request_is_refused(content):
    assert refused(content)["status"] == 422


@pytest.mark.parametrize(
    "body",
    [
        b'{"stay_id": NaN}',
        b'{"stay_id": -Infinity}',
        b'{"Zhang-Wei-4711": 1, "Zhang-Wei-4711": 2}',
        b'{"a": [{"b": 1, "b": 1}]}',
        b'{"stay_id": "Zhang-Wei-4711"',
        b'{"stay_id": "\xff"}',
        b"[" * 200_000,
        b"1" * 5_000,
        b"",
    ],
)
def test_what_is_not_strict_json_is_refused_without_being_quoted(body):
    with pytest.raises(Problem) as caught:
        parse_json(body)
    document = caught.value.document()
    assert document["status"] == 400
    assert SECRET not in json.dumps(document)


def test_a_number_beyond_all_bounds_is_not_taken_for_infinity(request_content):
    text = json.dumps(request_content).replace("18200.0", "1e999")
    assert fields(refused(parse_json(text.encode()))) == {
        "records.stays.1.total_cost": "must be a finite number"
    }


def test_a_batch_is_a_list_of_limited_length():
    assert read_items({"items": [1, 2]}, max_batch=2) == [1, 2]
    for content in ({"items": [1, 2, 3]}, {"items": 3}, {}, [], {"items": [], SECRET: 1}):
        with pytest.raises(Problem) as caught:
            read_items(content, max_batch=2)
        assert SECRET not in json.dumps(caught.value.document())
