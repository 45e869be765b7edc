"""CDS Hooks 2.0: discovery and calls, in the shapes of the specification, and who may call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access, insecure_demo_access
from serving.access.roles import Role
from serving.cds_hooks.documents import CardsDocument, ServicesDocument
from serving.cds_hooks.examples import EXAMPLE_CARDS, EXAMPLE_FEEDBACK, EXAMPLE_REQUEST
from serving.cds_hooks.settings import REQUIRED_PREFETCH, CdsSettings
from serving.champions.loaded import LiveChampions
from serving.fhir.records import FhirRecords
from serving.http.responses import answer_problems
from serving.predictions.answers import Answers
from serving.routes.cds_hooks import router
from serving.routes.gate import Gate
from serving.settings import ServingSettings
from serving.store.cards import CardStore, IssuedCard
from serving.store.feedback import FeedbackStore
from tests.cds_service import (
    INSTANCE,
    NOW,
    OPEN_STAY,
    SECRET,
    KnownAnswers,
    Recorded,
    Service,
    charges,
    issue,
    kept_card,
    risk,
)
from tests.fhir_records import condition, encounter, prefetch, searchset
from tests.issuer import FOREIGN_KEY, claims, settings, token, tokens
from tests.service.test_api import promote


def test_discovery_needs_no_credential_and_lists_a_service_for_each_hook(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    async def nobody(_headers: Any) -> Caller:
        raise AssertionError("asked who it is")

    service = Service(KnownAnswers(), engine, cds, access=Access(nobody))
    response = service.client.get("/cds-services")
    assert response.status_code == 200
    ServicesDocument.model_validate(response.json())
    services = response.json()["services"]
    assert {one["hook"] for one in services} == {
        *("patient-view", "encounter-start", "encounter-discharge", "order-select", "order-sign")
    }
    for one in services:
        assert one["title"]
        assert one["description"]
        assert None not in one.values()


def test_prefetch_templates_keep_to_what_cds_hooks_recommends(cds: CdsSettings) -> None:
    # A read by id, or a search by references and tokens with `=`; tokens are root fields of the context.
    read = re.compile(r"[A-Z][A-Za-z]+/\{\{context\.patientId\}\}")
    search = re.compile(r"[A-Z][A-Za-z]+\?patient=\{\{context\.patientId\}\}(&code=[0-9,-]+)?")
    for template in cds.prefetch.values():
        assert read.fullmatch(template) or search.fullmatch(template), template
    assert set(REQUIRED_PREFETCH) <= set(cds.prefetch)


def test_observations_are_asked_for_by_the_codes_that_features_are_made_of(cds: CdsSettings) -> None:
    from features.codes.measures import MEASURES
    from features.rule_files import rule_rows

    file = Path(__file__).parents[3] / "features" / "codes" / "measure_codes_2025.csv"
    loinc = {row["code"] for row in rule_rows(file) if row["source"].startswith("LOINC")}
    assert MEASURES
    asked = cds.prefetch["observations"].partition("&code=")[2].split(",")
    assert set(asked) == loinc
    assert len(asked) == len(loinc)


def test_the_examples_of_the_description_are_of_its_shape(service: Service) -> None:
    response = service.client.post("/cds-services/wardcast-encounter-start", json=EXAMPLE_REQUEST)
    assert response.status_code == 200
    CardsDocument.model_validate(EXAMPLE_CARDS)
    response = service.client.post("/cds-services/wardcast-encounter-start/feedback", json=EXAMPLE_FEEDBACK)
    assert response.status_code == 200


def test_a_hook_that_is_not_the_services_is_422(service: Service) -> None:
    body = {**EXAMPLE_REQUEST, "hook": "patient-view"}
    response = service.client.post("/cds-services/wardcast-encounter-start", json=body)
    assert issue(response, 422, "invalid-request") == ["hook: must be encounter-start for this service"]


def test_a_service_that_is_not_there_is_404(service: Service) -> None:
    for path in ("/cds-services/other", "/cds-services/other/feedback"):
        issue(service.client.post(path, json={}), 404, "unknown-service")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hookInstance": "not-a-uuid"}, "hookInstance"),
        ({"context": {"userId": "Practitioner/D1", "patientId": "P7"}}, "context.encounterId"),
        ({"context": {"userId": "Practitioner/D1", "encounterId": "S9"}}, "context.patientId"),
        ({"context": {"userId": "U", "patientId": f"P7 {SECRET}", "encounterId": "S9"}}, "context.patientId"),
        ({"context": [SECRET]}, "context"),
        ({"prefetch": SECRET}, "prefetch"),
    ],
)
def test_what_the_specification_requires_is_required(
    service: Service, changes: dict[str, Any], field: str
) -> None:
    response = service.client.post(
        "/cds-services/wardcast-encounter-start", json={**EXAMPLE_REQUEST, **changes}
    )
    [told] = issue(response, 422, "invalid-request")
    assert told.startswith(f"{field}: ")
    assert SECRET not in response.text


def test_orders_need_their_drafts(service: Service) -> None:
    response = service.call("order-select", prefetch(OPEN_STAY), context={"draftOrders": None})
    assert issue(response, 422, "invalid-request") == ["context.draftOrders: must be an object"]


def test_bodies_that_are_no_json_are_refused(service: Service) -> None:
    path = "/cds-services/wardcast-encounter-start"
    headers = {"content-type": "application/json"}
    issue(service.client.post(path, content=b"{", headers=headers), 400, "malformed-json")
    issue(service.client.post(path, content=b"[]", headers=headers), 422, "invalid-request")
    issue(service.client.post(path, content=b"hook"), 415, "unsupported-media-type")


def test_who_may_not_use_the_services_is_refused(engine: sa.Engine, cds: CdsSettings) -> None:
    async def planner(_headers: Any) -> Caller:
        return Caller("ward", frozenset({Role.PLANNER}), None)

    service = Service(KnownAnswers(), engine, cds, access=Access(planner))
    response = service.call("encounter-start", prefetch(OPEN_STAY))
    issue(response, 403, "forbidden")
    assert "WWW-Authenticate" in response.headers


def test_every_card_is_recorded_with_stay_and_models(service: Service) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY))
    assert service.audit.lines == [
        ("insecure-demo", "read_cards", ["S9"], ["readmission-admission/7", "complication-admission/7"])
    ]


def test_every_card_is_kept_with_what_stands_on_it(engine: sa.Engine, cds: CdsSettings) -> None:
    answers = KnownAnswers(
        charges("medium"), risk("readmission", 0.231, "high"), risk("complication", 0.3, "high")
    )
    service = Service(answers, engine, cds)
    [card] = service.cards("order-sign", prefetch(OPEN_STAY))
    assert kept_card(engine, card["uuid"]) == IssuedCard(
        uuid=card["uuid"],
        service="wardcast-order-sign",
        stay_id="S9",
        prediction_point="admission",
        models=("charges-admission/2", "readmission-admission/7", "complication-admission/7"),
        indicator="warning",
        issued_at=NOW,
        issued_to="insecure-demo",
        hook_instance=INSTANCE,
    )
    two = service.cards("patient-view", prefetch(OPEN_STAY))
    kept_cards = [kept_card(engine, one["uuid"]) for one in two]
    assert [one.models for one in kept_cards if one] == [
        ("readmission-admission/7",),
        ("complication-admission/7",),
    ]


def test_from_resources_to_a_card_with_models_in_force(
    engine: sa.Engine, cds: CdsSettings, tmp_path: Path
) -> None:
    # The stay before ended 58 days ago; the models' output rises with such stays.
    for target in ("readmission", "complication", "cost"):
        promote(tmp_path / "champions", target)
    serving = ServingSettings(tmp_path / "champions")
    champions = LiveChampions(serving.champions)
    orders = cds.model_copy(update={"indicators": {"low": "info", "medium": "info", "high": "warning"}})
    app = FastAPI()
    answer_problems(app)
    app.include_router(
        router(
            insecure_demo_access(),
            cast("AuditLog", Recorded()),
            Answers(champions, serving),
            CardStore(engine),
            FeedbackStore(engine),
            orders,
            Gate(8),
            serving,
            records=FhirRecords(),
            now=lambda: NOW,
        )
    )
    before = encounter("S3", "2025-11-02T09:00:00+08:00", "2025-11-09T11:00:00+08:00")
    sent = prefetch(before, OPEN_STAY, conditions=searchset([condition("C1", "S3", "I50.0")]))
    context = {"userId": "Practitioner/D1", "patientId": "P7", "encounterId": "S9"}
    with TestClient(app) as client:
        body = {"hook": "encounter-start", "hookInstance": INSTANCE, "context": context, "prefetch": sent}
        response = client.post("/cds-services/wardcast-encounter-start", json=body)
        assert response.status_code == 200, response.text
        cards = CardsDocument.model_validate(response.json()).cards
        assert len(cards) == 2
        assert "1 admission in the last year" in cards[0].detail
        drafts = {"draftOrders": searchset([]), "selections": ["MedicationRequest/M1"]}
        body |= {"hook": "order-select", "context": {**context, **drafts}}
        response = client.post("/cds-services/wardcast-order-select", json=body)
        assert response.status_code == 200, response.text
        [card] = CardsDocument.model_validate(response.json()).cards
        assert card.summary.startswith("Expected cost of the episode: ")
        assert "Unplanned readmission" in card.detail


def test_an_ehr_signs_every_call_with_a_token_that_is_used_once(engine: sa.Engine, cds: CdsSettings) -> None:
    # As CDS Hooks has it: `aud` is the address that is called, `jti` makes the token one of a kind.
    address = "https://cds.hospital.example/cds-services/wardcast-encounter-start"
    trusted = settings(audiences=(address,), roles={}, granted=("integrator",), one_time=True)
    accepted = tokens(trusted)

    async def identify(headers: Any) -> Caller:
        return accepted.caller(headers.get("authorization", "").removeprefix("Bearer "))

    service = Service(KnownAnswers(risk("readmission", 0.231, "high")), engine, cds, access=Access(identify))

    def call(signed: str) -> Any:
        service.client.headers["authorization"] = f"Bearer {signed}"
        return service.call("encounter-start", prefetch(OPEN_STAY))

    first = token(claims(aud=address, jti="one"))
    assert call(first).status_code == 200
    issue(call(first), 401, "credential-refused")
    assert call(token(claims(aud=[address], jti="two"))).status_code == 200
    other = "https://cds.hospital.example/cds-services/another"
    issue(call(token(claims(aud=other, jti="three"))), 401, "credential-refused")
    issue(call(token(claims(aud=address, jti="four"), key=FOREIGN_KEY)), 401, "credential-refused")
    assert len(service.audit.lines) == 2
