"""Answers as bytes: JSON without NaN, and problems with the headers that belong to them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from serving.problems import (
    AMBIGUOUS,
    ENDING,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    TOO_LARGE,
    TOO_SLOW,
    FieldError,
    Kind,
    Problem,
    invalid,
    message_of,
)


def json_response(content: object, status: int = 200, media_type: str = "application/json") -> Response:
    """The content as compact JSON. Raises ValueError for a number that JSON does not know."""
    return Response(_compact(content), status, media_type=media_type)


def items_response(items: Iterable[object]) -> Response:
    """`{"items": […]}` as `json_response` answers it.

    Each is written by itself: nothing else runs while one document is, which takes a tenth of a second for
    a thousand answers.
    """
    return Response(b'{"items":[' + b",".join(map(_compact, items)) + b"]}", media_type="application/json")


def _compact(content: object) -> bytes:
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8")


def problem_response(problem: Problem) -> Response:
    """The problem document, with Retry-After where one should come again, WWW-Authenticate for who asks."""
    response = json_response(problem.document(), problem.kind.status, MEDIA_TYPE)
    if problem.kind.challenge is not None:
        response.headers["WWW-Authenticate"] = problem.kind.challenge
    if problem.kind.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(problem.kind.retry_after_seconds)
    if problem.kind in (TOO_SLOW, TOO_LARGE, AMBIGUOUS, ENDING):
        # What is left of the body is not read, where it ends is not certain, or nobody is there: no other
        # request can follow.
        response.headers["Connection"] = "close"
    return response


def counted(request: Request, problem: Problem) -> Problem:
    """The problem, noted with the request: it is counted and logged by its kind."""
    request.state.problem = problem.kind.name
    return problem


def refused_parameters(error: RequestValidationError) -> Problem:
    """The problem of parameters that are not as declared: what is allowed, never what was sent."""
    return invalid(
        FieldError(".".join(map(str, problem["loc"])), message_of(problem["type"], problem.get("ctx", {})))
        for problem in error.errors()
    )


def answer_problems(app: FastAPI) -> None:
    """Answer all that is raised or refused in the application as a problem document.

    The handlers are coroutines: a refusal needs no thread, which requests that are computed may all hold.
    """

    @app.exception_handler(Problem)
    async def problem_raised(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(counted(request, error))

    @app.exception_handler(RequestValidationError)
    async def parameter_refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(counted(request, refused_parameters(error)))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kinds = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}
        kind = kinds.get(error.status_code, Kind("http-error", error.status_code, "The request failed"))
        problem = Problem(kind, "See /openapi.json for what can be asked, and how.")
        response = problem_response(counted(request, problem))
        response.headers.update(error.headers or {})
        return response
