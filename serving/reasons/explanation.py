"""All that explains a prediction, as its document holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import numpy as np

from models.model import Model, Prediction
from serving.reasons.contributions import N_REASONS, Reason, reasons
from serving.reasons.families import Group, groups
from serving.reasons.scale import Mark, marks


class Explanation(TypedDict):
    """The reasons of one row, on request their groups, and the scale that a picture of them needs.

    The scale: `base_prediction` is what the model would give without any contribution, `marks` are round
    predictions with the raw outputs that they belong to, `n_contributing` how many features moved it at all.
    """

    reasons: list[Reason]
    groups: NotRequired[list[Group]]
    n_contributing: NotRequired[int]
    base_prediction: NotRequired[float]
    marks: NotRequired[list[Mark]]


def explain(
    model: Model,
    prediction: Prediction,
    *,
    limit: int | None = N_REASONS,
    by_family: bool = False,
    with_scale: bool = False,
) -> list[Explanation]:
    """The `limit` strongest reasons of each row, or all (None), on request also by family."""
    found = reasons(model, prediction, limit=None if by_family else limit)
    kept = [_kept(row, limit) for row in found] if by_family else found
    explanations: list[Explanation] = [{"reasons": row} for row in kept]
    if by_family:
        for explanation, families in zip(explanations, groups(model, prediction, found), strict=True):
            explanation["groups"] = families
    if with_scale:
        assert prediction.contributions is not None, "predicted with contributions"
        n_contributing = np.count_nonzero(prediction.contributions, axis=1).tolist()
        base = np.full((len(found), 1), prediction.base_value)
        at_base = model.value_at(prediction, base)[:, 0].tolist()
        scales = zip(explanations, n_contributing, at_base, marks(model, prediction), strict=True)
        for explanation, n, value, found_marks in scales:
            explanation |= {"n_contributing": n, "base_prediction": value, "marks": found_marks}
    return explanations


def shortened(prediction: Mapping[str, Any], n_reasons: int = N_REASONS) -> dict[str, Any]:
    """A target's prediction, stored with what a picture needs, as one is answered that did not ask for it."""
    scale = ("n_contributing", "base_prediction", "marks")
    kept = {name: value for name, value in prediction.items() if name not in scale}
    return kept | {"reasons": prediction["reasons"][:n_reasons]}


def _kept(row: list[Reason], limit: int | None) -> list[Reason]:
    """As many as were asked for of a row that holds all."""
    return row if limit is None else [each for each in row[:limit] if each["contribution"] != 0]
