"""The features of a few admissions as statements that the engine plans once and then only executes.

Planning the SQL of all features takes twenty times as long as executing it for one admission. The engine
keeps the plan of a prepared statement as long as nothing could have changed it: it plans anew, at every
execution, what reads a table, a view or a variable, or takes a parameter of another type than text. Hence one
statement holds the whole way from the records to the features, and all records come as texts of JSON.
No value of a request may ever become part of the SQL: a plan made for one would be used for all.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from features.assemble import features_sql
from features.catalogue import features_at
from features.chain import codes_and_episodes, index_rows
from features.coding import flag_types
from features.dataset import CodeSystems, connect
from features.feature import Feature
from features.parts import Part, parts
from features.points import Point
from features.scope import scope_sql
from features.settings import FeatureSettings
from features.sql import literal
from features.tables import SQL_TYPES, TABLES

# On each lane the statements of a question run one after another, the lanes side by side.
_LANES = 2
_MOST_KEPT = 16
"""Questions whose statements are kept: points, with dates and without, with facts and without."""
_REQUEST_TYPES = {
    "index_id": "BIGINT",
    "stay_id": "VARCHAR",
    "prediction_time": "TIMESTAMP",
    "history_from": "TIMESTAMP",
    **{f"has_{name}": "BOOLEAN" for name in TABLES},
}

Columns = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Question:
    """What decides the statements: nothing that belongs to one admission alone."""

    point: Point
    has_timeline: bool
    facts: tuple[Feature, ...] = ()


class Statements:
    """Answers questions about records in memory. Not for several threads at once."""

    def __init__(self, systems: CodeSystems, settings: FeatureSettings) -> None:
        self._systems = systems
        self._settings = settings
        engine = connect(threads=1, memory_limit_mb=settings.memory_limit_mb)
        self._lanes = tuple(engine.cursor() for _ in range(_LANES))
        self._beside = ThreadPoolExecutor(_LANES, "features")
        self._kept: OrderedDict[Question, list[list[str]]] = OrderedDict()
        self._n_prepared = 0

    def answer(self, question: Question, inputs: Mapping[str, str]) -> Columns:
        """The columns of the features by name, of `left_at` and `continues`, with a value for each request.

        `inputs` holds, by name, the JSON list of rows of `requests`, of every canonical table and of every
        table of flags. Values keep the order of `index_id`.
        """
        names = self.prepare(question)
        values = ", ".join(literal(inputs[name]) for name in input_types())

        def asked(lane: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> Columns:
            columns: Columns = {}
            for name in statements:
                found = lane.execute(f"EXECUTE {name}({values})")
                described = [column[0] for column in found.description]
                columns |= zip(described, zip(*found.fetchall(), strict=True), strict=True)
            return columns

        answered: Columns = {}
        for columns in self._beside.map(asked, self._lanes, names):
            answered |= columns
        return answered

    def prepare(self, question: Question) -> list[list[str]]:
        """Have the question's statements planned, if they are not; returns their names by lane."""
        if question in self._kept:
            self._kept.move_to_end(question)
            return self._kept[question]
        while len(self._kept) >= _MOST_KEPT:
            _, forgotten = self._kept.popitem(last=False)
            for lane, names in zip(self._lanes, forgotten, strict=True):
                for name in names:
                    lane.execute(f"DEALLOCATE {name}")
        by_lane: list[dict[str, str]] = [{} for _ in self._lanes]
        for place, sql in enumerate(statements_sql(question, self._systems, self._settings)):
            self._n_prepared += 1
            # 0, 1, 1, 0: the first part is the longest.
            by_lane[(place + 1) // 2 % _LANES][f"features_{self._n_prepared}"] = sql

        def prepare(lane: duckdb.DuckDBPyConnection, statements: Mapping[str, str]) -> list[str]:
            for name, sql in statements.items():
                lane.execute(f"PREPARE {name} AS {sql}")
            return [*statements]

        self._kept[question] = [*self._beside.map(prepare, self._lanes, by_lane)]
        return self._kept[question]


def statements_sql(question: Question, systems: CodeSystems, settings: FeatureSettings) -> list[str]:
    """SQL whose parameters are the inputs in their order; together all features, each statement a part."""
    features = features_at(question.point, optional=settings.optional_features)
    found = parts(features)
    names = {feature.name for feature in features}
    supplied = tuple(fact for fact in question.facts if fact.name not in names)
    chain = _chain_sql(question, systems, settings)
    return [
        f"WITH {chain}\n{_part_sql(part, question, settings, () if place else supplied, is_first=not place)}"
        for place, part in enumerate(found)
    ]


def _part_sql(
    part: Part, question: Question, settings: FeatureSettings, supplied: Sequence[Feature], *, is_first: bool
) -> str:
    """SQL of a part's features; the first has the facts that are no features, and what the cohort says."""
    computed = {each.name for feature in part.computed for each in (feature, *feature.needs)}
    filling = tuple(fact for fact in question.facts if fact.name in computed)
    has_timeline = question.has_timeline
    sql = features_sql(
        part.computed,
        question.point,
        has_timeline=has_timeline,
        settings=settings,
        facts=(*filling, *supplied),
    )
    columns = [f'f."{feature.name}"' for feature in (*part.features, *supplied)]
    if not is_first:
        return f"SELECT {', '.join(columns)} FROM ({sql}) f ORDER BY index_id"
    scope = scope_sql(question.point, settings, has_timeline=has_timeline)
    columns += ["s.left_at", "s.continues"]
    return f"SELECT {', '.join(columns)} FROM ({sql}) f JOIN ({scope}) s USING (index_id) ORDER BY index_id"


def _chain_sql(question: Question, systems: CodeSystems, settings: FeatureSettings) -> str:
    relations = {
        name: f"SELECT unnest(from_json(${place}::VARCHAR, '{json.dumps([types])}'), recursive := true)"
        for place, (name, types) in enumerate(input_types().items(), start=1)
    }
    relations |= codes_and_episodes(systems, settings, has_timeline=question.has_timeline)
    relations |= index_rows(_ASKED_BEFORE if question.point is Point.PREADMISSION else _ASKED_ROWS)
    return ",\n".join(f"{name} AS MATERIALIZED ({sql})" for name, sql in relations.items())


@cache
def input_types() -> dict[str, dict[str, str]]:
    """The SQL types of the columns of every input, by name, in the order of the statements' parameters."""
    tables = {
        name: {column.name: SQL_TYPES[column.type] for column in table.columns}
        for name, table in TABLES.items()
    }
    return {"requests": _REQUEST_TYPES, **tables, **flag_types()}


_ASKED_BEFORE = """
    SELECT r.*, s.patient_id, s.stay_id AS episode_id, s.booked_at AS anchor_at
    FROM requests r JOIN stays s USING (stay_id)"""
_ASKED_ROWS = """
    SELECT r.*, s.patient_id, s.episode_id, s.episode_admitted_at AS anchor_at
    FROM requests r JOIN episode_stays s USING (stay_id)"""
