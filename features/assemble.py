"""From cut relations to one row per index admission: the SQL that the declarations spell out."""

from __future__ import annotations

from collections.abc import Sequence

from features.clock import relations
from features.feature import SQL_TYPES, Feature, Relation
from features.points import Point
from features.settings import FeatureSettings
from features.sql import literal

# Relations with one row per index admission; the others are aggregated.
_ONE_ROW: tuple[Relation, ...] = ("this_stay",)
# Relations whose columns are computed once: the engine would compute them anew in each of many expressions.
_KEPT: tuple[Relation, ...] = ("measured_values",)
# Relations that are made of features instead of records.
_LATER: tuple[Relation, ...] = ("features", "facts")


def features_sql(
    features: Sequence[Feature],
    point: Point,
    *,
    has_timeline: bool,
    settings: FeatureSettings,
    facts: Sequence[Feature] = (),
) -> str:
    """SQL over `index_rows` and the canonical tables: index_id and every feature by name.

    `index_rows` says with `has_<table>` whether a table is known for the row and with `history_from`
    since when its history is complete. `facts` are features that the extract supplies: one with the
    name of a catalogue feature fills that feature where the tables leave it missing.

    Raises ValueError if a feature is not yet known at the point.
    """
    for feature in (*features, *facts):
        if not point.knows(feature.available_from):
            raise ValueError(
                f"{feature.name} is known from {feature.available_from} on, not yet at {point}. "
                "Build the data set for a later point, or leave the feature out."
            )
    intermediates = tuple({need.name: need for feature in features for need in feature.needs}.values())
    from_tables = [f for f in (*features, *intermediates) if f.relation not in _LATER]
    cut = relations(point, has_timeline=has_timeline, settings=settings)
    used = [name for name in cut if any(feature.relation == name for feature in from_tables)]
    parts = [f"{name} AS {'MATERIALIZED ' * (name in _KEPT)}({cut[name]})" for name in used]
    parts += [f"{name}_features AS ({_family_sql(name, from_tables)})" for name in used]
    if facts:
        parts.append(f"facts_features AS ({_facts_sql(facts, point)})")
        used = [*used, "facts"]
    supplied = {fact.name for fact in facts}
    # Without dates nothing says, before the discharge, that there was none so far.
    says_none = has_timeline or point is Point.DISCHARGE
    columns = [_value(feature, supplied, says_none=says_none) for feature in from_tables]
    own = {feature.name: feature for feature in features}
    columns += [
        f'facts_features."fact {fact.name}" AS "{fact.name}"' for fact in facts if fact.name not in own
    ]
    joins = " ".join(f"LEFT JOIN {name}_features USING (index_id)" for name in used)
    parts.append(f"from_tables AS (SELECT i.index_id, {', '.join(columns)} FROM index_rows i {joins})")
    derived = "".join(
        f', ({feature.expression})::{SQL_TYPES[feature.type]} AS "{feature.name}"'
        for feature in features
        if feature.relation == "features"
    )
    names = ", ".join(
        f'"{name}"' for name in ("index_id", *own, *(f.name for f in facts if f.name not in own))
    )
    return f"WITH {', '.join(parts)} SELECT {names} FROM (SELECT *{derived} FROM from_tables)"


def _family_sql(relation: Relation, features: Sequence[Feature]) -> str:
    own = [feature for feature in features if feature.relation == relation]
    columns = ", ".join(f'{feature.expression} AS "{feature.name}"' for feature in own)
    group = "" if relation in _ONE_ROW else " GROUP BY index_id"
    return f"SELECT index_id, true AS has_rows, {columns} FROM {relation}{group}"


def _value(feature: Feature, supplied: set[str], *, says_none: bool) -> str:
    """The feature's value: missing where unknown, `when_none` where known to have no record (`says_none`)."""
    value = f'{feature.relation}_features."{feature.name}"::{SQL_TYPES[feature.type]}'
    if feature.when_none is not None and says_none:
        has_rows = f"{feature.relation}_features.has_rows"
        value = f"CASE WHEN {has_rows} THEN {value} ELSE {feature.when_none:g} END"
    conditions = [f"i.has_{table}" for table in feature.tables]
    if feature.history_days is not None:
        conditions.append(f"i.anchor_at - INTERVAL {feature.history_days} DAY >= i.history_from")
    if conditions:
        value = f"CASE WHEN {' AND '.join(conditions)} THEN {value} END"
    if feature.name in supplied:
        value = f'coalesce({value}, facts_features."fact {feature.name}")'
    return f'({value})::{SQL_TYPES[feature.type]} AS "{feature.name}"'


def _facts_sql(facts: Sequence[Feature], point: Point) -> str:
    known = ", ".join(f"'{earlier}'" for earlier in Point if point.knows(earlier))
    columns = ", ".join(
        f'max(CASE WHEN f.name = {literal(fact.name)} THEN {_fact_value(fact)} END) AS "fact {fact.name}"'
        for fact in facts
    )
    return f"""
    SELECT i.index_id, {columns}
    FROM index_rows i JOIN facts f ON f.stay_id = i.stay_id AND f.available_from IN ({known})
    GROUP BY i.index_id"""


def _fact_value(fact: Feature) -> str:
    if fact.type == "category":
        return "f.value"
    return f"try_cast(f.value AS {SQL_TYPES[fact.type]})"
