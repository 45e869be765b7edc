"""Stored predictions as they stand in the API's description."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, Field

from features.points import PointName
from serving.predictions.documents import EXAMPLE_ANSWER, AmountDocument, AnswerDocument, RiskDocument
from serving.requests.schema import LocalTime

EXAMPLE_STORED_ANSWER: dict[str, Any] = {**EXAMPLE_ANSWER, "stored_by": "ehr (3f9c0a1b2c4d)"}

EXAMPLE_WORKLIST: dict[str, Any] = {
    "target": "readmission",
    "n_total": 1,
    "items": [
        {
            "stay_id": "S9",
            "prediction_point": "admission",
            "prediction_time": "2026-01-08T10:00:00",
            "department": "cardiology",
            "provisional": False,
            "prediction": EXAMPLE_ANSWER["predictions"][0],
            "outside_population": False,
            "warnings": EXAMPLE_ANSWER["warnings"],
            "scored_at": "2026-01-08T02:00:03Z",
        }
    ],
}


class StoredAnswerDocument(AnswerDocument):
    """The latest stored prediction of an admission, as it was answered, and who stored it."""

    stored_by: str | None = Field(
        description="name and id of an API key, issuer and subject of a token, or a command; null: stored "
        "before this was kept"
    )


class WorklistItemDocument(BaseModel):
    """One stay: its latest stored prediction of the list's target at a prediction point."""

    stay_id: str
    prediction_point: PointName
    prediction_time: LocalTime | None = Field(
        description="local wall time of the data set; null: records without dates"
    )
    department: str | None = Field(description="of the stay; null: not known")
    provisional: bool = Field(description="made before the point's own prediction time")
    prediction: RiskDocument | AmountDocument
    outside_population: bool = Field(
        description="the models never learned from patients like this one; `warnings` say why"
    )
    warnings: list[str] = Field(description="what the prediction rests on; not to be acted on unread")
    scored_at: dt.datetime = Field(description="UTC")


class WorklistDocument(BaseModel):
    """Stays in the order that was asked for."""

    target: str
    n_total: int = Field(description="how many there are with these filters; `items` are the first of them")
    items: list[WorklistItemDocument]
