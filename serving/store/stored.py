"""What is stored of one prediction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]
"""Stay and prediction point."""


@dataclass(frozen=True)
class Stored:
    """An answer as the API gives it, with what it does not say itself.

    Department and episode, if known, and who stored it: the identity of a caller, or a command.
    """

    document: Mapping[str, Any]
    department: str | None = None
    episode_id: str | None = None
    stored_by: str | None = None

    @property
    def stay_id(self) -> str:
        """The stay that was asked about."""
        return str(self.document["stay_id"])

    @property
    def scored_at(self) -> dt.datetime:
        """When it was predicted."""
        return dt.datetime.fromisoformat(self.document["scored_at"])

    @property
    def prediction_time(self) -> dt.datetime | None:
        """As of when, in local wall time of the data set; None for records without dates."""
        at = self.document["prediction_time"]
        return None if at is None else dt.datetime.fromisoformat(at)

    @property
    def models(self) -> list[str]:
        """The models that predicted, as name/version."""
        return self.models_of(None)

    def models_of(self, target: str | None) -> list[str]:
        """The models that predicted a target (None: any), as name/version."""
        return [one["model"] for one in self.document["predictions"] if target in (None, one["target"])]

    @property
    def kept(self) -> dict[str, Any]:
        """The document as it is stored: without the words, which whoever reads it is told in a language of
        their own, and which would be more than half of it."""
        predictions = [_wordless(prediction) for prediction in self.document["predictions"]]
        return {**self.document, "predictions": predictions}

    @property
    def key(self) -> Key:
        """Of the predictions of one key only the latest stands on a worklist."""
        return self.stay_id, str(self.document["prediction_point"])


_WORDS = frozenset({"sentence", "effect"})


def _wordless(told: Mapping[str, Any]) -> dict[str, Any]:
    """A prediction, a group of reasons or a reason without its words."""
    return {
        name: [_wordless(each) for each in value] if name in ("reasons", "groups") else value
        for name, value in told.items()
        if name not in _WORDS
    }
