"""Features over a window of days before the admission."""

from __future__ import annotations

from features.feature import Feature, FeatureType, Relation
from features.points import Point

WINDOWS_DAYS = (30, 90, 180, 365)
LATEST_DAYS = 365
"""How far back the latest event is looked for: as far as a request's history reaches."""
_WORDS = {30: "last 30 days", 90: "last 90 days", 180: "last half year", 365: "last year"}
_EVENT_AT: dict[Relation, str] = {"earlier_stays": "admitted_at", "earlier_visits": "visited_at"}


_TABLE: dict[Relation, str] = {"earlier_stays": "stays", "earlier_visits": "visits"}


def since(instant: str, days: int) -> str:
    """SQL: the instant lies within `days` before the admission."""
    return f"{instant} >= anchor_at - INTERVAL {days} DAY"


def known_sum(column: str) -> str:
    """The sum over the window: missing if a value in it is unknown, 0 if the window is empty."""
    all_known = f"count({column}) FILTER ({{window}}) = count(*) FILTER ({{window}})"
    return f"CASE WHEN {all_known} THEN coalesce(sum({column}) FILTER ({{window}}), 0) END"


def windowed(
    name: str,
    label: str,
    *,
    days: int,
    kind: FeatureType,
    unit: str,
    relation: Relation,
    aggregate: str,
    description: str,
) -> Feature:
    """A feature over the window [anchor - days, anchor).

    `{window}` in `aggregate` becomes its condition, `{within}` in `description` its words.
    """
    return Feature(
        name=f"{name}_prior_{days}d",
        label=f"{label} in the {_WORDS[days]}",
        type=kind,
        unit=unit,
        available_from=Point.PREADMISSION,
        description=description.format(within=f"in the {days} days before the admission"),
        relation=relation,
        expression=aggregate.format(window=since(_EVENT_AT[relation], days)),
        tables=(_TABLE[relation],),
        when_none=0,
        history_days=days,
        minimum=0,
    )
