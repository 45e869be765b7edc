"""Contributions by the family of their features: what the history adds, what the laboratory takes off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np

from features.catalogue import FAMILY_OF
from models.model import Model, Prediction
from serving.reasons.contributions import Direction, Reason, direction_of

SUPPLIED = "supplied ready-made"
"""The family of an extract's own features, which the catalogue does not hold."""


class Group(TypedDict):
    """All contributions of a family: their sum, and those that are not 0, by falling size, as `reasons`.

    `n_features` is how many they are. The rest is as in `Reason`.
    """

    family: str
    n_features: int
    contribution: float
    direction: Direction
    prediction_without: float
    reasons: list[Reason]
    sentence: NotRequired[str]
    effect: NotRequired[str]


def groups(model: Model, prediction: Prediction, found: Sequence[Sequence[Reason]]) -> list[list[Group]]:
    """For each row the families of the model's features, by falling size of their contribution.

    `found` are the row's reasons, all of them. The base value plus all groups is the raw output.
    """
    contributions = prediction.contributions
    assert contributions is not None, "predicted with contributions"
    family_of = [family(spec.name) for spec in model.artefact.features]
    families = list(dict.fromkeys(family_of))
    sums = np.column_stack(
        [contributions[:, [each == name for each in family_of]].sum(axis=1) for name in families]
    )
    without = model.value_at(prediction, prediction.raw_output[:, None] - sums)
    return [
        sorted(
            (
                _group(name, size, other, row)
                for name, size, other in zip(families, row_sums, row_without, strict=True)
            ),
            key=lambda group: -abs(group["contribution"]),
        )
        for row, row_sums, row_without in zip(found, sums.tolist(), without.tolist(), strict=True)
    ]


def family(feature: str) -> str:
    """The family of a feature; an extract's own are a family of theirs."""
    return FAMILY_OF.get(feature, SUPPLIED)


def _group(name: str, contribution: float, without: float, found: Sequence[Reason]) -> Group:
    members = [each for each in found if each["contribution"] != 0 and family(each["feature"]) == name]
    return {
        "family": name,
        "n_features": len(members),
        "contribution": contribution,
        "direction": direction_of(contribution),
        "prediction_without": without,
        "reasons": members,
    }
