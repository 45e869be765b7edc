"""The strongest contributions to a prediction, with what each of them does to the number shown."""

from __future__ import annotations

import math
from typing import Literal, NotRequired, TypedDict

import numpy as np

from models.encoding import FeatureSpec
from models.model import Model, Prediction

N_REASONS = 5
"""Reasons of an answer that asks for no other number."""
N_STORED = 8
"""Reasons of a prediction that is made at night: as many as its picture shows by itself."""

Direction = Literal["raises", "lowers", "none"]
Missing = Literal["not_known", "not_sent", "none"]
Value = bool | int | float | str | None


class Reason(TypedDict):
    """One contribution; `value` is None where the model saw a missing value.

    `contribution` is on the model's own scale; `direction` is "none" for a contribution of exactly 0, which
    only the full list holds. `prediction_without` is the probability or expected amount that the model
    would give at its raw output less the contribution. The rest stands there once it is put in words.
    """

    feature: str
    label: str
    value: Value
    unit: str
    contribution: float
    direction: Direction
    prediction_without: float
    missing: NotRequired[Missing | None]
    sentence: NotRequired[str]
    effect: NotRequired[str]


def reasons(model: Model, prediction: Prediction, *, limit: int | None = N_REASONS) -> list[list[Reason]]:
    """For each row the contributions by falling size; the `limit` strongest, without those of 0, or all.

    Equal sizes keep the order of the features. Values are those that the model saw: one that it could not
    use is None. Raises AssertionError for a prediction that was made without contributions.
    """
    contributions, inputs = prediction.contributions, prediction.inputs
    assert contributions is not None, "predicted with contributions"
    assert inputs is not None, "predicted with contributions"
    specs, currency = model.artefact.features, model.artefact.context.currency
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :limit]
    sizes = np.take_along_axis(contributions, order, axis=1)
    without = model.value_at(prediction, prediction.raw_output[:, None] - sizes)
    values = np.take_along_axis(inputs, order, axis=1)
    rows = zip(order.tolist(), values.tolist(), sizes.tolist(), without.tolist(), strict=True)
    return [
        [
            _reason(specs[place], value, size, other, currency)
            for place, value, size, other in zip(*row, strict=True)
            if size != 0 or limit is None
        ]
        for row in rows
    ]


def direction_of(contribution: float) -> Direction:
    """What a contribution does to the prediction."""
    return "raises" if contribution > 0 else "lowers" if contribution < 0 else "none"


def _reason(spec: FeatureSpec, seen: float, contribution: float, without: float, currency: str) -> Reason:
    return {
        "feature": spec.name,
        "label": spec.label,
        "value": _value(spec, seen),
        "unit": currency if spec.unit == "currency" else spec.unit,
        "contribution": contribution,
        "direction": direction_of(contribution),
        "prediction_without": without,
    }


def _value(spec: FeatureSpec, seen: float) -> Value:
    """The value of a feature from the number that the model saw."""
    if not math.isfinite(seen):
        return None
    if spec.type == "category":
        return spec.levels[int(seen)]
    if spec.type == "flag":
        return bool(seen)
    return int(seen) if spec.type == "integer" and seen.is_integer() else seen
