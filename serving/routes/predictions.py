"""The routes that predict, from the records sent or those that the server holds.

Annotations are not put off here: dependencies of a router are made with it.
"""

import math
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Permission
from serving.http.body import body_within
from serving.http.description import example, problems, request_body
from serving.http.documents import EXAMPLE_PROBLEM
from serving.http.query import only_known
from serving.http.responses import items_response, json_response
from serving.predictions.answers import Answer, Answers
from serving.predictions.asked import MOST_OF_A_BATCH, Asked
from serving.predictions.documents import (
    EXAMPLE_ANSWER,
    EXAMPLE_HELD_REQUEST,
    EXAMPLE_REQUEST,
    AnswerDocument,
    BatchAnswerDocument,
)
from serving.problems import FORBIDDEN, UNKNOWN_STAY, FieldError, Problem, invalid
from serving.reasons import N_REASONS, Telling, shortened, telling_asked
from serving.reasons.bars import MAX_BARS
from serving.requests.reading import parse_json, read_items
from serving.requests.schema import BatchRequest, HeldRequest, PredictionRequest
from serving.routes.gate import Gate, places_of
from serving.routes.reached import store_reached
from serving.settings import ServingSettings
from serving.store.predictions import PredictionStore, Stored

REQUEST_MODELS = (PredictionRequest, HeldRequest, BatchRequest)
MOST_IN_FULL = 100
"""Admissions of a batch with all their reasons: each is an answer of 0.35 MB, of 12 kB with five reasons."""
REASONS_IN_FULL = 100
"""About as many reasons as a model has features."""
REASONS_OF_A_PLACE = MOST_OF_A_BATCH * N_REASONS
_PROBLEMS = (400, 401, 403, UNKNOWN_STAY, 408, 413, 415, 422, 503)
_REQUESTS = {"records sent": EXAMPLE_REQUEST, "history held by the server": EXAMPLE_HELD_REQUEST}
_PARAMETERS = ("store", "language", "explain", "group")


