"""What clinicians did with the cards they were shown."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, insert

from serving.database.connection import writing
from serving.database.tables import CDS_FEEDBACK
from serving.store.pruning import prune


@dataclass(frozen=True)
class Feedback:
    """What became of one card of a CDS service.

    `card` is its uuid, `outcome` accepted or overridden, `override_reason` the reason and comment as sent,
    `received_from` the caller's name.
    """

    service: str
    card: str
    outcome: str
    outcome_at: dt.datetime
    received_from: str
    accepted_suggestions: tuple[str, ...] = ()
    override_reason: Mapping[str, Any] | None = None
    received_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))


class FeedbackStore:
    """Keeps feedback in the store's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, feedback: Sequence[Feedback]) -> None:
        """Keep all of it or, where that fails, none. Raises StoreError."""
        if not feedback:
            return
        with writing(self._engine) as connection:
            connection.execute(insert(CDS_FEEDBACK), [_row(one) for one in feedback])

    def prune(self, before: dt.datetime) -> int:
        """Remove what was received before an instant; returns how many. Raises StoreError."""
        return prune(self._engine, CDS_FEEDBACK, CDS_FEEDBACK.c.received_at, before)


def _row(feedback: Feedback) -> dict[str, object]:
    reason = feedback.override_reason
    return {
        "service": feedback.service,
        "card": feedback.card,
        "outcome": feedback.outcome,
        "accepted_suggestions": json.dumps(feedback.accepted_suggestions),
        "override_reason": None if reason is None else json.dumps(reason),
        "outcome_at": feedback.outcome_at,
        "received_at": feedback.received_at,
        "received_from": feedback.received_from,
    }
