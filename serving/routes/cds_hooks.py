"""The routes of CDS Hooks 2.0.

Annotations are not put off here: dependencies of a router are made with it.
"""

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Permission
from serving.cds_hooks.documents import (
    CONTEXTS,
    CardFeedback,
    CardsDocument,
    FeedbackDocument,
    FeedbackRequest,
    HookContext,
    HookRequest,
    ServiceDocument,
    ServicesDocument,
    as_sent,
)
from serving.cds_hooks.examples import EXAMPLE_CARDS, EXAMPLE_FEEDBACK, EXAMPLE_REQUEST, EXAMPLE_SERVICES
from serving.cds_hooks.service import Answered, Question, answer
from serving.cds_hooks.settings import CdsSettings, Service
from serving.fhir.outcome import OutcomeRoute, outcomes
from serving.fhir.records import FhirRecords
from serving.http.body import body_within
from serving.http.description import example, request_body
from serving.http.responses import json_response
from serving.predictions.answers import Answers
from serving.problems import UNKNOWN_SERVICE, FieldError, Problem, field_errors, invalid
from serving.requests.reading import parse_json
from serving.routes.gate import Gate, places_of
from serving.routes.reached import store_reached
from serving.settings import ServingSettings
from serving.store.cards import CardStore, IssuedCard
from serving.store.feedback import Feedback, FeedbackStore

REQUEST_MODELS = (HookRequest, FeedbackRequest)

_PROBLEMS = (400, 401, 403, UNKNOWN_SERVICE, 408, 413, 415, 422, 503)
_Model = TypeVar("_Model", bound=BaseModel)


def router(
    access: Access,
    audit: AuditLog,
    answers: Answers,
    cards: CardStore,
    feedback: FeedbackStore,
    cds: CdsSettings,
    gate: Gate,
    settings: ServingSettings,
    *,
    records: FhirRecords,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> APIRouter:
    """The routes `/cds-services`, `/cds-services/{id}` and `/cds-services/{id}/feedback`."""
    routes = APIRouter(tags=["CDS Hooks"], route_class=OutcomeRoute)
    services = {service.id: service for service in cds.services}
    Client = Annotated[Caller, Depends(access.needs(Permission.USE_CDS_HOOKS))]  # noqa: N806 - a type
    Body = Annotated[bytes, Depends(body_within(settings))]  # noqa: N806 - a type

    def known(service_id: str) -> Service:
        if service_id not in services:
            raise Problem(UNKNOWN_SERVICE, "GET /cds-services lists those that there are.")
        return services[service_id]

    @routes.get("/cds-services", response_model=ServicesDocument, responses=example(EXAMPLE_SERVICES))
    def discovery() -> Response:
        """The services, the hooks that call them, and what is to be prefetched. Needs no credential."""
        documents = [
            ServiceDocument(
                hook=service.hook,
                title=service.title,
                description=service.description,
                id=service.id,
                prefetch=cds.prefetch,
                usageRequirements=service.usage_requirements,
            )
            for service in cds.services
        ]
        return json_response(as_sent(ServicesDocument(services=documents)))

    @routes.post(
        "/cds-services/{service_id}",
        response_model=CardsDocument,
        response_model_exclude_none=True,
        responses=outcomes(*_PROBLEMS, 412) | example(EXAMPLE_CARDS),
        openapi_extra=request_body(HookRequest, examples={"an admission": EXAMPLE_REQUEST}),
    )
    def call(client: Client, service_id: str, content: Body) -> Response:
        """Cards for a hook, from the records prefetched with it; none where there is nothing to say.

        412 names the records that are missing: no other server is asked for them.
        """
        service = known(service_id)
        with gate.place(places_of(content)):
            request = _read(HookRequest, parse_json(content))
            if request.hook != service.hook:
                raise invalid([FieldError("hook", f"must be {service.hook} for this service")])
            context: HookContext = _read(CONTEXTS[service.hook], request.context, "context")
            at = now()
            answered = answer(
                service,
                context,
                request.prefetch,
                answers=answers,
                records=records,
                settings=cds,
                now=at,
            )
            if answered.question is not None:
                audit.record(client, "read_cards", [answered.question.stay_id], answered.models)
                with store_reached():
                    cards.save(_issued(answered, answered.question, service, request, client, at))
            return json_response(as_sent(answered.document))

    @routes.post(
        "/cds-services/{service_id}/feedback",
        response_model=FeedbackDocument,
        responses=outcomes(*_PROBLEMS) | example({"received": 1}),
        openapi_extra=request_body(FeedbackRequest, examples={"a suggestion accepted": EXAMPLE_FEEDBACK}),
    )
    def take_feedback(client: Client, service_id: str, content: Body) -> Response:
        """What became of cards. An unknown card's feedback is kept and answered like any other's."""
        service = known(service_id)
        with gate.place(places_of(content)):
            request = _read(FeedbackRequest, parse_json(content))
            with store_reached():
                feedback.add([_kept(one, service, client) for one in request.feedback])
        return json_response({"received": len(request.feedback)})

    return routes


def _read(model: type[_Model], content: object, place: str = "") -> _Model:
    """The content as the model has it. Raises Problem (422) with places, never with a value."""
    if not isinstance(content, dict):
        raise invalid([FieldError(place, "must be a JSON object")])
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = field_errors(error, lambda _place: ())
        prefix = f"{place}." if place else ""
        raise invalid([FieldError(f"{prefix}{one.field}", one.message) for one in found]) from None


def _issued(
    answered: Answered,
    question: Question,
    service: Service,
    request: HookRequest,
    client: Caller,
    at: dt.datetime,
) -> list[IssuedCard]:
    return [
        IssuedCard(
            uuid=str(card.document.uuid),
            service=service.id,
            stay_id=question.stay_id,
            prediction_point=question.point.value,
            models=card.models,
            indicator=card.document.indicator,
            issued_at=at,
            issued_to=client.identity,
            hook_instance=str(request.hookInstance),
        )
        for card in answered.cards
    ]


def _kept(one: CardFeedback, service: Service, client: Caller) -> Feedback:
    reason: dict[str, Any] | None = None if one.overrideReason is None else as_sent(one.overrideReason)
    return Feedback(
        service=service.id,
        card=str(one.card),
        outcome=one.outcome,
        outcome_at=one.outcome_at,
        received_from=client.identity,
        accepted_suggestions=tuple(str(suggestion.id) for suggestion in one.acceptedSuggestions),
        override_reason=reason,
    )
