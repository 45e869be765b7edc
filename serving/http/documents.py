"""Problems as they stand in the API's description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

EXAMPLE_PROBLEM: dict[str, Any] = {
    "type": "urn:wardcast:problem:invalid-request",
    "title": "The request cannot be answered as it stands",
    "status": 422,
    "detail": "1 field is not as expected; correct what `errors` lists.",
    "errors": [{"field": "records.stays.0.admitted_at", "message": "is required to predict at admission"}],
}


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
