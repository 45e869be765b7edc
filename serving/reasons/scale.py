"""The scale of a prediction beside that of its contributions: marks for an axis that a person reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from models.artefact import Artefact
from models.distribution import OFFSET
from models.model import Model, Prediction

_RARE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07)
RISKS = (*_RARE, *(percent / 100 for percent in range(10, 100, 5)), 0.98, 0.99)
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""Of amounts, with every power of ten."""
N_PLACES = 257
"""Raw outputs between which a mark is placed: nearer together than a picture shows."""

Numbers = NDArray[np.float64]


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
    places = _places(prediction.base_value, contributions)
    values = model.value_at(prediction, places)
    is_risk = prediction.amounts is None
    return [_marks(row, value, is_risk) for row, value in zip(places, values, strict=True)]


def rescaled(prediction: Mapping[str, Any], artefact: Artefact) -> dict[str, Any]:
    """A target's prediction with the scale that it was stored without; `artefact` is that of its model.

    Nothing is added where the amount is the least that there is: its raw output leads nowhere else.
    """
    value_at = _map(prediction, artefact)
    if value_at is None:
        return dict(prediction)
    base = prediction["base_value"]
    parts = [reason["contribution"] for reason in prediction["reasons"]]
    parts.append(prediction["raw_output"] - base - sum(parts))
    (places,) = _places(base, np.array([parts]))
    found = _marks(places, value_at(places), artefact.kind == "risk")
    return {**prediction, "base_prediction": float(value_at(np.array([base]))[0]), "marks": found}


def _map(prediction: Mapping[str, Any], artefact: Artefact) -> Callable[[Numbers], Numbers] | None:
    """The map from raw outputs to predictions, all else as it is for this admission."""
    if artefact.calibration is not None:
        return artefact.calibration.probability
    assert artefact.distribution is not None, "held by the artefact"
    offset, least = OFFSET[artefact.unit], artefact.distribution.least
    if prediction["expected"] <= least:
        return None
    # The factor of the mean is the same at every raw output: the spread stays that of the admission.
    factor = math.log(prediction["expected"] + offset) - prediction["raw_output"]
    return lambda raw: np.asarray(np.maximum(np.exp(raw + factor) - offset, least))


def _places(base_value: float, contributions: Numbers) -> Numbers:
    lowest = base_value + np.minimum(contributions, 0).sum(axis=1)
    highest = base_value + np.maximum(contributions, 0).sum(axis=1)
    return np.linspace(lowest, highest, N_PLACES, axis=1)


def _marks(places: Numbers, values: Numbers, is_risk: bool) -> list[Mark]:
    first, last = float(values[0]), float(values[-1])
    round_values: Sequence[float] = RISKS if is_risk else _round_amounts(first, last)
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
    start = math.floor(math.log10(max(lowest, highest / 1e5)))
    powers = range(start, math.floor(math.log10(highest)) + 1)
    return [step * 10.0**power for power in powers for step in STEPS]
