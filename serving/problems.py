"""Errors as RFC 9457 problem documents: a stable type, which field, what to do, never a patient's value."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

MEDIA_TYPE = "application/problem+json"
MAX_FIELD_ERRORS = 50

_log = logging.getLogger("wardcast.serving")


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field, named by its path such as `records.stays.0.admitted_at`.

    An empty path is the body as a whole.
    """

    field: str
    message: str

    @property
    def place(self) -> str:
        """The path in words for whoever asked."""
        return self.field or "body"


@dataclass(frozen=True)
class Kind:
    """One kind of problem. `urn:wardcast:problem:<name>` is its stable type; clients may branch on it.

    `challenge` is the answer's header WWW-Authenticate (RFC 6750).
    """

    name: str
    status: int
    title: str
    retry_after_seconds: int | None = None
    challenge: str | None = None


AMBIGUOUS = Kind("ambiguous-length", 400, "The length of the body is told in two ways")
MALFORMED = Kind("malformed-json", 400, "The body is not strict JSON")
NOT_AUTHENTICATED = Kind(
    "not-authenticated", 401, "The request does not say who asks", challenge='Bearer realm="wardcast"'
)
CREDENTIAL_REFUSED = Kind(
    "credential-refused",
    401,
    "The key or token is not accepted",
    challenge='Bearer realm="wardcast", error="invalid_token"',
)
FORBIDDEN = Kind(
    "forbidden",
    403,
    "The caller may not do this",
    challenge='Bearer realm="wardcast", error="insufficient_scope"',
)
NOT_FOUND = Kind("not-found", 404, "There is no such address")
NO_PREDICTION = Kind("no-prediction", 404, "No prediction of this admission is stored")
UNKNOWN_STAY = Kind("unknown-stay", 404, "The history that the server holds knows no such admission")
UNKNOWN_SERVICE = Kind("unknown-service", 404, "There is no such service")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The address does not take this method")
TOO_SLOW = Kind("too-slow", 408, "The body did not arrive in time")
MISSING_DATA = Kind("missing-data", 412, "Records that the prediction needs were not prefetched")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
MEDIA_TYPE_REFUSED = Kind("unsupported-media-type", 415, "The body is not declared as JSON")
INVALID = Kind("invalid-request", 422, "The request cannot be answered as it stands")
RECORDS_REQUIRED = Kind("records-required", 422, "The request holds no records")
NO_MODEL = Kind("no-model", 422, "No model predicts at this prediction point")
NOT_READY = Kind("not-ready", 503, "The server is not ready", retry_after_seconds=30)
BUSY = Kind("busy", 503, "The server has too much to do", retry_after_seconds=5)
ENDING = Kind("ending", 503, "The server is ending", retry_after_seconds=5)
ACCESS_UNAVAILABLE = Kind(
    "access-unavailable", 503, "It cannot be found out now who asks", retry_after_seconds=5
)
AUDIT_UNAVAILABLE = Kind("audit-unavailable", 503, "The read cannot be recorded now", retry_after_seconds=5)
HISTORY_UNAVAILABLE = Kind(
    "history-unavailable", 503, "The history that the server holds cannot be read now", retry_after_seconds=5
)
STORE_UNAVAILABLE = Kind(
    "store-unavailable", 503, "Stored predictions cannot be reached now", retry_after_seconds=5
)
INTERNAL = Kind("internal-error", 500, "The server failed")


class Problem(Exception):  # noqa: N818  # RFC 9457 calls it so
    """A request cannot be answered. `detail` says what to do; neither it nor `errors` holds a value."""

    def __init__(self, kind: Kind, detail: str, errors: Iterable[FieldError] = ()) -> None:
        super().__init__(f"{kind.name}: {detail}")
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)

    def document(self) -> dict[str, Any]:
        """The problem document; `errors` stands there only when fields are to blame."""
        document: dict[str, Any] = {
            "type": f"urn:wardcast:problem:{self.kind.name}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [
                {"field": error.place, "message": error.message} for error in self.errors[:MAX_FIELD_ERRORS]
            ]
        return document


def invalid(errors: Iterable[FieldError]) -> Problem:
    """The problem of a request with wrong fields, listing the first of them."""
    found = tuple(errors)
    fields = "1 field is" if len(found) == 1 else f"{len(found)} fields are"
    shown = f" The first {MAX_FIELD_ERRORS} are listed." if len(found) > MAX_FIELD_ERRORS else ""
    return Problem(INVALID, f"{fields} not as expected; correct what `errors` lists.{shown}", found)


def as_problem(error: Exception) -> Problem:
    """The problem that answers an error; an unforeseen one is logged by kind and place alone."""
    if isinstance(error, Problem):
        return error
    log_failure(error)
    return failed()


def log_failure(error: Exception) -> None:
    """Log an unforeseen error by kind and place."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    # Never the message: a library may quote a value in it.
    _log.error(json.dumps({"event": "failure", "error": type(error).__name__, "place": place}))


def failed() -> Problem:
    """The problem of a failure that nobody foresaw."""
    return Problem(
        INTERNAL, "The server's log says where. Try again; if it stays, tell the server's operator."
    )


# The parts in braces come from the declarations (limits, allowed values), never from the request.
_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is required",
        "string_type": "must be text",
        "string_unicode": "must be valid Unicode text",
        "string_too_short": "must not be empty",
        "string_too_long": "is too long; at most {max_length} characters",
        "string_pattern_mismatch": "is not in the expected form, {pattern}",
        "literal_error": "must be {expected}",
        "enum": "must be {expected}",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_parsing_size": "must be a whole number of usual length",
        "float_parsing": "must be a number",
        "bool_parsing": "must be true or false",
        "float_type": "must be a number",
        "finite_number": "must be a finite number",
        "greater_than_equal": "must be at least {ge}",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be at most {le}",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be an object",
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
        "too_short": "must have at least {min_length} entries",
        "too_long": "must have at most {max_length} entries",
        "day": "must be a date such as 2026-01-07, between the years 1850 and 2200",
        "instant": "must be a time such as 2026-01-07T10:00:00, between the years 1850 and 2200",
    }
)


def message_of(kind: str, declared: Mapping[str, Any]) -> str:
    """What is wrong by pydantic's name of it; `declared` are the limits or values that are allowed."""
    return _MESSAGES.get(kind, "is not valid; see /openapi.json").format_map(declared)


def field_errors(
    error: ValidationError, known_fields: Callable[[Sequence[str]], Sequence[str]]
) -> list[FieldError]:
    """The field errors of a failed validation, made from kind and place alone.

    Unknown fields could hold a name or a value in their own name: their parent and their number are
    reported instead, with the `known_fields` of the parent's place.
    """
    found: list[FieldError] = []
    n_unknown: dict[tuple[str, ...], int] = {}
    for problem in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in problem["loc"]]
        if problem["type"] == "extra_forbidden":
            parent = tuple(place[:-1])
            n_unknown[parent] = n_unknown.get(parent, 0) + 1
        else:
            found.append(FieldError(".".join(place), message_of(problem["type"], problem.get("ctx", {}))))
    for parent, n in n_unknown.items():
        known = ", ".join(known_fields(parent))
        message = f"has {n} unknown field{'' if n == 1 else 's'}; known are {known}"
        found.append(FieldError(".".join(parent), message))
    return found
