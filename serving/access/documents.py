"""The audit log as it stands in the API's description."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, Field

EXAMPLE_AUDIT: dict[str, Any] = {
    "reads": [
        {
            "sequence": 7,
            "at": "2026-11-22T09:15:02.113+00:00",
            "caller": "bed management (3f9c0a1b2c4d)",
            "action": "read_prediction",
            "n_stays": 1,
            "models": ["readmission-discharge/3"],
        }
    ],
    "checked": {"oldest": 1, "newest": 8, "intact": True},
    "next": None,
}


class ReadDocument(BaseModel):
    """One line of the audit log: who read what, when."""

    sequence: int = Field(description="number of the line")
    at: dt.datetime = Field(description="UTC")
    caller: str = Field(description="name and id of an API key, or issuer and subject of a token")
    action: str = Field(description="what was done, such as read_prediction or read_worklist")
    n_stays: int = Field(description="how many stays were read at once")
    models: list[str] = Field(description="name/version")


class CheckedDocument(BaseModel):
    """The lines that were looked at for an answer, by their numbers."""

    oldest: int
    newest: int
    intact: bool = Field(
        description="none of them was altered, removed or moved, and the newest is the last that was written "
        "or is followed by the page before; `wardcast audit verify` checks the whole log"
    )


class AuditDocument(BaseModel):
    """Reads that were looked for, the newest first."""

    reads: list[ReadDocument]
    checked: CheckedDocument
    next: int | None = Field(description="asked for as `before` it answers older ones; null: there are none")
