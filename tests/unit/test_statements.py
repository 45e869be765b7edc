"""Statements that are planned once: right for any records after any others, and never planned again."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from features.catalogue import features_at
from features.coding import code_flags_for, flag_types, plain_flags_for
from features.dataset import CodeSystems
from features.feature import Feature
from features.inputs import inputs_json
from features.meanings import CodeMeanings
from features.online import OnlineFeatures
from features.parts import parts
from features.points import Point
from features.records import AdmissionRecords
from features.settings import DEFAULT_SETTINGS
from features.statements import Question, Statements, input_types, statements_sql

SYSTEMS = CodeSystems(diagnosis="icd10", procedure="icd9cm3")
ADMITTED_AT = dt.datetime(2024, 3, 1, 10)
DAY = dt.timedelta(days=1)


def stay(stay_id: str, admitted_at: dt.datetime, days: int | None, **more: Any) -> dict[str, Any]:
    ended_at = None if days is None else admitted_at + days * DAY
    return {
        "stay_id": stay_id,
        "patient_id": "P7",
        "hospital_id": "H1",
        "status": "in" if days is None else "discharged",
        "admission_type": "emergency",
        "admitted_at": admitted_at,
        "discharged_at": ended_at,
    } | more


def admission(
    *earlier: dict[str, Any], facts: tuple[dict[str, Any], ...] = (), **tables: Any
) -> AdmissionRecords:
    patients = [{"patient_id": "P7", "sex": "female", "birth_date": dt.date(1950, 1, 1)}]
    found = {"patients": patients, "stays": [*earlier, stay("S1", ADMITTED_AT, None)], **tables}
    if facts:
        found["facts"] = [{"stay_id": "S1", "available_from": "admission", **fact} for fact in facts]
    return AdmissionRecords("S1", Point.ADMISSION, found)


def measured(value: float, hours: int, unit: str = "g/dL") -> dict[str, Any]:
    taken_at = ADMITTED_AT + dt.timedelta(hours=hours)
    return {"patient_id": "P7", "taken_at": taken_at, "code": "718-7", "value": value, "unit": unit}


BARE = admission()
FULL = admission(
    stay("S0", ADMITTED_AT - 40 * DAY, 6, total_cost=Decimal("14250.00")),
    diagnoses=[
        {"stay_id": "S0", "kind": "discharge", "position": 1, "code": "I500"},
        {"stay_id": "S1", "kind": "admitting", "position": 1, "code": "E119"},
    ],
    procedures=[],
    visits=[
        {
            "visit_id": "v",
            "patient_id": "P7",
            "visited_at": ADMITTED_AT - 3 * DAY,
            "kind": "outpatient",
            "cost": Decimal("0.10"),
        }
    ],
    observations=[measured(11.2, 2), measured(139.0, 8, "g/L")],
    medications=[{"patient_id": "P7", "started_at": ADMITTED_AT - 9 * DAY, "code": "A10BA02"}],
)
MANY = admission(
    *(stay(f"E{n}", ADMITTED_AT - (10 + n) * DAY, 0, total_cost=Decimal("0.01")) for n in range(300)),
    visits=[],
)
MOST = Decimal("9999999999999999.99")
# Texts that would end a literal, name a parameter, or end a text of C.
ODD = admission(
    stay("E'); SELECT 1 --", ADMITTED_AT - 20 * DAY, 3, payer='"$1"\\', total_cost=MOST),
    stay("E\0\U0001f600", ADMITTED_AT - 50 * DAY, 3, payer="null", total_cost=Decimal("0.10")),
)  # fmt: skip
ALL = {"bare": BARE, "full": FULL, "many": MANY, "odd": ODD}


@pytest.fixture(scope="module")
def online() -> OnlineFeatures:
    return OnlineFeatures(SYSTEMS, DEFAULT_SETTINGS)


@pytest.mark.parametrize("name", ALL)
def test_a_plan_made_for_other_records_gives_what_a_fresh_one_gives(online, name):
    for before in ALL.values():
        online.rows([before])
    found = online.rows([ALL[name]])
    fresh = OnlineFeatures(SYSTEMS, DEFAULT_SETTINGS).rows([ALL[name]])
    pd.testing.assert_frame_equal(found.features, fresh.features, check_exact=True)
    assert found.warnings == fresh.warnings


def test_a_lane_that_fails_waits_for_the_others(online, monkeypatch):
    """Whoever asks next must not find a lane that is still at work for a question that failed."""
    second_has_failed, n_ended = threading.Event(), []

    def failing(_lane: Any, _prepared: Any, *, values: str) -> Any:
        assert values
        if not second_has_failed.is_set():
            second_has_failed.set()
            raise MemoryError
        time.sleep(0.2)
        n_ended.append(1)
        return {}

    with monkeypatch.context() as during:
        during.setattr("features.statements._columns", failing)
        with pytest.raises(MemoryError):
            online.rows([BARE])
        assert len(n_ended) == 1
    assert len(online.rows([BARE]).features) == 1


def test_together_each_gets_what_it_gets_alone(online):
    asked = [*ALL.values(), FULL, BARE]
    together = online.rows(asked)
    for place, each in enumerate(asked):
        alone = online.rows([each])
        row = together.features.iloc[[place]].reset_index(drop=True)
        pd.testing.assert_frame_equal(row, alone.features, check_exact=True, check_dtype=False)
        assert together.warnings[place] == alone.warnings[0]


@pytest.mark.parametrize("point", [Point.ADMISSION, Point.DISCHARGE])
@pytest.mark.parametrize("n_apart", [2, 7, 30])
def test_features_that_are_wanted_are_as_among_all(online, point, n_apart):
    """Also where one is read from others that are not wanted: LACE counts the days of the stay."""
    stays = [*FULL.tables["stays"][:-1], stay("S1", ADMITTED_AT, 3)]
    coded = {"stay_id": "S1", "kind": "discharge", "position": 1, "code": "I500"}
    diagnoses = [*FULL.tables["diagnoses"], coded]
    asked = replace(FULL, point=point, tables={**FULL.tables, "stays": stays, "diagnoses": diagnoses})
    every = online.rows([asked]).features
    wanted = frozenset(every.columns[::n_apart]) | ({"lace_index"} & {*every.columns})
    found = online.rows([asked], wanted=wanted).features
    assert frozenset(found.columns) == wanted
    pd.testing.assert_frame_equal(found, every[found.columns], check_exact=True)
    if point is Point.DISCHARGE:
        assert found["lace_index"].notna().all()


def test_values_come_through_json_as_they_are(online):
    row = online.rows([FULL]).features.iloc[0]
    # 139 g/L are 13.9 g/dL, eight hours after the admission; 11.2 six hours before that.
    assert row["haemoglobin_first_day"] == 13.9
    assert row["haemoglobin_change"] == pytest.approx(2.7)
    assert (row["n_stays_prior_365d"], row["visit_cost_prior_30d"]) == (1, 0.1)
    assert row["had_congestive_heart_failure"] == 1
    many = online.rows([MANY]).features.iloc[0]
    # Stays on each of the days 10 to 309 before; those of the days 10 to 30 are 21.
    assert (many["n_stays_prior_30d"], many["n_stays_prior_365d"]) == (21, 300)
    assert many["stay_cost_prior_365d"] == 3.0
    odd = online.rows([ODD]).features.iloc[0]
    # 9,999,999,999,999,999.99 + 0.10 as a decimal; the nearest double is the next power of ten.
    assert odd["stay_cost_prior_365d"] == float(Decimal("10000000000000000.09"))


def planning(statements: Statements, sql: str, out: Path) -> float:
    """The seconds that the engine planned, as its own profile tells them."""
    con = statements._lanes[0]
    con.execute("PRAGMA enable_profiling = 'json'")
    con.execute("PRAGMA profiling_mode = 'detailed'")
    con.execute(f"SET profiling_output = '{out}'")
    con.execute(sql).fetchall()
    con.execute("PRAGMA disable_profiling")
    profile = json.loads(out.read_text())
    steps = ("planner", "optimizer", "physical_planner")
    return sum(float(profile[step]["total_time"]) for step in steps)


@pytest.mark.parametrize("point", [Point.ADMISSION, Point.DISCHARGE])
def test_the_engine_does_not_plan_again(tmp_path, point):
    """An engine that does not keep these plans makes every request wait for its planner again."""
    statements = Statements(SYSTEMS, DEFAULT_SETTINGS)
    question = Question(point, True)
    prepared = statements.prepare(question)
    assert statements.prepare(question) is prepared
    inputs = inputs_json([FULL], [ADMITTED_AT + DAY], CodeMeanings().of({"diagnoses": [], "procedures": []}))
    values = [f"'{inputs[name]}'" for name in input_types()]
    sql = statements_sql(question, SYSTEMS, DEFAULT_SETTINGS)[0]
    for place in reversed(range(len(values))):
        sql = sql.replace(f"${place + 1}::", f"{values[place]}::")
    planned = planning(statements, sql, tmp_path / "planned.json")
    kept = planning(statements, f"EXECUTE {prepared[0].name}({', '.join(values)})", tmp_path / "kept.json")
    # It is hundreds of times less; where it is planned again it is about as much.
    assert kept < planned / 5


def test_statements_that_were_not_asked_for_long_are_forgotten(monkeypatch):
    monkeypatch.setattr("features.statements._MOST_KEPT", 2)
    online = OnlineFeatures(SYSTEMS, DEFAULT_SETTINGS)
    first = online.rows([FULL]).features

    def fact(name: str) -> Feature:
        return Feature(name, name, "number", "", Point.ADMISSION, "", "facts", name, ("facts",), is_fact=True)

    sent = tuple({"name": f"fact_{n}", "value": str(n)} for n in range(4))
    for n in range(4):
        found = online.rows([admission(facts=sent)], facts=[fact(f"fact_{n}")]).features
        assert found[f"fact_{n}"].tolist() == [n]
    pd.testing.assert_frame_equal(online.rows([FULL]).features, first, check_exact=True)


def test_a_fact_fills_a_feature_in_every_part_that_computes_it(online):
    names = {"payer": "self", "n_stays_prior_30d": "2", "sodium_first_day": "131.5", "order": "x"}
    sent = tuple({"name": name, "value": value} for name, value in names.items())
    features = {feature.name: feature for feature in features_at(Point.ADMISSION)}
    facts = [
        Feature(name, name, features[name].type if name in features else "category", "", Point.ADMISSION, "",
                "facts", name, ("facts",), is_fact=True)
        for name in names
    ]  # fmt: skip
    row = online.rows([admission(facts=sent, visits=[])], facts=facts).features.iloc[0]
    assert (row["payer"], row["sodium_first_day"]) == ("self", 131.5)
    # The records know of no earlier stay: the fact fills what is missing alone.
    assert row["n_stays_prior_30d"] == 0
    assert row["order"] == "x"


@pytest.mark.parametrize("point", list(Point))
def test_every_feature_is_in_exactly_one_part_with_all_that_it_reads(point):
    features = features_at(point, optional=True)
    found = parts(features)
    assert sorted(each.name for part in found for each in part.features) == sorted(f.name for f in features)
    for part in found:
        assert set(part.features) <= set(part.computed)
    if point is Point.DISCHARGE:
        # LACE rests on stay, codes and visits: it stands alone, with what it reads computed for it.
        (part,) = [part for part in found if "lace_index" in {each.name for each in part.features}]
        assert [each.name for each in part.features] == ["lace_index"]
        reads = {"length_of_stay_days", "lace_comorbidity_weight", "n_emergency_visits_prior_180d"}
        assert {each.name for each in part.computed} == {"lace_index", *reads}


def test_codes_mean_in_memory_what_they_mean_in_a_data_set():
    codes = {"diagnoses": [("I500", "icd10"), ("XXX", "icd10")], "procedures": [("3606", "icd9cm3")]}
    meanings = CodeMeanings()
    for _ in range(2):
        found = meanings.of(codes)
        for table, name in (("diagnoses", "diagnosis_flags"), ("procedures", "procedure_flags")):
            rows = [json.loads(meaning.flags) for meaning in found[table].values()]
            expected = code_flags_for(codes)[name].astype(object)
            assert rows == expected.where(expected.notna(), None).to_dict("records")
    known = {code: meaning.is_known for (code, _), meaning in found["diagnoses"].items()}
    assert known == {"I500": True, "XXX": False}


def test_remembered_codes_are_bounded(monkeypatch):
    monkeypatch.setattr("features.meanings.MOST_REMEMBERED", 3)
    meanings = CodeMeanings()
    for first in range(0, 8, 2):
        codes = [(f"I{first + n}", "icd10") for n in range(3)]
        found = meanings.of({"diagnoses": codes, "procedures": []})
        assert [*found["diagnoses"]] == codes
        assert len(meanings._remembered) == 3


def test_columns_of_flags_have_the_types_that_tables_made_of_them_have():
    flags = code_flags_for({"diagnoses": [("I500", "icd10")], "procedures": [("3606", "icd9cm3")]})
    flags |= plain_flags_for(["A10BA02"], [("718-7", "g/dL")])
    for name, frame in flags.items():
        described = duckdb.from_df(frame)
        assert dict(zip(described.columns, map(str, described.types), strict=True)) == flag_types()[name]
