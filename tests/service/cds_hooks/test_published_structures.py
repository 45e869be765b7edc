"""Answers and requests held against the structures that CDS Hooks publishes, by nothing of the product's.

Sources: the tables of attributes of CDS Hooks 2.0 (https://cds-hooks.hl7.org/2.0/) and the logical models
CDSHooksServices, CDSHooksResponse and CDSHooksFeedback of 3.0 with their invariants. A field that they do not
name may stand in `extension` alone.
"""

# ruff: noqa: N815 - the names are those of the specification

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
import sqlalchemy as sa
from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.cds_hooks.examples import EXAMPLE_CARDS, EXAMPLE_SERVICES
from serving.cds_hooks.settings import CdsSettings
from tests.cds_service import OPEN_STAY, KnownAnswers, Service, charges, risk
from tests.fhir_records import prefetch

Said = Annotated[str, Field(min_length=1)]
HOOKS = ("patient-view", "encounter-start", "encounter-discharge", "order-select", "order-sign")


class _Published(BaseModel):
    model_config = ConfigDict(extra="forbid")
    extension: dict[str, Any] = {}


class PublishedService(_Published):
    hook: Said
    title: Said | None = None
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-_.~]+$")]
    description: Said
    usageRequirements: Said | None = None
    prefetch: dict[str, Said] = {}


class PublishedServices(_Published):
    services: list[PublishedService]


class PublishedCoding(_Published):
    system: Said
    code: Said
    display: Said | None = None


class PublishedSource(_Published):
    label: Said
    url: Said | None = None
    icon: Said | None = None
    topic: PublishedCoding | None = None


class PublishedAction(_Published):
    type: Literal["create", "update", "delete"]
    description: Said
    resource: dict[str, Any] | None = None
    resourceId: Said | None = None


class PublishedSuggestion(_Published):
    label: Said
    uuid: UUID | None = None
    isRecommended: bool | None = None
    actions: list[PublishedAction] = []
    actionSelectionBehavior: Literal["all", "any", "at-most-one"] | None = None


class PublishedLink(_Published):
    label: Said
    url: Said
    type: Literal["absolute", "smart"]
    appContext: Said | None = None
    autolaunchable: bool | None = None


class PublishedCard(_Published):
    uuid: UUID | None = None
    summary: Annotated[str, Field(min_length=1, max_length=139)]
    detail: Said | None = None
    indicator: Literal["info", "warning", "critical"]
    source: PublishedSource
    suggestions: list[PublishedSuggestion] = []
    selectionBehavior: Literal["at-most-one", "any"] | None = None
    overrideReasons: list[PublishedCoding] = []
    links: list[PublishedLink] = []


class PublishedResponse(_Published):
    cards: list[PublishedCard]
    systemActions: list[PublishedAction] = []


def published_cards(answer: Any) -> list[PublishedCard]:
    """The cards, if they keep to the structure and its invariants."""
    assert None not in _values(answer), "what has no value is left out"
    cards = PublishedResponse.model_validate(answer).cards
    for card in cards:
        if card.suggestions:
            # cds-resp-6; without it a client must treat the card as an error.
            assert card.selectionBehavior is not None
        if card.selectionBehavior == "at-most-one":
            # cds-resp-1
            assert sum(bool(one.isRecommended) for one in card.suggestions) <= 1
        for action in (action for one in card.suggestions for action in one.actions):
            # cds-resp-2: what is created or updated comes whole.
            assert (action.resource is not None) == (action.type != "delete")
            if action.resource is not None:
                get_fhir_model_class(action.resource["resourceType"]).model_validate(action.resource)
    return cards


def _values(content: Any) -> list[Any]:
    if isinstance(content, dict):
        return [value for each in content.values() for value in _values(each)]
    if isinstance(content, list):
        return [value for each in content for value in _values(each)]
    return [content]


@pytest.fixture
def service(engine: sa.Engine, cds: CdsSettings) -> Service:
    return Service(KnownAnswers(risk("readmission", 0.231, "high"), charges("high")), engine, cds)


def test_the_structures_refuse_what_is_not_of_them():
    """So that the other tests can fail."""
    (card,) = EXAMPLE_CARDS["cards"]
    for changes in ({"severity": "high"}, {"indicator": "high"}, {"summary": "x" * 140}, {"source": {}}):
        with pytest.raises(ValidationError):
            PublishedResponse.model_validate({"cards": [{**card, **changes}]})
    without = {name: value for name, value in card.items() if name != "selectionBehavior"}
    with pytest.raises(AssertionError):
        published_cards({"cards": [without]})
    with pytest.raises(AssertionError):
        published_cards({"cards": [{**card, "detail": None}]})


def test_the_examples_of_the_description_are_as_published():
    assert published_cards(EXAMPLE_CARDS)
    PublishedServices.model_validate(EXAMPLE_SERVICES)


def test_discovery_is_as_published(service: Service) -> None:
    answer = service.client.get("/cds-services").json()
    assert {one.hook for one in PublishedServices.model_validate(answer).services} == {*HOOKS}


@pytest.mark.parametrize("hook", HOOKS)
def test_the_cards_of_every_hook_are_as_published(service: Service, hook: str) -> None:
    context = {
        "userId": "PractitionerRole/A2340113",
        "patientId": "P7",
        "encounterId": "S9",
        "selections": ["ServiceRequest/1"],
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": []},
    }
    response = service.call(hook, prefetch(OPEN_STAY), context=context)
    assert response.status_code == 200
    (card, *_) = published_cards(response.json())
    assert card.uuid is not None
    # Nothing is suggested against money.
    assert bool(card.suggestions) is not hook.startswith("order-")
    assert card.overrideReasons


def test_a_request_with_all_that_the_specification_names_is_taken(service: Service) -> None:
    """Its example of patient-view has a server with an authorization, which are never used here."""
    response = service.call(
        "patient-view",
        prefetch(OPEN_STAY),
        fhirServer="http://127.0.0.1:9/never-called",
        fhirAuthorization={
            "access_token": "opaque",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "user/Patient.read user/Observation.read",
            "subject": "cds-service4",
            "patient": "P7",
        },
        extension={"com.example.timestamp": "2026-01-07T12:30:00Z"},
    )
    assert published_cards(response.json())


@pytest.mark.parametrize(
    "entry",
    [
        {"outcome": "accepted", "acceptedSuggestions": [{"id": "e56e1945-20b3-4393-8503-a1a20fd73152"}]},
        {
            "outcome": "overridden",
            "overrideReason": {
                "reason": {"system": "http://example.org/reasons", "code": "d7ecf885", "display": "Not now"},
                "userComment": "already seen by the ward's physician",
            },
        },
        {"outcome": "overridden", "overrideReason": {"userComment": "no reason of the list fits"}},
        {"outcome": "overridden"},
    ],
)
def test_feedback_of_every_published_shape_is_taken(service: Service, entry: dict[str, Any]) -> None:
    """A suggestion was taken; the card was overridden with a reason, a comment, neither."""
    card = {"card": "9368d37b-283f-44a0-93ea-547cebab93ed", "outcomeTimestamp": "2026-01-07T04:35:10Z"}
    response = service.client.post(
        "/cds-services/wardcast-patient-view/feedback", json={"feedback": [{**card, **entry}]}
    )
    assert response.status_code == 200
