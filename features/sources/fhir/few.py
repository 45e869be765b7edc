"""The resources of one patient, held in memory, as checked canonical rows: what a request brings along.

They go the way of an extract: the same translation, the same joins, the same rules.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa

from features.dataset import Declaration, connect
from features.quality.check import judge
from features.quality.staged import TypedColumn, typed_columns
from features.sources.fhir.flat import FLAT_TABLES, Terms
from features.sources.fhir.joined import join_flat
from features.sources.fhir.stream import Found
from features.sources.fhir.take import Reading, take
from features.sources.fhir.validate import fault_of
from features.sources.fhir.written import canonical_tables
from features.tables import TABLES, Table, TableError

_MEMORY_MB = 300
_SCHEMAS = {
    name: pa.schema([("n", pa.int64()), *((column, pa.string()) for column in columns)])
    for name, columns in FLAT_TABLES.items()
}

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class PatientRows:
    """What resources gave.

    A table that is absent is unknown. `stay_of` says for the id of every encounter which stay it is, or is a
    part of; None: of none. `quarantined` counts the rows of each table that broke a rule and are not among
    `tables`; `notes` say what else was left out. None of them holds a patient's value.
    """

    tables: dict[str, Rows]
    stay_of: dict[str, str | None]
    quarantined: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Typed:
    """A canonical table that the engine holds with its declared types."""

    table: Table

    def typed_sql(self, _time_zone: str) -> str:
        return f"SELECT * FROM typed_{self.table.name}"


class _Taken:
    """The rows of the flat tables."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, list[tuple[int | str | None, ...]]] = defaultdict(list)

    def add(self, table: str, n: int, values: tuple[str | None, ...]) -> None:
        self.rows[table].append((n, *values))

    def filled(self) -> frozenset[str]:
        """The flat tables that make a difference: without two of one id, no version is looked for."""
        filled = {name for name in FLAT_TABLES if self.rows[name]}
        ids = [row[1:3] for row in self.rows["resources"]]
        return frozenset(filled if len(set(ids)) < len(ids) else filled - {"resources"})

    def as_arrow(self, name: str) -> pa.Table:
        schema, rows = _SCHEMAS[name], self.rows[name]
        values = zip(*rows, strict=True) if rows else iter(() for _ in schema)
        columns = [pa.array(column, kind) for column, kind in zip(values, schema.types, strict=True)]
        return pa.table(columns, schema=schema)


class FewResources:
    """Makes canonical rows of a few resources; safe to share between threads, one at a time.

    `declaration` says what the rows mean: time zone, currency, cost basis and code systems; `hospital` is as
    in `stage`.
    """

    def __init__(self, declaration: Declaration, hospital: str | None = None) -> None:
        self._declaration = declaration
        self._hospital = hospital
        self._con = connect(threads=1, memory_limit_mb=_MEMORY_MB)
        # For so few rows, thinking longer about a query than it takes is no gain.
        self._con.execute("PRAGMA disable_optimizer")
        self._lock = threading.Lock()
        self._touched: frozenset[str] = frozenset(FLAT_TABLES)
        self._typed: dict[str, list[TypedColumn]] = {}
        fault_of({}, "Patient")  # loads the models now, not while somebody waits

    def rows(self, resources: Iterable[Found], answered: Collection[str] = ()) -> PatientRows:
        """The rows of the resources. Types in `answered` were asked for: without a resource there is none.

        Raises TableError where a resource is no resource, or where two of one type and id differ and none
        is the newer one.
        """
        taken, reading = _Taken(), Reading()
        reading.tally.named_types.update(answered)
        terms = Terms(self._declaration.cost_basis, self._declaration.currency)
        for n, found in enumerate(resources, start=1):
            if not isinstance(found.resource.get("resourceType"), str):
                raise TableError(f"{found.place}: an object without resourceType. Send resources.")
            take(found, n, taken, terms, reading)
        with self._lock:
            self._con.execute("BEGIN")
            try:
                joined = self._joined(taken, reading)
                self._con.execute("COMMIT")
            except BaseException:
                self._con.execute("ROLLBACK")
                raise
            self._touched = taken.filled()
        return joined

    def _joined(self, taken: _Taken, reading: Reading) -> PatientRows:
        touched = self._touched | taken.filled()
        for name in touched:
            self._con.register(f"every_{name}", taken.as_arrow(name))
        notes = join_flat(self._con, touched, resolved_as="TABLE")
        tables, quarantined = {}, {}
        zone = self._declaration.time_zone
        for name, sql in canonical_tables(self._con, reading, zone, self._hospital, touched):
            tables[name], quarantined[name] = self._checked(TABLES[name], sql)
        found = self._con.execute("SELECT id, CASE WHEN is_stay THEN owner_id END FROM belongs").fetchall()
        counts = {name: count for name, count in quarantined.items() if count}
        return PatientRows(tables, dict(found), counts, (*reading.notes(), *notes))

    def _checked(self, table: Table, sql: str) -> tuple[Rows, int]:
        """The rows that keep every rule, in the order of their keys, and how many do not."""
        name = table.name
        self._con.execute(
            f"CREATE OR REPLACE TABLE raw_{name} AS SELECT *, row_number() OVER () AS _row FROM ({sql})"
        )
        self._con.execute(f"CREATE OR REPLACE TABLE typed_{name} AS {self._typed_sql(table)}")
        judge(self._con, _Typed(table), self._declaration)
        names = [column.name for column in table.columns]
        order = [f't."{column}"' for column in table.key or names]
        judged = self._con.execute(
            f"SELECT b._row IS NULL, {_listed(names, 't.')} FROM typed_{name} t "
            f"LEFT JOIN bad_{name} b ON t._row = b._row ORDER BY {', '.join(order)}"
        ).fetchall()
        kept = [dict(zip(names, values, strict=True)) for is_kept, *values in judged if is_kept]
        return kept, len(judged) - len(kept)

    def _typed_sql(self, table: Table) -> str:
        """SQL of the raw rows with declared types; each value is worked out once: that is what takes time."""
        if table.name not in self._typed:
            types = {row[0]: row[1] for row in self._con.execute(f"DESCRIBE raw_{table.name}").fetchall()}
            self._typed[table.name] = typed_columns(table, types, self._declaration.time_zone)
        columns = self._typed[table.name]
        values = [f'{column.value} AS "{column.name}"' for column in columns]
        doubtful = [column.name for column in columns if column.present]
        values += [f'{column.present} AS "_{column.name}"' for column in columns if column.present]
        cases = [f"""WHEN "_{one}" IS NOT NULL AND "{one}" IS NULL THEN '{one}'""" for one in doubtful]
        unreadable = f"CASE {' '.join(cases)} END" if cases else "NULL::VARCHAR"
        return (
            f"SELECT {_listed([column.name for column in columns])}, _row, {unreadable} AS _unreadable "
            f"FROM (SELECT {', '.join(values)}, _row FROM raw_{table.name})"
        )


def _listed(names: Iterable[str], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in names)
