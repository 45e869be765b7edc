"""Problems as they stand in the API's description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from serving.problems import (
    BUSY,
    FORBIDDEN,
    MALFORMED,
    MEDIA_TYPE_REFUSED,
    MISSING_DATA,
    NO_PREDICTION,
    NOT_AUTHENTICATED,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_SERVICE,
    UNKNOWN_STAY,
    FieldError,
    Kind,
    Problem,
    failed,
    invalid,
)

_INVALID = invalid([FieldError("records.stays.0.admitted_at", "is required to predict at admission")])
EXAMPLE_PROBLEM: dict[str, Any] = _INVALID.document()
EXAMPLE_PROBLEMS = (
    Problem(MALFORMED, "The body is not JSON at line 3, column 17. Correct it there."),
    Problem(NOT_AUTHENTICATED, "Send the header Authorization: Bearer, with an API key or a token."),
    Problem(FORBIDDEN, "None of the caller's roles allows this."),
    Problem(NO_PREDICTION, "Nothing is stored of it that the caller may see."),
    Problem(UNKNOWN_STAY, "Nothing is held of it that the caller may see. Send the admission's records."),
    Problem(UNKNOWN_SERVICE, "GET /cds-services lists those that there are."),
    Problem(TOO_SLOW, "The body did not arrive within 30 seconds. Send it again."),
    Problem(MISSING_DATA, "Send what `errors` lists as prefetch; no other server is asked for it."),
    Problem(TOO_LARGE, "At most 5242880 bytes are taken. Send a shorter history."),
    Problem(MEDIA_TYPE_REFUSED, "Send the header Content-Type: application/json."),
    _INVALID,
    failed(),
    Problem(BUSY, "Send the request again after the seconds that Retry-After names."),
)


def example_problem(of: int | Kind) -> Problem:
    """A problem of the kind or the status, as the description shows it."""
    return next(problem for problem in EXAMPLE_PROBLEMS if of in (problem.kind, problem.kind.status))


class FieldErrorDocument(BaseModel):
    """One field that is wrong."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """An error as RFC 9457 has it; never a patient's value."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldErrorDocument] = []
