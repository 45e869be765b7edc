"""The scale of a prediction beside that of its contributions: marks for an axis that a person reads."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from models.model import Model, Prediction

RISKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, *(tenth / 10 for tenth in range(1, 10)), 0.95, 0.98, 0.99)
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""Of amounts, with every power of ten."""
N_PLACES = 257
"""Raw outputs between which a mark is placed: nearer together than a picture shows."""


class Mark(TypedDict):
    """A round prediction and the raw output at which the model would give it."""

    raw_output: float
    prediction: float


def marks(model: Model, prediction: Prediction) -> list[list[Mark]]:
    """For each row round predictions, rising, wherever its contributions could lead from the base value.

    Where a calibration map is level or an amount at its least, a mark stands at the first such place.
    """
    contributions = prediction.contributions
    assert contributions is not None, "predicted with contributions"
    lowest = prediction.base_value + np.minimum(contributions, 0).sum(axis=1)
    highest = prediction.base_value + np.maximum(contributions, 0).sum(axis=1)
    places = np.linspace(lowest, highest, N_PLACES, axis=1)
    values = model.value_at(prediction, places)
    is_risk = prediction.amounts is None
    return [_marks(row, value, is_risk) for row, value in zip(places, values, strict=True)]


def _marks(places: NDArray[np.float64], values: NDArray[np.float64], is_risk: bool) -> list[Mark]:
    first, last = float(values[0]), float(values[-1])
    round_values = RISKS if is_risk else _round_amounts(first, last)
    rising, index = np.unique(values, return_index=True)
    return [
        {"raw_output": float(np.interp(value, rising, places[index])), "prediction": value}
        for value in round_values
        if first <= value <= last
    ]


def _round_amounts(lowest: float, highest: float) -> list[float]:
    if highest <= 0:
        return []
    # A hundred thousandth of the highest would not be told from nothing.
    start = int(np.floor(np.log10(max(lowest, highest / 1e5))))
    powers = range(start, int(np.floor(np.log10(highest))) + 1)
    return [step * 10.0**power for power in powers for step in STEPS]
