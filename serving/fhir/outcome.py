"""Errors as a client of FHIR reads them: OperationOutcome in place of a problem document.

FHIR R4 asks servers for it, and so does CDS Hooks 3.0; the kind of problem stands in it as a code.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serving.http.description import Responses
from serving.http.documents import example_problem
from serving.http.responses import counted, json_response, problem_response, refused_parameters
from serving.problems import INTERNAL, MAX_FIELD_ERRORS, Kind, Problem, as_problem

FHIR_JSON = "application/fhir+json"
PROBLEMS = "urn:wardcast:problem"

_HEADERS = ("WWW-Authenticate", "Retry-After", "Connection")

# http://hl7.org/fhir/R4/valueset-issue-type.html
_ISSUE_TYPES: Mapping[int, str] = MappingProxyType(
    {
        400: "structure",
        401: "login",
        403: "forbidden",
        404: "not-found",
        408: "timeout",
        412: "incomplete",
        413: "too-long",
        415: "not-supported",
        422: "invalid",
        500: "exception",
        503: "transient",
    }
)


def outcome(problem: Problem) -> dict[str, Any]:
    """The problem as an OperationOutcome: one issue, or one for each field; no patient's value."""
    kind = problem.kind
    issue: dict[str, Any] = {
        "severity": "error",
        "code": _ISSUE_TYPES.get(kind.status, "processing"),
        "details": {"coding": [{"system": PROBLEMS, "code": kind.name}], "text": kind.title},
        "diagnostics": problem.detail,
    }
    fields = [
        {**issue, "diagnostics": f"{error.place}: {error.message}"}
        for error in problem.errors[:MAX_FIELD_ERRORS]
    ]
    return {"resourceType": "OperationOutcome", "issue": fields or [issue]}


def outcome_response(problem: Problem) -> Response:
    """The OperationOutcome with the status and the headers of the problem."""
    response = json_response(outcome(problem), problem.kind.status, FHIR_JSON)
    for name, value in problem_response(problem).headers.items():
        if name.lower() in (header.lower() for header in _HEADERS):
            response.headers[name] = value
    return response


def outcomes(*answered: int | Kind) -> Responses:
    """A route's `responses`: OperationOutcomes of these statuses, or of these kinds, and of a failure."""
    found = [example_problem(each) for each in (*answered, INTERNAL)]
    return {
        problem.kind.status: {
            "description": "An OperationOutcome",
            "content": {FHIR_JSON: {"schema": {"type": "object"}, "example": outcome(problem)}},
        }
        for problem in found
    }


class OutcomeRoute(APIRoute):
    """A route whose problems, those of its dependencies and unforeseen ones too, are answered as
    OperationOutcome."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                return outcome_response(counted(request, problem))
            except RequestValidationError as error:
                return outcome_response(counted(request, refused_parameters(error)))
            except (ClientDisconnect, HTTPException):
                raise
            except Exception as error:
                return outcome_response(counted(request, as_problem(error)))

        return answered
