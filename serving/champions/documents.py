"""The models that answer, as they stand in the API's description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from models.calibration import Calibration
from models.units import Kind, Unit

EXAMPLE_MODELS: dict[str, Any] = {
    "models": [
        {
            "model": "readmission-admission/7",
            "name": "readmission-admission",
            "version": 7,
            "target": "readmission",
            "prediction_point": "admission",
            "kind": "risk",
            "unit": "probability",
            "promoted_at": "2026-01-05T08:12:40+00:00",
            "trained_on": {
                "timeline": "real",
                "data_set": "st-mary-2021-2025",
                "window": {
                    "training_from": "2021-01-02",
                    "calibration_from": "2024-03-15",
                    "test_until": "2025-12-01",
                },
                "test_from": "2024-12-09",
                "rows": {"train": 46740, "calibration": 12363, "test": 18611},
                "estimate": "later-in-time test",
            },
            "metrics": {"auroc": {"value": 0.741, "low": 0.729, "high": 0.753}},
            "feature_fingerprint": "3f0e…",
            "features": ["age_years", "n_stays_prior_365d"],
            "currency": "CNY",
            "time_zone": "Asia/Shanghai",
            "landmark_hours": 24.0,
            "calibration": {
                "method": "shift",
                "intercept": 0.04,
                "slope": 1.0,
                "reason": "one factor fits the calibration slice",
            },
            "bands": {"medium_above": 0.12, "high_above": 0.21},
            "intended_use": "Pre-screening of patients by planners. Not for diagnosis, treatment or payment.",
        }
    ],
    "refused": [],
}


class BandsDocument(BaseModel):
    """The bounds of the bands, as probability, money or days."""

    medium_above: float
    high_above: float


class ModelDocument(BaseModel):
    """One champion."""

    model: str = Field(description="name/version")
    name: str
    version: int
    target: str
    prediction_point: str
    kind: Kind
    unit: Unit
    promoted_at: str
    trained_on: dict[str, Any]
    metrics: dict[str, Any]
    feature_fingerprint: str
    features: list[str]
    currency: str
    time_zone: str
    landmark_hours: float
    calibration: Calibration | None = Field(
        description="the map from raw_output to a probability; null: an amount, which is expected to be the "
        "mean of its own predictive distribution"
    )
    bands: BandsDocument
    intended_use: str


class RefusedDocument(BaseModel):
    """A champion that does not answer."""

    model: str = Field(
        description="name/version, or the name where its record is not readable; champions: the whole folder"
    )
    reason: str


class ModelsDocument(BaseModel):
    """The champions in force, and those that were refused with the reason."""

    models: list[ModelDocument]
    refused: list[RefusedDocument]
