"""Counts that tell none from unknown: where one is 0, a missing value that rests on it means "none".

They are no features: no model learns from them. Where a count is itself missing – its table was not sent,
the history does not reach back far enough – nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable

from features.families.groups import IS_PERFORMED
from features.families.windows import LATEST_DAYS
from features.feature import Feature, Relation
from features.left_out import UNUSED_VALUES
from features.points import Point


def _count(
    name: str, label: str, relation: Relation, table: str, expression: str, days: int | None
) -> Feature:
    return Feature(
        name=name,
        label=label,
        type="integer",
        unit="",
        available_from=Point.PREADMISSION,
        description="Evidence.",
        relation=relation,
        expression=expression,
        tables=(table,),
        when_none=0,
        history_days=days,
    )


_COUNTS = (
    _count(
        "n_stays_without_end",
        "Earlier stays whose end is not known, or lies after the admission",
        "earlier_stays",
        "stays",
        "count(*) FILTER (discharged_at IS NULL OR discharged_at > anchor_at)",
        LATEST_DAYS,
    ),
    _count(
        "n_visits_of_unknown_kind",
        "Visits whose kind is not known",
        "earlier_visits",
        "visits",
        "count(*) FILTER (kind IS NULL)",
        LATEST_DAYS,
    ),
    _count("n_charges", "Known charges of the episode", "these_charges", "charges", "count(*)", None),
    _count(
        "n_possible_operations",
        "Performed procedures that are operations, or of which it is not known",
        "these_procedures",
        "procedures",
        f"CASE WHEN bool_and(is_whole) THEN count(*) FILTER (is_surgery IS NOT FALSE AND {IS_PERFORMED}) END",
        None,
    ),
    _count(
        "n_possible_plans",
        "Procedures of the stay that were planned, or of which it is not known",
        "these_procedures",
        "procedures",
        "count(*) FILTER (is_planned IS NOT FALSE AND is_index_stay)",
        None,
    ),
    _count(
        "n_procedures_of_stay",
        "Procedures of the stay",
        "these_procedures",
        "procedures",
        "count(*) FILTER (is_index_stay)",
        None,
    ),
)
_BY_NAME = {count.name: count for count in _COUNTS}
EVIDENCE = frozenset({*_BY_NAME, *UNUSED_VALUES})
"""The names of all such counts."""


def evidence_for(features: Iterable[Feature]) -> tuple[Feature, ...]:
    """The counts that the features' missing values rest on, but for those of `features.left_out`."""
    needed = {feature.none_if_zero for feature in features}
    return tuple(count for name, count in _BY_NAME.items() if name in needed)