def router(
    access: Access,
    audit: AuditLog,
    answers: Answers,
    predictions: PredictionStore,
    gate: Gate,
    settings: ServingSettings,
) -> APIRouter:
    """The routes `/v1/predictions` and `/v1/predictions/batch`.

    `gate` bounds the requests that wait, of all routers together.
    """
    routes = APIRouter(tags=["predictions"])
    # Who asks is found out before a body is read: dependencies are solved in order.
    Predictor = Annotated[Caller, Depends(access.needs(Permission.PREDICT))]  # noqa: N806 - a type
    OnlyKnown = Annotated[None, Depends(only_known(*_PARAMETERS))]  # noqa: N806 - a type
    Body = Annotated[bytes, Depends(body_within(settings))]  # noqa: N806 - a type
    Told = Annotated[Telling, Depends(telling_asked)]  # noqa: N806 - a type
    Store = Annotated[  # noqa: N806 - a type
        bool, Query(description="keep the predictions, for the worklist and for whoever asks by the stay")
    ]

    @routes.post(
        "/v1/predictions",
        response_model=AnswerDocument,
        responses=problems(*_PROBLEMS) | example(EXAMPLE_ANSWER),
        openapi_extra=request_body(PredictionRequest, HeldRequest, examples=_REQUESTS),
    )
    def predict(
        caller: Predictor, _only_known: OnlyKnown, content: Body, telling: Told, store: Store = False
    ) -> Response:
        """Every target of one admission's prediction point. Nothing is stored unless `store` says so.

        A request without records is about a stay whose history the server holds, if it holds any.
        """
        wanted, n_reasons = _wanted(telling, caller, store=store)
        with gate.place(places_of(content)):
            request = parse_json(content)
            asked = answers.ask(request, n_reasons=n_reasons, telling=wanted, sees=caller.sees)
            answer = answers.answer(asked)
            action = "predict_and_store" if store else "predict"
            audit.record(caller, action, [asked.records.stay_id], asked.model_ids)
            if store:
                with store_reached():
                    kept = Stored(_without_groups(answer), asked.department, stored_by=caller.identity)
                    predictions.save([kept])
                answer = _as_asked(answer, telling)
            return json_response(answer)

    @routes.post(
        "/v1/predictions/batch",
        response_model=BatchAnswerDocument,
        responses=problems(*_PROBLEMS) | example({"items": [EXAMPLE_ANSWER, EXAMPLE_PROBLEM]}),
        openapi_extra=request_body(BatchRequest, examples={"one of each": {"items": [*_REQUESTS.values()]}}),
    )
    def batch(
        caller: Predictor, _only_known: OnlyKnown, content: Body, telling: Told, store: Store = False
    ) -> Response:
        """Many admissions at once; answers keep the order, and a bad item has a problem in its place."""
        wanted, n_reasons = _wanted(telling, caller, store=store)
        with gate.place(places_of(content)):
            items = read_items(parse_json(content), max_batch=settings.max_batch)
        if n_reasons is None and len(items) > MOST_IN_FULL:
            message = f"has {len(items)} entries; with explain=full at most {MOST_IN_FULL}"
            raise invalid([FieldError("items", message)])
        with gate.place(max(places_of(content), _places(len(items), n_reasons))):
            asked = answers.ask_many(items, n_reasons=n_reasons, telling=wanted, sees=caller.sees)
            found = answers.answer_many(asked)
            answered = [
                (one, answer)
                for one, answer in zip(asked, found, strict=True)
                if isinstance(one, Asked) and not isinstance(answer, Problem)
            ]
            if answered:
                audit.record(
                    caller,
                    "predict_and_store_batch" if store else "predict_batch",
                    [one.records.stay_id for one, _ in answered],
                    [model_id for one, _ in answered for model_id in one.model_ids],
                )
            if store:
                kept = [
                    Stored(_without_groups(answer), one.department, stored_by=caller.identity)
                    for one, answer in answered
                ]
                with store_reached():
                    predictions.save(kept)
                found = [each if isinstance(each, Problem) else _as_asked(each, telling) for each in found]
            return items_response(each.document() if isinstance(each, Problem) else each for each in found)

    return routes


def _places(n_items: int, n_reasons: int | None) -> int:
    """What a batch takes of the gate, which bounds the memory of all answers: a place for each
    `REASONS_OF_A_PLACE` of one target."""
    return max(1, math.ceil(n_items * (n_reasons or REASONS_IN_FULL) / REASONS_OF_A_PLACE))


def _wanted(telling: Telling, caller: Caller, *, store: bool) -> tuple[Telling, int | None]:
    """How to answer, and with how many reasons (None: all).

    What is stored holds the scale and as many reasons as its picture shows. Raises Problem (403) if the
    caller may not store.
    """
    if not store:
        return telling, telling.n_reasons
    if not caller.may(Permission.STORE):
        raise Problem(FORBIDDEN, f"None of the caller's roles allows {Permission.STORE}.")
    if caller.departments is not None:
        # The latest prediction of a stay says whose patient it is: who sees some could take others' away.
        raise Problem(FORBIDDEN, "Only callers of all departments store predictions.")
    return replace(telling, with_scale=True), None if telling.n_reasons is None else MAX_BARS


def _without_groups(answer: Answer) -> dict[str, Any]:
    """An answer as it is stored: its reasons by family follow from the single ones."""
    return answer | {
        "predictions": [
            {name: value for name, value in prediction.items() if name != "groups"}
            for prediction in answer["predictions"]
        ]
    }


def _as_asked(answer: Answer, telling: Telling) -> Answer:
    """An answer that was stored, with no more than was asked for."""
    if telling.with_scale:
        return answer
    return answer | {"predictions": [shortened(prediction) for prediction in answer["predictions"]]}
