"""The OpenAPI 3.1 description: what routes say of their bodies, answers and problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.http.documents import EXAMPLE_PROBLEM, ProblemDocument
from serving.http.responses import json_response
from serving.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """A route's `responses`: problem documents of these statuses."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}, "example": EXAMPLE_PROBLEM}
    return {
        status: {"description": "A problem document", "content": {MEDIA_TYPE: schema}} for status in statuses
    }


def example(answer: Mapping[str, Any]) -> Responses:
    """A route's `responses`: an example of what it answers with 200."""
    return {200: {"content": {"application/json": {"example": answer}}}}


def request_body(model: type[BaseModel], body: Mapping[str, Any]) -> dict[str, Any]:
    """A route's `openapi_extra`: the model that its handler reads by itself, with an example."""
    schema = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}, "example": body}
    return {"requestBody": {"required": True, "content": {"application/json": schema}}}


def describe(app: FastAPI, request_models: tuple[type[BaseModel], ...]) -> None:
    """Give the application its description at `/openapi.json`, with the models that handlers read themselves.

    The route is one of ours: requests for FastAPI's own are logged and counted under no template.
    """

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            _, schemas = models_json_schema(
                [(model, "validation") for model in request_models] + [(ProblemDocument, "serialization")],
                ref_template="#/components/schemas/{model}",
            )
            components = made.setdefault("components", {}).setdefault("schemas", {})
            components.update(schemas["$defs"])
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]  # FastAPI's own way to extend it

    @app.get("/openapi.json", include_in_schema=False)
    def described() -> Response:
        return json_response(app.openapi())
