"""What clinicians did with the cards they were shown."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from serving.database.connection import writing
from serving.database.tables import CDS_FEEDBACK
from serving.store.pruning import prune

_Identity = tuple[str, str, str, str, dt.datetime]
"""Card, service, caller, outcome and its time: what makes two entries the same."""


@dataclass(frozen=True)
class Feedback:
    """What became of one card of a CDS service.

    `card` is its uuid, `outcome` accepted or overridden, `override_reason` the reason and comment as sent,
    `received_from` the caller's identity.
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
        """Keep all of it that is new or, where that fails, none: a client that tries again adds nothing.

        The same is what one caller says twice of a card: outcome and time of it. Two processes that are told
        at one moment may both keep it; whoever counts takes a card's last outcome alone. Raises StoreError.
        """
        new = {_identity(one): one for one in reversed(feedback)}
        if not new:
            return
        with writing(self._engine) as connection:
            for known in _kept(connection, {one.card for one in feedback}):
                new.pop(known, None)
            if new:
                connection.execute(insert(CDS_FEEDBACK), [_row(one) for one in reversed(new.values())])

    def prune(self, before: dt.datetime) -> int:
        """Remove what was received before an instant; returns how many. Raises StoreError."""
        return prune(self._engine, CDS_FEEDBACK, CDS_FEEDBACK.c.received_at, before)


def _identity(one: Feedback) -> _Identity:
    return one.card, one.service, one.received_from, one.outcome, one.outcome_at.astimezone(dt.UTC)


def _kept(connection: Connection, cards: Collection[str]) -> list[_Identity]:
    """What is kept on these cards."""
    said = CDS_FEEDBACK.c
    columns = (said.card, said.service, said.received_from, said.outcome, said.outcome_at)
    return [tuple(row) for row in connection.execute(select(*columns).where(said.card.in_(sorted(cards))))]


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
