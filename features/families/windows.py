"""Features over a window of days before the admission."""

from __future__ import annotations

from collections.abc import Sequence

from features.feature import Feature, FeatureType, Relation
from features.points import Point
from features.sql import DAY_US

WINDOWS_DAYS = (30, 90, 180, 365)
DEFAULT_WINDOWS_DAYS = (30, 180, 365)
SHORT_AND_LONG_DAYS = (30, 365)
"""Windows that are built by default: of counts, and of costs and days, which follow the counts."""
LATEST_DAYS = 365
"""How far back the latest event is looked for: as far as a request's history reaches."""
_WORDS = {30: "last 30 days", 90: "last 90 days", 180: "last half year", 365: "last year"}
_EVENT_AT: dict[Relation, str] = {"earlier_stays": "admitted_at", "earlier_visits": "visited_at"}


_TABLE: dict[Relation, str] = {"earlier_stays": "stays", "earlier_visits": "visits"}


def since(instant: str, days: int) -> str:
    """SQL: the instant lies within `days` before the admission."""
    # Whole numbers: the engine takes five times as long to subtract an interval from a date.
    return f"epoch_us(anchor_at) - epoch_us({instant}) <= {days * DAY_US}"


def known_sum(column: str, of: str = "true") -> str:
    """The sum over the rows `of` the window: missing if one of their values is unknown, 0 without a row."""
    rows = f"FILTER ({of} AND {{window}})"
    return f"CASE WHEN count({column}) {rows} = count(*) {rows} THEN coalesce(sum({column}) {rows}, 0) END"


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
    built_at: Sequence[int] = DEFAULT_WINDOWS_DAYS,
    raises: tuple[str, ...] = (),
) -> Feature:
    """A feature over the window [anchor - days, anchor).

    `{window}` in `aggregate` becomes its condition, `{within}` in `description` its words. It is optional
    where `built_at` does not hold its days.
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
        optional=days not in built_at,
        raises=raises,
    )
