"""What became of the cards that were shown, counted by service and model: no stay, no comment, no name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from serving.database.connection import reading
from serving.database.tables import CDS_CARDS, CDS_FEEDBACK

NONE_GIVEN, OTHER = "none given", "other"
"""Stand for the reason of who gave none, and for all reasons that the services do not offer."""

Code = tuple[str, str]
"""System and code of a reason."""


@dataclass
class Outcomes:
    """The cards of one service that rest on the same models and have the same indicator.

    `models` and `indicator` are None for feedback on cards that are not known: such a card was pruned, or
    was none of this store's. `shown` counts cards, then None. A card that came back more than once counts by
    what was done last; the others were not acted upon, or nobody told. `reasons` count those of overrides.
    """

    service: str
    models: tuple[str, ...] | None
    indicator: str | None
    shown: int | None
    accepted: int = 0
    overridden: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "service": self.service,
            "models": None if self.models is None else list(self.models),
            "indicator": self.indicator,
            "shown": self.shown,
            "accepted": self.accepted,
            "overridden": self.overridden,
            "reasons": dict(sorted(self.reasons.items())),
        }


def outcomes(engine: Engine, offered: Collection[Code]) -> list[Outcomes]:
    """All that is stored, by service, models and indicator; those of unknown cards last of each service.

    `offered` are the reasons that the services offer: a client's own code may say anything, and is counted
    as other. Raises StoreError.
    """
    with reading(engine) as connection:
        groups = _shown(connection)
        for row in _last_words(connection):
            key = (row.service_id or row.service, row.model_ids, row.indicator)
            group = groups.setdefault(key, Outcomes(key[0], None, None, None))
            if row.outcome == "accepted":
                group.accepted += 1
            else:
                group.overridden += 1
                group.reasons[_reason(row.override_reason, offered)] += 1
    return sorted(groups.values(), key=lambda one: (one.service, one.models is None, one.models or ()))


def _shown(connection: Connection) -> dict[tuple[str, str | None, str | None], Outcomes]:
    columns = (CDS_CARDS.c.service_id, CDS_CARDS.c.model_ids, CDS_CARDS.c.indicator)
    rows = connection.execute(select(*columns, func.count().label("n")).group_by(*columns).order_by(*columns))
    return {
        (row.service_id, row.model_ids, row.indicator): Outcomes(
            row.service_id, tuple(json.loads(row.model_ids)), row.indicator, row.n
        )
        for row in rows
    }


def _last_words(connection: Connection) -> list[Row[Any]]:
    """Of each card the feedback on what was done last, beside the card if it is known."""
    said = CDS_FEEDBACK
    place = (
        func.row_number()
        .over(partition_by=said.c.card, order_by=(said.c.outcome_at.desc(), said.c.id.desc()))
        .label("place")
    )
    last = select(said.c.service, said.c.card, said.c.outcome, said.c.override_reason, place).subquery()
    query = (
        select(
            last.c.service,
            last.c.outcome,
            last.c.override_reason,
            CDS_CARDS.c.service_id,
            CDS_CARDS.c.model_ids,
            CDS_CARDS.c.indicator,
        )
        .select_from(last.outerjoin(CDS_CARDS, CDS_CARDS.c.card_uuid == last.c.card))
        .where(last.c.place == 1)
    )
    return list(connection.execute(query))


def _reason(stored: str | None, offered: Collection[Code]) -> str:
    reason: Mapping[str, Any] | None = None if stored is None else json.loads(stored).get("reason")
    if reason is None:
        return NONE_GIVEN
    return str(reason["code"]) if (reason["system"], reason["code"]) in offered else OTHER
