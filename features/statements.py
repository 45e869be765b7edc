"""The features of a few admissions as statements that the engine plans once and then only executes.

Planning the SQL of all features takes twenty times as long as executing it for one admission. The engine
keeps the plan of a prepared statement as long as nothing could have changed it: it plans anew, at every
execution, what reads a table, a view or a variable, or takes a parameter of another type than text. Hence a
statement holds the whole way from the records to features, and all records come as texts of JSON.
No value of a request may ever become part of the SQL: a plan made for one would be used for all.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb
import numpy as np

from features.assemble import features_sql
from features.catalogue import features_at
from features.chain import codes_and_episodes, index_rows
from features.coding import flag_types
from features.dataset import CodeSystems, connect
from features.evidence import evidence_for
from features.feature import Feature
from features.left_out import COUNTS, left_out_sql
from features.parts import parts
from features.points import Point
from features.scope import scope_sql
from features.settings import FeatureSettings
from features.sql import identifier, literal
from features.tables import SQL_TYPES, TABLES

_LANES = 2
"""Statements of a question that run side by side, each with about half of the features."""
_MOST_KEPT = 16
"""Questions whose statements are kept: points, with dates and without, with facts and without."""
_REQUEST_TYPES = {
    "index_id": "BIGINT",
    "stay_id": "VARCHAR",
    "prediction_time": "TIMESTAMP",
    "history_from": "TIMESTAMP",
    **{f"has_{name}": "BOOLEAN" for name in TABLES},
}

Columns = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What decides the statement: nothing that belongs to one admission alone.

    `wanted` names the features to answer; None: all of the point.
    """

    point: Point
    has_timeline: bool
    facts: tuple[Feature, ...] = ()
    wanted: frozenset[str] | None = None


@dataclass(frozen=True)
class _Narrow:
    """A part of the answer, by SQL that has `index_id`: names of columns of numbers and of texts."""

    sql: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Prepared:
    """A statement that the engine has planned, and the parts that its rows are of."""

    name: str
    parts: tuple[_Narrow, ...]


class Statements:
    """Answers questions about records in memory. Not for several threads at once."""

    def __init__(self, systems: CodeSystems, settings: FeatureSettings) -> None:
        self._systems = systems
        self._settings = settings
        engine = connect(threads=1, memory_limit_mb=settings.memory_limit_mb)
        self._lanes = tuple(engine.cursor() for _ in range(_LANES))
        self._workers = ThreadPoolExecutor(_LANES, "features")
        self._kept: OrderedDict[Question, list[_Prepared]] = OrderedDict()
        self._n_prepared = 0

    def answer(self, question: Question, inputs: Mapping[str, str]) -> Columns:
        """The columns of the features by name, with a value for each request.

        Beside them `left_at` and `continues`, what tells that there was none (`features.evidence`) and what
        was left out (`features.left_out`).

        `inputs` holds, by name, the JSON list of rows of `requests`, of every canonical table and of every
        table of flags. Values keep the order of `index_id`; numbers are doubles, NaN where unknown.
        """
        prepared = self.prepare(question)
        values = ", ".join(literal(inputs[name]) for name in input_types())
        pairs = zip(self._lanes, prepared, strict=True)
        asked = [self._workers.submit(_columns, lane, each, values=values) for lane, each in pairs]
        # All of them, also when one fails: the next question must not find a lane at work.
        wait(asked)
        return {name: column for each in asked for name, column in each.result().items()}

    def prepare(self, question: Question) -> list[_Prepared]:
        """Have the question's statements planned, one for each lane, if they are not."""
        if question in self._kept:
            self._kept.move_to_end(question)
            return self._kept[question]
        while len(self._kept) >= _MOST_KEPT:
            _, forgotten = self._kept.popitem(last=False)
            for lane, each in zip(self._lanes, forgotten, strict=True):
                lane.execute(f"DEALLOCATE {each.name}")
        self._n_prepared += 1
        prepared = [
            _Prepared(f"features_{self._n_prepared}", parts)
            for parts in _shared_out(_parts_of(question, self._settings))
        ]
        for lane, each in zip(self._lanes, prepared, strict=True):
            sql = _statement_sql(question, each.parts, self._systems, self._settings)
            lane.execute(f"PREPARE {each.name} AS {sql}")
        self._kept[question] = prepared
        return prepared


