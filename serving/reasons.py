"""Reasons: the strongest contributions to a prediction, with the feature's label, value and unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.encoding import FeatureSpec, encode_rows

N_REASONS = 5
# Contributions live on the model's own scale; a person reads what they do to the number shown.
OUTCOMES = {
    "log_odds": "the risk",
    "log_money": "the expected amount",
    "log_days": "the expected length of stay",
}

Value = bool | int | float | str | None


class Reason(TypedDict):
    """One contribution; `value` is None where the model saw a missing value.

    `contribution` is on the model's own scale; `direction` is "raises", "lowers", or "none" for a
    contribution of exactly 0, which only the full list holds.
    """

    feature: str
    label: str
    value: Value
    unit: str
    contribution: float
    direction: str


def reasons(
    frame: pd.DataFrame,
    specs: Sequence[FeatureSpec],
    contributions: NDArray[np.float64],
    *,
    currency: str,
    limit: int | None = N_REASONS,
) -> list[list[Reason]]:
    """For each row the contributions by falling size; the `limit` strongest, without those of 0, or all.

    `contributions` has one column per spec; `currency` is the unit of money. Equal sizes keep the order
    of the features. Values are those that the model saw: one that it could not use is None.
    """
    # Read back from the model's own matrix, so that no reason shows a value the model did not use.
    matrix, _ = encode_rows(frame, specs)
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :limit]
    places = order.tolist()
    values = np.take_along_axis(matrix, order, axis=1).tolist()
    sizes = np.take_along_axis(contributions, order, axis=1).tolist()
    return [
        [
            _reason(specs[place], value, size, currency)
            for place, value, size in zip(*row, strict=True)
            if size != 0 or limit is None
        ]
        for row in zip(places, values, sizes, strict=True)
    ]


def _reason(spec: FeatureSpec, seen: float, contribution: float, currency: str) -> Reason:
    return {
        "feature": spec.name,
        "label": spec.label,
        "value": _value(spec, seen),
        "unit": currency if spec.unit == "currency" else spec.unit,
        "contribution": contribution,
        "direction": "raises" if contribution > 0 else "lowers" if contribution < 0 else "none",
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


def sentence(reason: Mapping[str, object], *, scale: str = "log_odds") -> str:
    """The reason in words: label, value with unit, and what it does to the answer.

    >>> sentence({"label": "Admissions in the last year", "value": 3, "unit": "stays", "direction": "raises"})
    'Admissions in the last year: 3 stays (raises the risk)'
    """
    outcome = OUTCOMES[scale]
    effect = "no effect" if reason["direction"] == "none" else f"{reason['direction']} {outcome}"
    return f"{reason['label']}: {_in_words(reason['value'], str(reason['unit']))} ({effect})"


def _in_words(value: object, unit: str) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{_number(value)} {_one(unit) if value == 1 else unit}".rstrip()
    return str(value).replace("_", " ")


def _number(value: float) -> str:
    """Up to two decimals below 100, whole beyond: more is not read."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _one(unit: str) -> str:
    """The unit of exactly one: 1 stay, 1 diagnosis."""
    if unit.endswith("noses"):
        return unit.removesuffix("es") + "is"
    return unit.removesuffix("s") if unit.isalpha() else unit
