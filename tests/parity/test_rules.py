"""A request is refused for what the check of a data set would put into quarantine, and for nothing else.

The check's own conditions, run by the data engine, stand beside those of a request.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.dataset import CodeSystems, Declaration
from features.quality.check import verdicts
from features.quality.rules import WHAT_TO_DO, Condition, conditions
from features.tables import SQL_TYPES, TABLES
from serving.predictions.documents import EXAMPLE_REQUEST
from serving.problems import Problem
from serving.requests.consistency import broken_rules
from serving.requests.reading import read_request, to_admission
from serving.requests.rules import BY_FORM, NOT_OF_A_REQUEST, RULES
from serving.requests.schema import REQUEST_TABLES

Row = dict[str, Any]
Tables = dict[str, list[Row]]

SECRET = "Zhang-Wei-4711"
SYSTEMS = CodeSystems(diagnosis="icd10gb")
OF_ONE_PATIENT = {"shifted": True, "none": False}
"""Time lines without a calendar, whose rules rest on nothing but the rows; and whether they have dates."""


def declared(timeline: str) -> Declaration:
    observed = {"observed_from": dt.date(1850, 1, 1), "observed_until": dt.date(2400, 12, 31)}
    return Declaration(
        name="x", source="x", currency="CNY", cost_basis="billed", time_zone="Asia/Shanghai",
        timeline=timeline, complete_by="discharge", deaths="registry", code_systems=SYSTEMS,
        **(observed if OF_ONE_PATIENT[timeline] else {}),
    )  # fmt: skip


def quarantined(tables: Tables, timeline: str) -> dict[tuple[str, int], str]:
    """The rule that quarantines a row, by table and place."""
    found = {}
    with duckdb.connect(config={"threads": 1}) as con:
        for name in [name for name in TABLES if name in tables]:
            table = TABLES[name]
            types = json.dumps([{column.name: SQL_TYPES[column.type] for column in table.columns}])
            rows = f"SELECT unnest(from_json($1::VARCHAR, '{types}'), recursive := true)"
            con.execute(
                f"CREATE TABLE typed_{name} AS SELECT *, row_number() OVER () - 1 AS _row, "
                f"NULL::VARCHAR AS _unreadable FROM ({rows})",
                [json.dumps(tables[name], default=str)],
            )
            for relation, sql in verdicts(table, f"typed_{name}", declared(timeline)).items():
                con.execute(f"CREATE TABLE {relation} AS {sql}")
            for place, reason in con.execute(f"SELECT _row, reason FROM bad_{name}").fetchall():
                found[name, place] = reason.split(":")[0]
    return found


def refused(tables: Tables, timeline: str) -> set[tuple[str, int, str]]:
    """Table, place and rule of every row that a request is refused for."""
    found = broken_rules(tables, SYSTEMS, is_dated=OF_ONE_PATIENT[timeline])
    return {(table, place, rule.name) for table, rule, places in found for place in places}


def agree(tables: Tables, timeline: str) -> set[str]:
    """The rules that rows break, after both sides found the same ones."""
    check, request = quarantined(tables, timeline), refused(tables, timeline)
    assert bool(check) == bool(request), f"check: {check}, request: {request}"
    # What belongs to a quarantined row is quarantined after it; a request is refused as a whole.
    own = {(*place, rule) for place, rule in check.items() if rule not in ("unknown_patient", "unknown_stay")}
    assert own <= request
    return {rule for _, _, rule in request}


def test_every_rule_of_the_check_has_its_place_in_a_request():
    of_rows = {rule.name for rules in RULES.values() for rule in rules}
    assert {*WHAT_TO_DO} == {*BY_FORM, *NOT_OF_A_REQUEST, *of_rows}
    assert len(WHAT_TO_DO) == len(BY_FORM) + len(NOT_OF_A_REQUEST) + len(of_rows)
    elsewhere = {*BY_FORM, *NOT_OF_A_REQUEST}
    # The sum of charges is found over rows, beside the conditions of single ones.
    over_rows = {"charges": {"beyond_total"}}
    for name, table in REQUEST_TABLES.items():
        of_check = {condition.rule for condition in conditions(table, declared("shifted"))}
        assert of_check - elsewhere | over_rows.get(name, set()) == {rule.name for rule in RULES[name]}


def single_values() -> Iterator[tuple[str, Condition]]:
    for name, table in REQUEST_TABLES.items():
        for condition in conditions(table, declared("shifted")):
            if condition.rule in BY_FORM:
                yield name, condition


def broken_value(table: str, condition: Condition) -> object:
    column = TABLES[table].by_name[condition.column]
    match condition.rule:
        case "unreadable" | "not_allowed":
            return SECRET
        case "missing_value":
            return " " if column.type == "text" and not column.allowed else None
        case "negative":
            assert column.minimum is not None
            return column.minimum - 1
        case "too_large":
            assert column.maximum is not None
            return column.maximum + 1
        case "too_long":
            return "x" * (int(condition.sql.rsplit(" ", 1)[1]) + 1)
        case "control_characters":
            return f"{SECRET}\n"
    raise AssertionError(condition.rule)


@pytest.mark.parametrize(
    ("table", "condition"), [*single_values()], ids=lambda each: getattr(each, "reason", each)
)
def test_a_value_that_the_check_refuses_is_refused_in_a_request(table, condition):
    if (table, condition.reason) == ("stays", "missing_value: status"):
        return  # follows from the times
    content = copy.deepcopy(EXAMPLE_REQUEST)
    row = content["records"].setdefault(table, [{}])[0]
    row[condition.column] = broken_value(table, condition)
    with pytest.raises(Problem) as told:
        read_request(content, max_rows=100)
    assert f"records.{table}.0.{condition.column}" in {error.field for error in told.value.errors}
    assert SECRET not in json.dumps(told.value.document())


def test_a_text_may_be_as_long_as_in_a_data_set_and_has_no_spaces_around_it():
    content = copy.deepcopy(EXAMPLE_REQUEST)
    content["records"]["stays"][0] |= {"payer": "x" * 10_000, "admission_department": "\u3000surgery "}
    admission = to_admission(read_request(content, max_rows=100), "Asia/Shanghai", SYSTEMS)
    assert len(admission.tables["stays"][0]["payer"]) == 10_000
    assert admission.tables["stays"][0]["admission_department"] == "surgery"


def row_of(table: str, **values: Any) -> Row:
    return {column.name: values.get(column.name) for column in TABLES[table].columns}


def sound() -> Tables:
    """Records that keep every rule: born 1950-03-01, in hospital from 1 to 5 June 2024, died on 15 June."""
    at = dt.datetime(2024, 6, 1, 10)
    return {
        "patients": [row_of("patients", patient_id="P", sex="female", birth_date=dt.date(1950, 3, 1),
                            death_date=dt.date(2024, 6, 15))],
        "stays": [row_of("stays", stay_id="S", patient_id="P", hospital_id="H", status="discharged",
                         admitted_at=at, discharged_at=dt.datetime(2024, 6, 5, 9),
                         admission_type="urgent", total_cost=Decimal("100.00"))],
        "diagnoses": [row_of("diagnoses", stay_id="S", kind="discharge", position=1, code="I500")],
        "procedures": [row_of("procedures", stay_id="S", position=1, code="3606", code_system="icd9cm3",
                              performed_at=at)],
        "charges": [row_of("charges", stay_id="S", incurred_on=at.date(), category="drugs",
                           amount=Decimal("100.00"))],
        "observations": [row_of("observations", patient_id="P", taken_at=at, code="718-7", value=11.5,
                                unit="g/dL")],
        "medications": [row_of("medications", patient_id="P", stay_id="S", started_at=at, code="C03CA01")],
        "visits": [row_of("visits", visit_id="V", patient_id="P", visited_at=at, kind="outpatient")],
        "facts": [row_of("facts", stay_id="S", name="x", value="1", available_from="admission")],
    }  # fmt: skip


# 1950-03-01 less 280 days is 1949-05-25; 2024-06-15 and 30 days are 2024-07-15, and a day is the 16th.
ROWS = [
    ("stays", {"patient_id": "P2"}, "unknown_patient"),
    ("observations", {"patient_id": "P2"}, "unknown_patient"),
    ("visits", {"patient_id": "P2"}, "unknown_patient"),
    ("diagnoses", {"stay_id": "S2"}, "unknown_stay"),
    ("facts", {"stay_id": "S2"}, "unknown_stay"),
    ("medications", {"stay_id": "S2"}, "unknown_stay"),
    ("medications", {"stay_id": None}, None),
    ("patients", {"death_date": dt.date(1950, 2, 28)}, "died_before_birth"),
    ("diagnoses", {"code": "4280"}, "code_outside_system"),
    ("diagnoses", {"code": "4280", "code_system": "icd9cm"}, None),
    ("procedures", {"code_system": None}, "code_outside_system"),
    ("procedures", {"code": "X"}, "code_outside_system"),
    ("stays", {"discharged_at": dt.datetime(2024, 6, 1, 9, 59)}, "discharged_before_admitted"),
    ("stays", {"discharged_at": dt.datetime(2024, 6, 1, 10)}, None),
    ("medications", {"ended_at": dt.datetime(2024, 5, 31, 23, 59)}, "ended_before_started"),
    ("medications", {"ended_at": dt.datetime(2024, 6, 1)}, None),
    ("stays", {"discharged_at": None}, "status_contradicts"),
    ("stays", {"discharged_at": None, "status": "in"}, None),
    ("stays", {"admitted_at": None, "booked_at": dt.datetime(2024, 5, 1)}, "status_contradicts"),
    ("stays", {"admitted_at": None, "booked_at": dt.datetime(2024, 5, 1), "status": "cancelled"}, None),
    ("stays", {"admitted_at": None, "discharged_at": None, "status": "booked"}, "age_unknown"),
    ("patients", {"birth_date": None}, "age_unknown"),
    ("patients", {"birth_date": dt.date(2024, 6, 2)}, "born_after_admission"),
    ("patients", {"birth_date": dt.date(2024, 6, 1)}, None),
    ("patients", {"birth_date": dt.date(1893, 6, 1)}, "too_old"),
    ("patients", {"birth_date": dt.date(1893, 6, 2)}, None),
    ("procedures", {"performed_at": dt.datetime(1949, 5, 24, 23, 59)}, "before_birth"),
    ("charges", {"incurred_on": dt.date(1949, 5, 24)}, "before_birth"),
    ("observations", {"taken_at": dt.datetime(1949, 5, 24, 23, 59)}, "before_birth"),
    ("medications", {"started_at": dt.datetime(1949, 5, 24, 23, 59)}, "before_birth"),
    ("visits", {"visited_at": dt.datetime(1949, 5, 24, 23, 59)}, "before_birth"),
    ("visits", {"visited_at": dt.datetime(1949, 5, 25)}, None),
    ("stays", {"admitted_at": dt.datetime(2024, 6, 17), "discharged_at": dt.datetime(2024, 6, 18)},
     "after_death"),
    ("stays", {"admitted_at": dt.datetime(2024, 6, 16, 23), "discharged_at": dt.datetime(2024, 6, 18)}, None),
    ("procedures", {"performed_at": dt.datetime(2024, 7, 16)}, "after_death"),
    ("procedures", {"performed_at": dt.datetime(2024, 7, 16), "is_planned": True}, None),
    ("charges", {"incurred_on": dt.date(2024, 7, 16)}, "after_death"),
    ("observations", {"taken_at": dt.datetime(2024, 7, 16)}, "after_death"),
    ("observations", {"taken_at": dt.datetime(2024, 7, 15, 23, 59)}, None),
    ("medications", {"started_at": dt.datetime(2024, 7, 16)}, "after_death"),
    ("visits", {"visited_at": dt.datetime(2024, 7, 16)}, "after_death"),
    ("charges", {"amount": Decimal("101.00")}, None),
    ("charges", {"amount": Decimal("101.01")}, "beyond_total"),
    ("charges", {"amount": Decimal("101.01"), "category": "antimicrobials"}, "beyond_total"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "change", "rule"), ROWS)
def test_a_row_breaks_the_same_rule_in_both(table, change, rule):
    tables = sound()
    assert agree(tables, "shifted") == set()
    tables[table][0] |= change
    found = agree(tables, "shifted")
    # Without their stay or patient other rows break rules too.
    assert (rule in found) if rule else (found == set())


def test_every_rule_of_rows_stands_in_the_examples():
    of_rows = {(name, rule.name) for name, rules in RULES.items() for rule in rules}
    assert {rule for _, rule in of_rows} == {rule for _, _, rule in ROWS} - {None}


def moments(anchors: list[dt.date]) -> st.SearchStrategy[dt.datetime]:
    """Times about the limits of the rules: days of birth, death and the 131st birthday, and days off them."""
    day = st.builds(
        lambda anchor, days: anchor + dt.timedelta(days),
        st.sampled_from(anchors),
        st.sampled_from([0, 0, 0, 0, 1, -1, 2, 30, 31, -280, -281]),
    )
    return st.builds(dt.datetime.combine, day, st.sampled_from([dt.time(0), dt.time(23, 59)]))


@st.composite
def records(draw: st.DrawFn) -> Tables:
    """A patient's records about the limits of the rules, most of them sound."""

    def maybe(one: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | one)

    def of(table: str, most: int) -> range:
        return range(draw(st.integers(0, most)))

    birth = draw(st.sampled_from([dt.date(1950, 3, 1)] * 4 + [dt.date(1888, 2, 29), dt.date(1893, 6, 1)]))
    death = draw(st.sampled_from([None, None, dt.date(2024, 6, 1), dt.date(1950, 2, 28)]))
    anchors = [dt.date(2024, 6, 1)] * 3 + [birth, death or dt.date(2024, 6, 2), dt.date(2019, 2, 28)]
    at = moments(anchors)
    on = at.map(dt.datetime.date)
    patient_id = st.sampled_from(["P"] * 12 + ["P2"])
    stay_id = st.sampled_from(["S0"] * 4 + ["S1"])
    money = st.sampled_from([Decimal("0.00"), Decimal("50.50"), Decimal("100.00"), Decimal("101.01")])
    tables: Tables = {
        "patients": [row_of("patients", patient_id="P", sex="male", death_date=death,
                            birth_date=draw(st.sampled_from([birth] * 5 + [None])))],
        "stays": [],
        "diagnoses": [row_of("diagnoses", stay_id=draw(stay_id), kind="discharge", position=place + 1,
                             code=draw(st.sampled_from(["I500", "I10X00X002"] * 3 + ["4280", "I5"])),
                             code_system=draw(st.sampled_from([None] * 6 + ["icd9cm", "icd10"])))
                      for place in of("diagnoses", 2)],
    }  # fmt: skip
    for place in range(draw(st.integers(1, 2))):
        admitted_at = maybe(at) if draw(st.booleans()) else draw(at)
        ends = st.sampled_from([dt.timedelta(0), dt.timedelta(days=3), dt.timedelta(minutes=-1)])
        left = admitted_at and draw(st.sampled_from([0, 1, 1])) and admitted_at + draw(ends)
        natural = "discharged" if left else "in" if admitted_at else "booked"
        status = draw(st.sampled_from([natural] * 9 + ["discharged", "in", "booked", "cancelled"]))
        tables["stays"].append(
            row_of("stays", stay_id=f"S{place}", patient_id=draw(patient_id), hospital_id="H", status=status,
                   admitted_at=admitted_at, discharged_at=left or None, booked_at=maybe(at),
                   planned_admission_at=maybe(at), admission_type="urgent", total_cost=maybe(money),
                   age_years=maybe(st.just(74)))
        )  # fmt: skip
    events = {
        "procedures": lambda place: {"stay_id": draw(stay_id), "position": place + 1, "code": "3606",
                                     "performed_at": maybe(at), "is_planned": maybe(st.booleans()),
                                     "code_system": draw(st.sampled_from(["icd9cm3"] * 9 + [None]))},
        "charges": lambda _: {"stay_id": draw(stay_id), "incurred_on": draw(on), "amount": draw(money),
                              "category": draw(st.sampled_from(["drugs", "antimicrobials", "nursing"]))},
        "observations": lambda _: {"patient_id": draw(patient_id), "stay_id": maybe(stay_id), "code": "718-7",
                                   "taken_at": draw(at), "value": 11.5, "unit": "g/dL"},
        "medications": lambda _: {"patient_id": draw(patient_id), "stay_id": maybe(stay_id), "code": "C03",
                                  "started_at": draw(at), "ended_at": maybe(at)},
        "visits": lambda place: {"visit_id": f"V{place}", "patient_id": draw(patient_id),
                                 "visited_at": draw(at), "kind": "outpatient"},
    }  # fmt: skip
    for name, make in events.items():
        if draw(st.booleans()):
            tables[name] = [row_of(name, **make(place)) for place in of(name, 2)]
    return tables


@given(tables=records(), timeline=st.sampled_from([*OF_ONE_PATIENT]))
@settings(deadline=None, derandomize=True, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_what_the_check_quarantines_is_refused_and_nothing_else(tables: Tables, timeline: str) -> None:
    agree(tables, timeline)
