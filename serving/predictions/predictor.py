"""Champions and features to predictions with reasons: the one way that API and batch both go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from features.catalogue import CATALOGUE
from features.feature import Feature, FeatureType
from features.points import Point
from features.records import AdmissionRecords
from features.settings import FeatureSettings
from models.columns import Table
from models.encoding import FeatureSpec
from models.model import Prediction
from serving.champions.loaded import Loaded
from serving.reasons import N_REASONS, Explanation, Reason, explain


@dataclass(frozen=True)
class Scores:
    """One champion's predictions of n rows, with what explains each of them."""

    loaded: Loaded
    prediction: Prediction
    explanations: list[Explanation]

    @property
    def reasons(self) -> list[list[Reason]]:
        """Each row's reasons."""
        return [explanation["reasons"] for explanation in self.explanations]


def predict(
    loaded: Loaded,
    table: Table,
    *,
    threads: int,
    n_reasons: int | None = N_REASONS,
    by_family: bool = False,
    with_scale: bool = False,
) -> Scores:
    """Predict rows that hold the champion's features, with their strongest reasons (None: all).

    `by_family` groups all of them by the family of their features too, `with_scale` adds what a picture of
    them needs.
    """
    prediction = loaded.model.predict(table, contributions=True, threads=threads)
    explanations = explain(
        loaded.model, prediction, limit=n_reasons, by_family=by_family, with_scale=with_scale
    )
    return Scores(loaded, prediction, explanations)


def settings_for(models: Sequence[Loaded], settings: FeatureSettings) -> FeatureSettings:
    """The feature settings with the landmark and the lags that these champions, of one basis, share.

    Optional features are built where one of them learned from such a feature.
    """
    artefact = models[0].model.artefact
    learned = features_read(models)
    return replace(
        settings,
        landmark_hours=artefact.landmark_hours,
        coding_lag_hours=artefact.coding_lag_hours,
        cost_lag_hours=artefact.cost_lag_hours,
        optional_features=settings.optional_features
        or any(CATALOGUE[name].optional for name in learned & CATALOGUE.keys()),
    )


def features_read(models: Sequence[Loaded]) -> frozenset[str]:
    """The names of the features that one of the models learned from, but for facts: no other is computed."""
    specs = (spec for model in models for spec in model.model.artefact.features)
    return frozenset(spec.name for spec in specs if not spec.is_fact)


def all_read(models: Sequence[Loaded]) -> tuple[Feature, ...]:
    """Every feature that one of the models learned from, as facts may supply it, by name."""
    specs = {spec.name: spec for model in models for spec in model.model.artefact.features}
    return tuple(_fact(spec) for _, spec in sorted(specs.items()))


def fact_features(models: Sequence[Loaded], admissions: Sequence[AdmissionRecords]) -> tuple[Feature, ...]:
    """The ready-made features to read from the admissions' facts: those that the models learned from.

    Where a fact has the name of a catalogue feature that they learned from, also all catalogue features,
    which facts fill where the records leave them missing. All or none: every set of names has statements of
    its own, and which names are sent is the clients' to choose.
    """
    specs = {spec.name: spec for model in models for spec in model.model.artefact.features}
    sent = {str(row["name"]) for admission in admissions for row in admission.tables.get("facts", ())}
    fills = any(name in specs and not specs[name].is_fact for name in sent)
    return tuple(_fact(spec) for _, spec in sorted(specs.items()) if spec.is_fact or fills)


def _fact(spec: FeatureSpec) -> Feature:
    return Feature(
        name=spec.name,
        label=spec.label,
        type=cast(FeatureType, spec.type),
        unit=spec.unit,
        available_from=Point(spec.available_from),
        description="Supplied with the request.",
        relation="facts",
        expression=spec.name,
        tables=("facts",),
        is_fact=True,
    )


def prediction_document(scores: Scores, row: int) -> dict[str, Any]:
    """One row's prediction of one target, as the API answers it."""
    artefact, prediction = scores.loaded.model.artefact, scores.prediction
    value = float(prediction.value[row])
    document: dict[str, Any] = {"target": artefact.target}
    if artefact.kind == "risk":
        document["probability"] = value
    else:
        document |= {"expected": value, "interval": _interval(scores, row)}
        document["unit"] = artefact.unit
        document["currency"] = artefact.context.currency if artefact.unit == "money" else None
    return document | {
        "band": prediction.band[row],
        "percentile": float(prediction.percentile[row]),
        **scores.explanations[row],
        "base_value": prediction.base_value,
        "raw_output": float(prediction.raw_output[row]),
        "scale": artefact.scale,
        "model": scores.loaded.model_id,
    }


def _interval(scores: Scores, row: int) -> dict[str, float | None] | None:
    distribution, prediction = scores.loaded.model.artefact.distribution, scores.prediction
    if distribution is None or prediction.low is None or prediction.high is None:
        return None
    return {
        "level": distribution.level,
        "low": finite_or_none(prediction.low[row]),
        "high": finite_or_none(prediction.high[row]),
    }


def finite_or_none(number: float | np.float64) -> float | None:
    """The number, or None where it is no finite bound: JSON knows no infinity."""
    return float(number) if np.isfinite(number) else None
