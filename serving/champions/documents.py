"""The models that answer, as they stand in the API's description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from models.calibration import Calibration
from models.units import Kind, Unit


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
