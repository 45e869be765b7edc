"""Reasons as they stand in the API's description."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class _ContributionDocument(BaseModel):
    contribution: float = Field(description="on the model's own scale; base_value plus all = raw_output")
    direction: Literal["raises", "lowers", "none"]
    prediction_without: float = Field(
        description="probability or expected amount at raw_output less the contribution: the model's view, "
        "not the effect of an action"
    )
    sentence: str = Field(description="in the language asked for")
    effect: str = Field(description="the prediction with and without the contribution, in words")


class ReasonDocument(_ContributionDocument):
    """One contribution of a feature to the raw output."""

    feature: str
    label: str = Field(description="in English, or as the extract names its own feature")
    value: bool | int | float | str | None = Field(description="null: missing to the model")
    unit: str
    missing: Literal["not_known", "not_sent", "none"] | None = Field(
        description="not_sent: a table that it rests on was not sent; none: there was none of it; null: the "
        "value is known"
    )


class GroupDocument(_ContributionDocument):
    """The contributions of all features of a family together."""

    family: str
    n_features: int = Field(description="how many of them contribute")
    reasons: list[ReasonDocument] = Field(description="these features, by falling size")


class MarkDocument(BaseModel):
    """A round prediction, and the raw output at which the model would give it."""

    raw_output: float
    prediction: float
