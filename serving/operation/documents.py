"""The state of the server, as it stands in the API's description."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from serving.champions.documents import RefusedDocument

EXAMPLE_LIVE: dict[str, Any] = {"status": "live"}
EXAMPLE_READY: dict[str, Any] = {"status": "ready", "models": ["readmission-admission/7"], "refused": []}


class LivenessDocument(BaseModel):
    """The process is up."""

    status: Literal["live"]


class ReadinessDocument(BaseModel):
    """Predictions are answered, by these models.

    One that was refused wants an operator: its target is missing, or its former version answers.
    """

    status: Literal["ready"]
    models: list[str] = Field(description="name/version")
    refused: list[RefusedDocument]
