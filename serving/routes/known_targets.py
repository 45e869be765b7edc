"""Targets that the server knows: one that nobody predicts is a mistake, not an empty answer."""

from __future__ import annotations

from serving.champions.loaded import ChampionSet
from serving.problems import FieldError, invalid
from serving.store.predictions import PredictionStore

TARGET_DESCRIPTION = (
    "what is predicted: of a model in force (GET /v1/models) or of a stored prediction; any other is 422"
)


def refuse_unknown(target: str, champions: ChampionSet, store: PredictionStore) -> None:
    """Raise Problem (422), with those that are known, for a target that nothing here predicts.

    Where nothing is known at all, nothing is refused. Raises StoreError.
    """
    predicted = {loaded.model.artefact.target for loaded in champions.loaded}
    if target in predicted:
        return
    known = sorted(predicted | store.targets())
    if known and target not in known:
        message = f"is no target that is predicted or stored here; known are {', '.join(known)}"
        raise invalid([FieldError("query.target", message)])
