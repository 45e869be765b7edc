"""The HTTP API: what it answers, and where.

Handlers that compute or read files are plain functions, which run in threads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from serving.answers import Answers
from serving.documents import (
    EXAMPLE_ANSWER,
    EXAMPLE_PROBLEM,
    EXAMPLE_REQUEST,
    AnswerDocument,
    BatchAnswerDocument,
    LivenessDocument,
    ModelsDocument,
    ProblemDocument,
    ReadinessDocument,
)
from serving.gate import Gate
from serving.loaded import ChampionSet, LiveChampions, Loaded
from serving.middleware import QuietRequests
from serving.problems import (
    MEDIA_TYPE,
    MEDIA_TYPE_REFUSED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    TOO_LARGE,
    TOO_SLOW,
    FieldError,
    Kind,
    Problem,
    invalid,
)
from serving.reading import parse_json, read_items
from serving.reasons import N_REASONS
from serving.requests import BatchRequest, PredictionRequest
from serving.settings import ServingSettings


async def _read_body(request: Request) -> bytes:
    """The body, never more of it in memory than allowed. Raises Problem (408, 413 or 415)."""
    settings: ServingSettings = request.app.state.settings
    max_bytes = settings.max_body_bytes
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(MEDIA_TYPE_REFUSED, "Send the header Content-Type: application/json.")
    too_large = Problem(TOO_LARGE, f"At most {max_bytes} bytes are taken. Send a shorter history.")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for part in request.stream():
                content += part
                if len(content) > max_bytes:
                    raise too_large
    except TimeoutError:
        detail = f"It is waited for {settings.body_seconds:g} seconds. Send it faster, or a shorter one."
        raise Problem(TOO_SLOW, detail) from None
    return bytes(content)


Body = Annotated[bytes, Depends(_read_body)]
Explain = Annotated[
    Literal["full"] | None, Query(description="full: every contribution, not the strongest five alone")
]


def create_app(settings: ServingSettings) -> FastAPI:
    """The application over the champions of `settings.champions`, which are loaded now.

    Without a usable champion it still starts: `/health/ready` says why it cannot answer yet.
    """
    app = FastAPI(
        title="wardcast",
        version=metadata.version("wardcast"),
        summary="Readmission, complication and cost predictions for hospital admissions, with reasons",
        # The pages that show a description load scripts from elsewhere; the product asks no other host.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    champions = LiveChampions(
        settings.champions, reload_seconds=settings.reload_seconds, retry_seconds=settings.retry_seconds
    )
    answers = Answers(champions, settings)
    app.add_middleware(QuietRequests)
    _add_problems(app)
    _add_health(app, answers)
    _add_predictions(app, answers, settings)
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def _json(content: object, status: int = 200, media_type: str = "application/json") -> Response:
    body = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Response(body.encode("utf-8"), status, media_type=media_type)


def _answer(problem: Problem) -> Response:
    response = _json(problem.document(), problem.kind.status, MEDIA_TYPE)
    if problem.kind.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(problem.kind.retry_after_seconds)
    if problem.kind in (TOO_SLOW, TOO_LARGE):
        # What is left of the body is not read, so that no other request can follow it.
        response.headers["Connection"] = "close"
    return response


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    def problem_raised(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return _answer(error)

    @app.exception_handler(RequestValidationError)
    def parameter_refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = (".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        return _answer(invalid([FieldError(field, "is not valid; see /openapi.json") for field in fields]))

    @app.exception_handler(HTTPException)
    def http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kinds = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}
        kind = kinds.get(error.status_code, Kind("http-error", error.status_code, "The request failed"))
        response = _answer(Problem(kind, "See /openapi.json for what can be asked, and how."))
        response.headers.update(error.headers or {})
        return response


def _add_health(app: FastAPI, answers: Answers) -> None:
    @app.get("/health/live", tags=["health"], response_model=LivenessDocument)
    async def live() -> Response:
        """Whether the process is up; needs no thread, which requests that are computed may all hold."""
        return _json({"status": "live"})

    @app.get("/health/ready", tags=["health"], response_model=ReadinessDocument, responses=_problems(503))
    def ready() -> Response:
        """Whether predictions can be answered: the checked champions, and those that were refused."""
        champions = answers.champions()
        models = [loaded.model_id for loaded in champions.loaded]
        return _json({"status": "ready", "models": models, "refused": _refused(champions)})

    @app.get("/v1/models", tags=["models"], response_model=ModelsDocument)
    def models() -> Response:
        """The champions in force: what they predict, on what evidence."""
        champions = answers.present()
        documents = [_model_document(loaded) for loaded in champions.loaded]
        return _json({"models": documents, "refused": _refused(champions)})


def _refused(champions: ChampionSet) -> list[dict[str, str]]:
    return [{"model": name, "reason": reason} for name, reason in champions.refused]


def _model_document(loaded: Loaded) -> dict[str, Any]:
    champion, artefact = loaded.champion, loaded.model.artefact
    return {
        "model": loaded.model_id,
        "name": champion.name,
        "version": champion.version,
        "target": artefact.target,
        "prediction_point": artefact.point,
        "kind": artefact.kind,
        "unit": artefact.unit,
        "promoted_at": champion.promoted_at,
        "trained_on": artefact.training.document(),
        "metrics": artefact.metrics,
        "feature_fingerprint": artefact.fingerprint,
        "features": [spec.name for spec in artefact.features],
        "currency": artefact.context.currency,
        "time_zone": artefact.context.time_zone,
        "landmark_hours": artefact.landmark_hours,
        "calibration": None if artefact.calibration is None else asdict(artefact.calibration),
        "bands": {"medium_above": artefact.bands[0], "high_above": artefact.bands[1]},
        "intended_use": artefact.intended_use,
    }


def _add_predictions(app: FastAPI, answers: Answers, settings: ServingSettings) -> None:
    gate = Gate(settings.max_waiting)

    @app.post(
        "/v1/predictions",
        tags=["predictions"],
        response_model=AnswerDocument,
        responses=_problems(400, 408, 413, 415, 422, 503) | _example(EXAMPLE_ANSWER),
        openapi_extra=_request_body("PredictionRequest", EXAMPLE_REQUEST),
    )
    def predictions(content: Body, explain: Explain = None) -> Response:
        """Every target of one admission's prediction point, from the records sent. Nothing is stored."""
        n_reasons = None if explain == "full" else N_REASONS
        with gate.place():
            return _json(answers.one(parse_json(content), n_reasons=n_reasons))

    @app.post(
        "/v1/predictions/batch",
        tags=["predictions"],
        response_model=BatchAnswerDocument,
        responses=_problems(400, 408, 413, 415, 422, 503)
        | _example({"items": [EXAMPLE_ANSWER, EXAMPLE_PROBLEM]}),
        openapi_extra=_request_body("BatchRequest", {"items": [EXAMPLE_REQUEST]}),
    )
    def batch(content: Body, explain: Explain = None) -> Response:
        """Many admissions at once; answers keep the order, and a bad item has a problem in its place."""
        n_reasons = None if explain == "full" else N_REASONS
        with gate.place():
            items = read_items(parse_json(content), max_batch=settings.max_batch)
            return _json({"items": answers.batch(items, n_reasons=n_reasons)})


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}, "example": EXAMPLE_PROBLEM}
    return {
        status: {"description": "A problem document", "content": {MEDIA_TYPE: schema}} for status in statuses
    }


def _example(answer: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": answer}}}}


def _request_body(model: str, example: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"schema": {"$ref": f"#/components/schemas/{model}"}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": schema}}}


def _description(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 description, with the request models that the handlers read by themselves."""
    if app.openapi_schema is None:
        description = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        _, schemas = models_json_schema(
            [
                (PredictionRequest, "validation"),
                (BatchRequest, "validation"),
                (ProblemDocument, "serialization"),
            ],
            ref_template="#/components/schemas/{model}",
        )
        components = description.setdefault("components", {}).setdefault("schemas", {})
        components.update(schemas["$defs"])
        app.openapi_schema = description
    return app.openapi_schema
