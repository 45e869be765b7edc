"""The routes that predict from the records sent.

Annotations are not put off here: dependencies of a router are made with it.
"""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from serving.answers import Answers
from serving.documents import (
    EXAMPLE_ANSWER,
    EXAMPLE_PROBLEM,
    EXAMPLE_REQUEST,
    AnswerDocument,
    BatchAnswerDocument,
)
from serving.gate import Gate
from serving.http.body import body_within
from serving.http.description import example, problems, request_body
from serving.http.responses import json_response
from serving.reading import parse_json, read_items
from serving.reasons import Telling, telling_asked
from serving.requests import BatchRequest, PredictionRequest
from serving.settings import ServingSettings

REQUEST_MODELS = (PredictionRequest, BatchRequest)
_STATUSES = (400, 408, 413, 415, 422, 503)


def router(answers: Answers, settings: ServingSettings) -> APIRouter:
    """The routes `/v1/predictions` and `/v1/predictions/batch`."""
    routes = APIRouter(tags=["predictions"])
    gate = Gate(settings.max_waiting)
    Body = Annotated[bytes, Depends(body_within(settings))]  # noqa: N806 - a type
    Told = Annotated[Telling, Depends(telling_asked)]  # noqa: N806 - a type

    @routes.post(
        "/v1/predictions",
        response_model=AnswerDocument,
        responses=problems(*_STATUSES) | example(EXAMPLE_ANSWER),
        openapi_extra=request_body(PredictionRequest, EXAMPLE_REQUEST),
    )
    def predictions(content: Body, telling: Told) -> Response:
        """Every target of one admission's prediction point, from the records sent. Nothing is stored."""
        with gate.place():
            answer = answers.one(parse_json(content), n_reasons=telling.n_reasons, telling=telling)
            return json_response(answer)

    @routes.post(
        "/v1/predictions/batch",
        response_model=BatchAnswerDocument,
        responses=problems(*_STATUSES) | example({"items": [EXAMPLE_ANSWER, EXAMPLE_PROBLEM]}),
        openapi_extra=request_body(BatchRequest, {"items": [EXAMPLE_REQUEST]}),
    )
    def batch(content: Body, telling: Told) -> Response:
        """Many admissions at once; answers keep the order, and a bad item has a problem in its place."""
        with gate.place():
            items = read_items(parse_json(content), max_batch=settings.max_batch)
            return json_response(
                {"items": answers.batch(items, n_reasons=telling.n_reasons, telling=telling)}
            )

    return routes
