"""The route that reads a stored prediction as FHIR R4: what it answers, to whom, and what is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fhir.resources.R4B import get_fhir_model_class
from starlette.testclient import TestClient

from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Role
from serving.api import create_app
from serving.database.connection import StoreError, file_address, open_database
from serving.fhir.outcome import outcome
from serving.http.responses import answer_problems
from serving.parts import STORE_FILE
from serving.problems import NOT_AUTHENTICATED, FieldError, Problem, invalid
from serving.routes.fhir import router
from serving.store.predictions import PredictionStore, Stored
from tests.served import open_to_all
from tests.stored import answer


class Recorded:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, list[str], list[str]]] = []

    def record(self, caller: Caller, action: str, stay_ids: Iterable[str], models: Iterable[str]) -> None:
        self.lines.append((caller.name, action, list(stay_ids), list(models)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionStore]:
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    kept = PredictionStore(engine)
    kept.save([answer("S9", 0.231, cost=41800.0), answer("S10", department="neurology")])
    yield kept
    engine.dispose()


@pytest.fixture
def audit() -> Recorded:
    return Recorded()


def client(
    store: PredictionStore,
    audit: Recorded,
    *,
    roles: Iterable[Role] = (Role.PLANNER,),
    departments: frozenset[str] | None = None,
) -> TestClient:
    async def identify(headers: Any) -> Caller:
        if "authorization" not in headers:
            raise Problem(NOT_AUTHENTICATED, "Send a key.")
        return Caller("ward", frozenset(roles), departments)

    app = FastAPI()
    answer_problems(app)
    app.include_router(router(Access(identify), cast("AuditLog", audit), store, {}))
    return TestClient(app, headers={"authorization": "Bearer x"})


def refused(response: Any, status: int, kind: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/fhir+json"
    get_fhir_model_class("OperationOutcome").model_validate(response.json())
    assert response.json()["issue"][0]["details"]["coding"][0]["code"] == kind


def test_the_latest_prediction_is_a_bundle_of_risks_and_amounts(
    store: PredictionStore, audit: Recorded
) -> None:
    response = client(store, audit).get("/v1/admissions/S9/RiskAssessment")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/fhir+json"
    document = response.json()
    get_fhir_model_class("Bundle").model_validate(document)
    kinds = [entry["resource"]["resourceType"] for entry in document["entry"]]
    assert kinds == ["RiskAssessment", "Observation"]
    assert document["entry"][0]["resource"]["prediction"][0]["probabilityDecimal"] == 23.1
    assert audit.lines == [
        ("ward", "read_risk_assessment", ["S9"], ["readmission-admission/7", "cost-admission/2"])
    ]


def test_the_cost_of_an_earlier_point_is_there_once_the_discharge_was_predicted(
    store: PredictionStore, audit: Recorded
) -> None:
    # At the discharge no cost is predicted; the admission's Observation is asked for by its point.
    store.save([answer("S12", cost=41800.0)])
    store.save(
        [answer("S12", point="discharge", time="2026-01-20T11:00:00", scored_at="2026-01-20T04:00:00Z")]
    )
    asked, address = client(store, audit), "/v1/admissions/S12/RiskAssessment"

    def kinds(query: str) -> list[str]:
        document = asked.get(f"{address}{query}").json()
        return [entry["resource"]["resourceType"] for entry in document["entry"]]

    assert kinds("") == ["RiskAssessment"]
    assert kinds("?prediction_point=admission") == ["RiskAssessment", "Observation"]
    refused(asked.get(f"{address}?prediction_point=preadmission"), 404, "no-prediction")
    refused(asked.get(f"{address}?prediction_point=later"), 422, "invalid-request")


def test_the_words_are_in_the_language_that_is_asked_for(store: PredictionStore, audit: Recorded) -> None:
    asked, address = client(store, audit), "/v1/admissions/S9/RiskAssessment"
    response = asked.get(f"{address}?language=zh")
    assert response.headers["content-language"] == "zh-Hans"
    assert {entry["resource"]["language"] for entry in response.json()["entry"]} == {"zh-Hans"}
    assert asked.get(address).headers["content-language"] == "en"
    refused(asked.get(f"{address}?language=de"), 422, "invalid-request")


def test_another_departments_admission_is_as_if_absent(store: PredictionStore, audit: Recorded) -> None:
    cardiology = client(store, audit, departments=frozenset({"cardiology"}))
    assert cardiology.get("/v1/admissions/S9/RiskAssessment").status_code == 200
    others = cardiology.get("/v1/admissions/S10/RiskAssessment")
    absent = cardiology.get("/v1/admissions/S11/RiskAssessment")
    refused(others, 404, "no-prediction")
    assert others.content == absent.content
    assert len(audit.lines) == 1


def test_who_does_not_say_who_they_are_or_may_not_read_is_refused(
    store: PredictionStore, audit: Recorded
) -> None:
    bare = TestClient(client(store, audit).app).get("/v1/admissions/S9/RiskAssessment")
    refused(bare, 401, "not-authenticated")
    assert "WWW-Authenticate" in bare.headers
    scientist = client(store, audit, roles=[Role.DATA_SCIENTIST])
    refused(scientist.get("/v1/admissions/S9/RiskAssessment"), 403, "forbidden")


def test_a_store_that_cannot_be_reached_is_503_with_the_time_to_come_again(
    store: PredictionStore, audit: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> Stored:
        raise StoreError("gone")

    monkeypatch.setattr(store, "latest", fail)
    response = client(store, audit).get("/v1/admissions/S9/RiskAssessment")
    refused(response, 503, "store-unavailable")
    assert response.headers["Retry-After"] == "5"


def test_the_description_shows_a_bundle_that_is_valid(store: PredictionStore, audit: Recorded) -> None:
    app = client(store, audit).app
    described = cast("FastAPI", app).openapi()["paths"]
    [route] = [path for path in described if path.endswith("/RiskAssessment")]
    content = described[route]["get"]["responses"]["200"]["content"]
    get_fhir_model_class("Bundle").model_validate(content["application/fhir+json"]["example"])


def test_a_failure_that_nobody_foresaw_is_an_outcome_too_and_shows_no_value(
    store: PredictionStore, audit: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> Stored:
        raise RuntimeError("Zhang-Wei-4711")

    monkeypatch.setattr(store, "latest", fail)
    response = client(store, audit).get("/v1/admissions/S9/RiskAssessment")
    refused(response, 500, "internal-error")
    assert "Zhang" not in response.text


def test_resources_speak_the_language_of_the_services(tmp_path: Path) -> None:
    file = tmp_path / "cds.toml"
    file.write_text('language = "zh"\n', "utf-8")
    settings = open_to_all(tmp_path / "champions", folder=tmp_path, cds_hooks=file)
    with TestClient(create_app(settings)) as served:
        engine = open_database(file_address(tmp_path / STORE_FILE))
        PredictionStore(engine).save([answer("S9", 0.231, band="high")])
        engine.dispose()
        [entry] = served.get("/v1/admissions/S9/RiskAssessment").json()["entry"]
    risk = entry["resource"]
    get_fhir_model_class("RiskAssessment").model_validate(risk)
    assert risk["language"] == "zh-Hans"
    assert risk["mitigation"] == "可考虑：出院后 7 天内随访；可考虑：核对出院计划和用药。最终由临床医生决定。"


def test_a_problem_of_the_body_as_a_whole_says_so():
    problem = invalid([FieldError("", "must be a JSON object")])
    assert problem.document()["errors"] == [{"field": "body", "message": "must be a JSON object"}]
    assert outcome(problem)["issue"][0]["diagnostics"] == "body: must be a JSON object"