def _columns(lane: duckdb.DuckDBPyConnection, prepared: _Prepared, *, values: str) -> Columns:
    rows: list[list[tuple[list[float | None], list[str | None]]]] = [[] for _ in prepared.parts]
    for place, numbers, texts in lane.execute(f"EXECUTE {prepared.name}({values})").fetchall():
        rows[place].append((numbers, texts))
    columns: Columns = {}
    for part, found in zip(prepared.parts, rows, strict=True):
        matrix = np.array([numbers for numbers, _ in found], dtype=np.float64)
        columns |= {name: matrix[:, place] for place, name in enumerate(part.numbers)}
        columns |= {name: [texts[place] for _, texts in found] for place, name in enumerate(part.texts)}
    return columns


def _shared_out(narrow: Sequence[_Narrow]) -> list[tuple[_Narrow, ...]]:
    """The parts shared out among the lanes, about as many columns to each."""
    lanes: list[list[_Narrow]] = [[] for _ in range(_LANES)]
    for part in sorted(narrow, key=_width, reverse=True):
        min(lanes, key=lambda lane: sum(map(_width, lane))).append(part)
    return [tuple(lane) for lane in lanes]


def _width(part: _Narrow) -> int:
    return len(part.numbers) + len(part.texts)


def statements_sql(question: Question, systems: CodeSystems, settings: FeatureSettings) -> list[str]:
    """SQL of each lane's statement; its parameters are the inputs in their order."""
    shared = _shared_out(_parts_of(question, settings))
    return [_statement_sql(question, lane, systems, settings) for lane in shared]


def _statement_sql(
    question: Question, narrow: Sequence[_Narrow], systems: CodeSystems, settings: FeatureSettings
) -> str:
    """SQL of one row for each part and admission, all of one form: a list of numbers and one of texts."""
    rows = " UNION ALL ".join(
        f"SELECT {place} AS part, index_id, [{_list(part.numbers)}]::DOUBLE[] AS numbers, "
        f"[{_list(part.texts)}]::VARCHAR[] AS texts FROM ({part.sql})"
        for place, part in enumerate(narrow)
    )
    chain = _chain_sql(question, systems, settings)
    return f"WITH {chain}\nSELECT part, numbers, texts FROM ({rows}) ORDER BY part, index_id"


def _list(columns: Sequence[str]) -> str:
    return ", ".join(map(identifier, columns))


def _parts_of(question: Question, settings: FeatureSettings) -> tuple[_Narrow, ...]:
    """The parts of the features, of the facts that are no features, and what else is said of a row."""
    point, has_timeline = question.point, question.has_timeline
    features = features_at(point, optional=settings.optional_features)
    read = {feature.name for feature in features} if question.wanted is None else question.wanted
    evidence = evidence_for(feature for feature in features if feature.name in read)
    features, wanted = (*features, *evidence), {*read, *(count.name for count in evidence)}
    names = {feature.name for feature in features}

    def part(own: Sequence[Feature], computed: Sequence[Feature], facts: Sequence[Feature]) -> _Narrow:
        sql = features_sql(computed, point, has_timeline=has_timeline, settings=settings, facts=facts)
        texts = tuple(feature.name for feature in own if feature.type == "category")
        return _Narrow(sql, tuple(feature.name for feature in own if feature.name not in texts), texts)

    found = []
    for each in parts(features, wanted):
        made_of = {made.name for feature in each.computed for made in (feature, *feature.needs)}
        filling = [fact for fact in question.facts if fact.name in made_of]
        found.append(part(each.features, each.computed, filling))
    supplied = [fact for fact in question.facts if fact.name not in names]
    if supplied:
        found.append(part(supplied, (), supplied))
    scope = scope_sql(point, settings, has_timeline=has_timeline)
    left_out = left_out_sql(point, read=read, facts=question.facts)
    return (*found, _Narrow(scope, ("continues",), ("left_at",)), _Narrow(left_out, COUNTS, ()))


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
