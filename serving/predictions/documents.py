"""The answers of the API as they stand in its OpenAPI description."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import BaseModel, Field

from features.points import PointName
from models.bands import Band
from models.units import Scale
from serving.http.documents import ProblemDocument
from serving.reasons.documents import GroupDocument, MarkDocument, ReasonDocument
from serving.requests.schema import LocalTime

EXAMPLE_REQUEST: dict[str, Any] = {
    "stay_id": "S9",
    "prediction_point": "admission",
    "records": {
        "patients": [{"patient_id": "P7", "birth_date": "1951-03-02", "sex": "female"}],
        "stays": [
            {
                "stay_id": "S9",
                "patient_id": "P7",
                "hospital_id": "H1",
                "admitted_at": "2026-01-07T10:00:00",
                "admission_type": "emergency",
            },
            {
                "stay_id": "S3",
                "patient_id": "P7",
                "hospital_id": "H1",
                "admitted_at": "2025-11-02T09:00:00",
                "discharged_at": "2025-11-09T11:00:00",
                "admission_type": "emergency",
                "total_cost": 18200.0,
            },
        ],
        "diagnoses": [{"stay_id": "S9", "kind": "admitting", "position": 1, "code": "I500"}],
    },
}

EXAMPLE_HELD_REQUEST: dict[str, Any] = {"stay_id": "S9", "prediction_point": "admission"}

EXAMPLE_ANSWER: dict[str, Any] = {
    "stay_id": "S9",
    "prediction_point": "admission",
    "prediction_time": "2026-01-08T10:00:00",
    "predictions": [
        {
            "target": "readmission",
            "probability": 0.231,
            "band": "high",
            "percentile": 0.94,
            "reasons": [
                {
                    "feature": "n_stays_prior_365d",
                    "label": "Admissions in the last year",
                    "value": 3,
                    "unit": "stays",
                    "contribution": 0.62,
                    "direction": "raises",
                    "prediction_without": 0.139,
                    "missing": None,
                    "sentence": "3 admissions in the last year (raises the risk)",
                    "effect": "The model's risk is 23 %; without what this adds, it would be 14 %. "
                    "This is how the model sees it, not a cause.",
                }
            ],
            "base_value": -2.11,
            "raw_output": -1.2,
            "scale": "log_odds",
            "model": "readmission-admission/7",
        }
    ],
    "provisional": False,
    "warnings": ["visits not sent: unknown, its features are missing"],
    "scored_at": "2026-01-08T02:00:03Z",
}


class IntervalDocument(BaseModel):
    """A prediction interval of the amount."""

    level: float
    low: float | None
    high: float | None = Field(description="null: no finite bound")


class _TargetDocument(BaseModel):
    target: str
    band: Band
    percentile: float = Field(description="place among the calibration slice, 0 to 1")
    reasons: list[ReasonDocument]
    groups: list[GroupDocument] | None = Field(
        None, description="with group=family alone: base_value plus all contributions = raw_output"
    )
    n_contributing: int | None = Field(
        None, description="with explain=full alone: features that contribute at all"
    )
    base_prediction: float | None = Field(
        None, description="with explain=full alone: the prediction at base_value"
    )
    marks: list[MarkDocument] | None = Field(
        None, description="with explain=full alone: round predictions on the scale of contributions"
    )
    base_value: float
    raw_output: float
    scale: Scale
    model: str = Field(description="name/version")


class RiskDocument(_TargetDocument):
    """A predicted risk."""

    probability: float


class AmountDocument(_TargetDocument):
    """A predicted amount of money or days."""

    expected: float
    interval: IntervalDocument | None
    unit: Literal["money", "days"]
    currency: str | None = Field(description="of money; null: days")


class AnswerDocument(BaseModel):
    """All predictions of one admission at one prediction point."""

    stay_id: str
    prediction_point: PointName
    prediction_time: LocalTime | None = Field(
        description="local wall time of the data set; null: records without dates"
    )
    predictions: list[RiskDocument | AmountDocument]
    provisional: bool = Field(description="made before the point's own prediction time")
    warnings: list[str]
    scored_at: dt.datetime = Field(description="UTC")


class BatchAnswerDocument(BaseModel):
    """Answers in the order of the items; a bad item has a problem in its place."""

    items: list[AnswerDocument | ProblemDocument]
