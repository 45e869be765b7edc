"""Stored predictions over HTTP: who sees which, what is refused, what is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Role
from serving.champions.loaded import ChampionSet
from serving.database.connection import open_database, writing
from serving.http.description import describe
from serving.http.documents import ProblemDocument
from serving.http.responses import answer_problems
from serving.routes.stored import router
from serving.store.documents import EXAMPLE_WORKLIST, StoredAnswerDocument, WorklistDocument
from serving.store.predictions import PredictionStore
from tests.stored import answer

SECRET = "Zhang-Wei-4711"


class Recorded(AuditLog):
    """An audit log that keeps what it is told."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, str, list[str], list[str]]] = []

    def record(self, caller: Caller, action: str, stay_ids: Iterable[str], models: Iterable[str]) -> None:
        self.reads.append((caller.name, action, [*stay_ids], [*models]))


class Hospital:
    """The two routes over a store of its own, asked by whoever is named."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(f"sqlite:///{folder}/store.db")
        self.store = PredictionStore(self.engine)
        self.audit = Recorded()
        self.caller = Caller("planner", frozenset({Role.PLANNER}), None)

        async def identify(_headers: object) -> Caller:
            return self.caller

        app = FastAPI()
        answer_problems(app)
        self.champions = ChampionSet()
        app.include_router(router(Access(identify), self.audit, self.store, lambda: self.champions))
        describe(app, ())
        self.client = TestClient(app, raise_server_exceptions=False)

    def seeing(self, *departments: str, role: Role = Role.PLANNER) -> None:
        self.caller = Caller("planner", frozenset({role}), frozenset(departments))

    def get(self, address: str, **headers: str) -> tuple[int, Any]:
        response = self.client.get(address, headers=headers)
        return response.status_code, response.json()

    def listed(self, query: str = "") -> list[str]:
        status, document = self.get(f"/v1/worklist{query}")
        assert status == 200
        WorklistDocument.model_validate(document, strict=False)
        return [item["stay_id"] for item in document["items"]]


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    yield made
    made.engine.dispose()


def test_the_latest_prediction_is_answered_as_it_was_given_and_the_read_recorded(hospital):
    asked = replace(answer("S9", 0.231, in_words=True), stored_by="ehr (3f9c0a1b2c4d)")
    hospital.store.save([asked])
    status, document = hospital.get("/v1/admissions/S9/prediction")
    assert status == 200
    StoredAnswerDocument.model_validate(document)
    assert document == {**asked.document, "stored_by": "ehr (3f9c0a1b2c4d)"}
    assert hospital.audit.reads == [("planner", "read_prediction", ["S9"], ["readmission-admission/7"])]


def test_more_than_a_few_reasons_are_told_to_who_asks_for_them(hospital):
    stored = answer("S9")
    prediction = stored.document["predictions"][0]
    prediction |= {
        "reasons": prediction["reasons"] * 9,
        "n_contributing": 9,
        "base_prediction": 0.1,
        "marks": [],
    }
    hospital.store.save([stored])
    _, usual = hospital.get("/v1/admissions/S9/prediction")
    _, full = hospital.get("/v1/admissions/S9/prediction?explain=full")
    _, listed = hospital.get("/v1/worklist")
    told = [usual["predictions"][0], full["predictions"][0], listed["items"][0]["prediction"]]
    assert [len(each["reasons"]) for each in told] == [5, 9, 5]
    assert ["marks" in each for each in told] == [False, True, False]


def test_it_is_told_in_the_language_that_is_asked_for(hospital):
    hospital.store.save([answer("S9")])
    for address in ("/v1/admissions/S9/prediction?language=zh", "/v1/worklist?language=zh"):
        _, document = hospital.get(address)
        prediction = document["items"][0]["prediction"] if "items" in document else document["predictions"][0]
        assert "风险" in prediction["reasons"][0]["sentence"]
    _, document = hospital.get("/v1/admissions/S9/prediction", **{"Accept-Language": "zh-CN"})
    assert "风险" in document["predictions"][0]["reasons"][0]["sentence"]


def test_a_point_may_be_asked_for(hospital):
    hospital.store.save(
        [answer("S9"), answer("S9", 0.5, point="discharge", scored_at="2026-01-09T00:00:00Z")]
    )
    found = [
        hospital.get(f"/v1/admissions/S9/prediction{query}")
        for query in ("", "?prediction_point=admission", "?prediction_point=preadmission")
    ]
    assert [status for status, _ in found] == [200, 200, 404]
    assert [document["prediction_point"] for _, document in found[:2]] == ["discharge", "admission"]


def test_another_departments_stay_is_answered_exactly_as_one_that_is_not_there(hospital):
    hospital.store.save([answer("S1", department="surgery"), answer("S2", department=None)])
    hospital.seeing("cardiology")
    answers = [hospital.client.get(f"/v1/admissions/{stay}/prediction") for stay in ("S1", "S2", "S3")]
    assert [each.status_code for each in answers] == [404, 404, 404]
    assert len({each.content for each in answers}) == 1
    ProblemDocument.model_validate(answers[0].json())
    assert hospital.audit.reads == []
    hospital.seeing("cardiology", "surgery")
    assert hospital.get("/v1/admissions/S1/prediction")[0] == 200
    # Of an unknown department: for those alone who see all.
    assert hospital.get("/v1/admissions/S2/prediction")[0] == 404


@pytest.mark.parametrize(
    "stay_id",
    ["S/1", "S1/prediction", "a%b", "Ärztin 7", "?x=1#y", "' OR 1=1 --", "..", "\U0001f3e5", "x" * 200],
)
def test_a_stay_is_found_by_whatever_text_names_it(hospital, stay_id):
    hospital.store.save([answer(stay_id)])
    # A client would resolve dots that stand alone.
    encoded = "%2E%2E" if stay_id == ".." else quote(stay_id, safe="")
    status, document = hospital.get(f"/v1/admissions/{encoded}/prediction")
    assert (status, document["stay_id"]) == (200, stay_id)


@pytest.mark.parametrize(
    "path", ["%00", "S%00", "%0A", "%FF", "%ED%A0%80", "x" * 5_000, "..%2F..%2Fetc%2Fpasswd", "", "%20"]
)
def test_a_strange_name_is_that_of_no_stay(hospital, path):
    hospital.store.save([answer("S1")])
    response = hospital.client.get(f"/v1/admissions/{path}/prediction")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_planners_see_the_stays_of_their_departments_on_the_worklist(hospital):
    hospital.store.save(
        [
            answer("S1", 0.4, department="cardiology"),
            answer("S2", 0.3, department="surgery"),
            answer("S3", 0.2, department=None),
        ]
    )
    assert hospital.listed() == ["S1", "S2", "S3"]
    assert hospital.listed("?department=surgery") == ["S2"]
    hospital.seeing("surgery")
    assert hospital.listed() == ["S2"]
    assert hospital.listed("?department=surgery") == ["S2"]
    # Another department is as empty as one that does not exist.
    assert hospital.listed("?department=cardiology") == hospital.listed("?department=none") == []
    reads = [(action, stays) for _, action, stays, _ in hospital.audit.reads]
    assert reads == [("read_worklist", stays) for stays in (["S1", "S2", "S3"], ["S2"], ["S2"], ["S2"])]


def test_the_worklist_tells_what_a_prediction_rests_on(hospital):
    warned = "outside the models' population: died in hospital"
    stored = answer("S1")
    hospital.store.save([replace(stored, document={**stored.document, "warnings": [warned]})])
    hospital.store.save([answer("S2", 0.9)])
    _, document = hospital.get("/v1/worklist")
    within, outside = document["items"]
    assert (outside["warnings"], outside["outside_population"]) == ([warned], True)
    assert (within["warnings"], within["outside_population"]) == (stored.document["warnings"], False)


def test_a_target_that_nothing_predicts_is_refused_and_not_answered_as_if_nobody_were_at_risk(hospital):
    # Nothing is known here yet: neither a model nor a prediction.
    assert hospital.listed("?target=readmision") == []
    hospital.store.save([answer("S1", cost=7.0)])
    status, document = hospital.get("/v1/worklist?target=readmision")
    assert status == 422
    assert document["errors"] == [
        {
            "field": "query.target",
            "message": "is no target that is predicted or stored here; known are cost, readmission",
        }
    ]
    # One that a champion predicts is known before anything of it is stored.
    model = SimpleNamespace(artefact=SimpleNamespace(target="length_of_stay"))
    hospital.champions = ChampionSet(loaded=(SimpleNamespace(model=model),))
    assert hospital.listed("?target=length_of_stay") == []
    refused = hospital.client.get("/v1/worklist?target=x").text
    assert "known are cost, length_of_stay, readmission" in refused
    # So is one that is stored, to who sees none of its stays.
    hospital.seeing("surgery")
    assert hospital.listed("?target=cost") == []


def test_the_worklist_says_how_many_of_the_callers_stays_there_are(hospital):
    hospital.store.save([answer(f"S{n}", department="surgery" if n < 3 else "cardiology") for n in range(9)])
    assert hospital.get("/v1/worklist?top=2")[1]["n_total"] == 9
    hospital.seeing("surgery")
    # S0, S1 and S2.
    assert hospital.get("/v1/worklist?top=2")[1]["n_total"] == 3


def test_the_worklist_is_filtered_sorted_and_cut(hospital):
    hospital.store.save(
        [
            answer("S1", 0.4, band="medium", percentile=0.5, cost=500.0, time="2026-01-08T00:00:00"),
            answer("S2", 0.3, band="high", percentile=0.9, cost=900.0, time="2026-01-09T00:00:00"),
            answer("S3", 0.2, band="high", percentile=0.7, point="discharge", time="2026-01-07T00:00:00"),
        ]
    )
    assert hospital.listed("?band=high") == ["S2", "S3"]
    assert hospital.listed("?target=cost") == ["S2", "S1"]
    assert hospital.listed("?sort=percentile") == ["S2", "S3", "S1"]
    assert hospital.listed("?sort=prediction_time&top=2") == ["S2", "S1"]
    assert hospital.listed("?prediction_point=discharge") == ["S3"]
    assert hospital.listed("?since=2026-01-08") == ["S1", "S2"]
    assert hospital.listed("?band=high&sort=percentile&top=1&department=cardiology") == ["S2"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"?{SECRET}=1", "query"),
        (f"?top=5&{SECRET}", "query"),
        (f"?target={SECRET}", "query.target"),
        (f"?band={SECRET}", "query.band"),
        (f"?sort={SECRET}", "query.sort"),
        (f"?top={SECRET}", "query.top"),
        ("?top=0", "query.top"),
        ("?top=501", "query.top"),
        ("?top=1&top=2", "query.top"),
        (f"?since={SECRET}", "query.since"),
        ("?since=1768780800", "query.since"),
        (f"?prediction_point={SECRET}", "query.prediction_point"),
        (f"?language={SECRET}", "query.language"),
        (f"?department={SECRET}%00", "query.department"),
        (f"?department={SECRET * 20}", "query.department"),
        ("?department=", "query.department"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_repeating_it(hospital, query, field):
    status, document = hospital.get(f"/v1/worklist{query}")
    ProblemDocument.model_validate(document)
    assert status == document["status"] == 422
    assert [error["field"] for error in document["errors"]] == [field]
    assert SECRET not in str(document)
    assert hospital.audit.reads == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("top=0", "must be at least 1"),
        ("top=501", "must be at most 500"),
        ("top=1.5", "must be a whole number"),
        ("band=highest", "must be 'low', 'medium' or 'high'"),
        ("sort=name", "must be 'value', 'percentile' or 'prediction_time'"),
        ("since=yesterday", "must be a date such as 2026-01-07, between the years 1850 and 2200"),
        ("department=", "must not be empty"),
        ("x=1", "has 1 unknown parameter; known are "),
        ("x=1&y=2", "has 2 unknown parameters; known are "),
    ],
)
def test_what_is_refused_is_told_with_what_is_allowed(hospital, query, said):
    _, document = hospital.get(f"/v1/worklist?{query}")
    (error,) = document["errors"]
    assert error["message"].startswith(said)


def test_who_may_not_read_predictions_learns_nothing_of_the_query(hospital):
    hospital.seeing("cardiology", role=Role.DATA_SCIENTIST)
    for address in ("/v1/worklist?nonsense=1", "/v1/worklist?top=0", "/v1/admissions/S1/prediction?x=1"):
        assert hospital.get(address)[0] == 403


def test_a_store_that_fails_is_told_as_such_and_without_its_address(hospital, tmp_path):
    with writing(hospital.engine) as connection:
        for table in ("predicted_targets", "predictions"):
            connection.execute(sa.text(f"DROP TABLE {table}"))
    for address in ("/v1/worklist", "/v1/admissions/S1/prediction"):
        response = hospital.client.get(address)
        assert (response.status_code, response.json()["type"].rsplit(":", 1)[1]) == (503, "store-unavailable")
        assert response.headers["retry-after"] == "5"
        assert str(tmp_path) not in response.text


def test_the_examples_are_what_is_described(hospital):
    WorklistDocument.model_validate(EXAMPLE_WORKLIST)
    described = hospital.client.get("/openapi.json").json()["paths"]
    for path in ("/v1/worklist", "/v1/admissions/{stay_id}/prediction"):
        answers = described[path]["get"]["responses"]
        assert {"200", "401", "403", "422", "503"} <= set(answers)
        assert "example" in answers["200"]["content"]["application/json"]
