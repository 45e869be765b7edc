"""The OpenAPI 3.1 description: what routes say of their bodies, answers and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.http.documents import ProblemDocument, example_problem
from serving.http.responses import json_response
from serving.problems import MEDIA_TYPE, Kind, Problem

Responses = dict[int | str, dict[str, Any]]


_OF_EVERY_ROUTE = (400, 500, 503)
"""What the server answers before it looks at the route: two lengths, too many connections, a failure."""


def problems(*answered: int | Kind) -> Responses:
    """A route's `responses`: problem documents of these statuses, or of these kinds."""
    found = [example_problem(each) for each in answered]
    return {
        problem.kind.status: {"description": "A problem document", "content": _problem_content(problem)}
        for problem in found
    }


def _problem_content(problem: Problem) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {MEDIA_TYPE: {"schema": schema, "example": problem.document()}}


def example(answer: Mapping[str, Any]) -> Responses:
    """A route's `responses`: an example of what it answers with 200."""
    return {200: {"content": {"application/json": {"example": answer}}}}


def request_body(*models: type[BaseModel], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A route's `openapi_extra`: the models, one or the other, that its handler reads by itself, with
    examples by what they show."""
    schemas = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in models]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    shown = {name: {"value": body} for name, body in examples.items()}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "examples": shown}},
        }
    }


def _operations(made: dict[str, Any], app: FastAPI) -> Iterator[tuple[dict[str, Any], APIRoute]]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                yield made["paths"][route.path_format][method.lower()], route


def _with_whole_examples(operation: dict[str, Any], route: APIRoute) -> None:
    # What is null is left out by FastAPI, in examples too, where it says something.
    operation |= route.openapi_extra or {}
    for status, response in route.responses.items():
        for media_type, content in response.get("content", {}).items():
            operation["responses"][str(status)]["content"][media_type] |= content


def _answer_of_every_route(responses: dict[str, Any]) -> None:
    for status, response in problems(*_OF_EVERY_ROUTE).items():
        described = responses.setdefault(str(status), response)
        described["content"] = response["content"] | described["content"]


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
            for operation, route in _operations(made, app):
                _with_whole_examples(operation, route)
                _answer_of_every_route(operation["responses"])
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]  # FastAPI's own way to extend it

    @app.get("/openapi.json", include_in_schema=False)
    def described() -> Response:
        return json_response(app.openapi())
