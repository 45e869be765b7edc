"""The cards that were shown, so that feedback on one tells of which stay and which models it was."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, insert

from serving.database.connection import writing
from serving.database.tables import CDS_CARDS
from serving.store.pruning import prune


@dataclass(frozen=True)
class IssuedCard:
    """A card as it was answered.

    `models` are those whose predictions stand on it, as name/version; `issued_to` is the caller's identity,
    `hook_instance` the client's own id of the call.
    """

    uuid: str
    service: str
    stay_id: str
    prediction_point: str
    models: tuple[str, ...]
    indicator: str
    issued_at: dt.datetime
    issued_to: str
    hook_instance: str | None = None


class CardStore:
    """Keeps cards in the store's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, cards: Sequence[IssuedCard]) -> None:
        """Keep all of them or, where that fails, none. Raises StoreError."""
        if not cards:
            return
        with writing(self._engine) as connection:
            connection.execute(insert(CDS_CARDS), [_row(card) for card in cards])

    def prune(self, before: dt.datetime) -> int:
        """Remove what was issued before an instant; returns how many. Raises StoreError."""
        return prune(self._engine, CDS_CARDS, CDS_CARDS.c.issued_at, before)


def _row(card: IssuedCard) -> dict[str, object]:
    return {
        "card_uuid": card.uuid,
        "hook_instance": card.hook_instance,
        "service_id": card.service,
        "stay_id": card.stay_id,
        "prediction_point": card.prediction_point,
        "model_ids": json.dumps(card.models),
        "indicator": card.indicator,
        "issued_at": card.issued_at,
        "issued_to": card.issued_to,
    }
