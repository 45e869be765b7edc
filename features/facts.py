"""Features that an extract supplies ready-made."""

from __future__ import annotations

import re

import duckdb

from features.catalogue import CATALOGUE
from features.dataset import DataSet
from features.feature import Feature
from features.points import Point
from features.tables import FACTS, TableError

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MAX_FACTS = 300
RESERVED = re.compile(
    "index_id|stay_id|episode_id|patient_id|prediction_point|prediction_time|label_.*|row_.*"
)


def declared_facts(con: duckdb.DuckDBPyConnection, dataset: DataSet, point: Point) -> tuple[Feature, ...]:
    """The facts of a data set that are known at a point, by name; numbers where every value is one.

    A fact with the name of a catalogue feature takes that feature's declaration. A fact whose rows name
    different points counts as known only from the latest.

    Raises TableError for names that cannot be columns and for more than 300 facts.
    """
    if not dataset.has("facts"):
        return ()
    found = con.sql(f"""
        SELECT name, list(DISTINCT available_from), bool_and(try_cast(value AS DOUBLE) IS NOT NULL),
            max(unit)
        FROM ({dataset.select(FACTS)}) GROUP BY name ORDER BY name""").fetchall()
    bad = sum(not NAME.fullmatch(name) or bool(RESERVED.fullmatch(name)) for name, *_ in found)
    if bad:
        raise TableError(
            f"facts: {bad} of {len(found)} names cannot be used. Name facts in lower case letters, digits "
            "and underscores, at most 63 characters, not like an identifier, label_… or row_…."
        )
    if len(found) > _MAX_FACTS:
        raise TableError(f"facts: {len(found)} different names; at most {_MAX_FACTS} are allowed.")
    facts = (
        _declare(name, [Point(p) for p in points], numeric, unit) for name, points, numeric, unit in found
    )
    return tuple(fact for fact in facts if point.knows(fact.available_from))


def _declare(name: str, points: list[Point], numeric: bool, unit: str | None) -> Feature:
    order = list(Point)
    available_from = max(points, key=order.index)
    known = CATALOGUE.get(name)
    words = name.replace("_", " ")
    return Feature(
        name=name,
        label=known.label if known else words[0].upper() + words[1:],
        type=known.type if known else ("number" if numeric else "category"),
        unit=known.unit if known else (unit or ""),
        available_from=available_from,
        description=known.description if known else "Supplied by the extract.",
        relation="facts",
        expression=name,
        tables=("facts",),
        is_fact=True,
    )
