"""The resources of one patient, held in memory, as checked canonical rows: what a request brings along.

They go the way of an extract: the same translation, the same joins, the same rules.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from features.dataset import Declaration, connect
from features.quality.check import verdicts
from features.quality.staged import TypedColumn, typed_columns
from features.sources.fhir.flat import FLAT_TABLES, Terms
from features.sources.fhir.joined import DIFFERING, LEFT_OUT, joined_sql, refuse_differing, version_notes
from features.sources.fhir.stream import Found
from features.sources.fhir.take import Reading, take
from features.sources.fhir.validate import fault_of
from features.sources.fhir.written import FOUND, SOURCES, held_tables, written_sql
from features.sql import literal
from features.tables import TABLES, Table, TableError

_MEMORY_MB = 300
_TYPES = {
    name: json.dumps([{"n": "BIGINT", **dict.fromkeys(columns, "VARCHAR")}])
    for name, columns in FLAT_TABLES.items()
}

Rows = list[dict[str, object]]

_AMOUNTS = ("total_cost", "patient_paid")

_FAULTS = (
    "SELECT 'patients' AS type, id, fault FROM patient WHERE fault <> '' "
    "UNION ALL SELECT 'stays', id, fault FROM encounter WHERE fault <> ''"
)


@dataclass(frozen=True)
class BrokenRow:
    """A row that broke a rule: the rule, with the column if it is one of single columns, as in quarantine.

    `fault` is the path of what is not valid FHIR in the resource of a patient or a stay, empty if all is;
    `status` a stay's own. Neither reason nor fault holds a patient's value.
    """

    reason: str
    fault: str = ""
    status: str | None = None


@dataclass(frozen=True)
class PatientRows:
    """What resources gave.

    A table that is absent is unknown. `stay_of` says for the id of every encounter which stay it is, or is a
    part of; None: of none. `broken` are the rows of each table that are not among `tables`; `notes` say what
    else was left out, and hold no patient's value.
    """

    tables: dict[str, Rows]
    stay_of: dict[str, str | None]
    broken: dict[str, tuple[BrokenRow, ...]]
    notes: tuple[str, ...]

    @property
    def n_broken(self) -> int:
        """How many rows were left out, since they broke a rule."""
        return sum(len(rows) for rows in self.broken.values())


class _Taken:
    """The rows of the flat tables."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, object]]] = {name: [] for name in FLAT_TABLES}

    def add(self, table: str, n: int, values: tuple[str | None, ...]) -> None:
        self._rows[table].append({"n": n, **dict(zip(FLAT_TABLES[table], values, strict=True))})

    def as_json(self) -> list[str]:
        return [json.dumps(rows) for rows in self._rows.values()]


class FewResources:
    """Makes canonical rows of a few resources; safe to share between threads, one at a time.

    `declaration` says what the rows mean: time zone, currency, cost basis and code systems; `hospital` is as
    in `stage`.

    Everything is one prepared statement, since planning takes the engine longer by far than executing it: it
    plans anew what reads a table or a view. So no value of a resource may ever become part of its SQL.
    """

    def __init__(self, declaration: Declaration, hospital: str | None = None) -> None:
        self._declaration = declaration
        self._con = connect(threads=1, memory_limit_mb=_MEMORY_MB)
        self._lock = threading.Lock()
        self._con.execute(f"PREPARE few AS {_statement(self._con, declaration, hospital)}")
        fault_of({}, "Patient")  # loads the models now, not while somebody waits

    def rows(
        self,
        resources: Iterable[Found],
        answered: Collection[str] = (),
        incomplete: Collection[str] = (),
    ) -> PatientRows:
        """The rows of the resources. Types in `answered` were asked for: without a resource there is none.

        Of the types in `incomplete` not all came: what they feed is unknown, be it a table or what a stay
        cost; patients and stays are made of what there is, and rows of other stays are left out, not broken.

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
        values = ", ".join(literal(rows) for rows in taken.as_json())
        with self._lock:
            joined = self._con.execute(f"EXECUTE few({values})")
            names = [column[0] for column in joined.description]
            result: dict[str, Any] = dict(zip(names, joined.fetchall()[0], strict=True))
        refuse_differing((one["type"], one["n"]) for one in result["differing"] or ())
        held = held_tables(reading, result["found"].__getitem__, incomplete)
        judged = {name: result[name] or [] for name in held}
        if {*incomplete} & {*SOURCES["charges"]}:
            judged["stays"] = [row | dict.fromkeys(_AMOUNTS) for row in judged["stays"]]
        faults = {(one["type"], one["id"]): one["fault"] for one in result["faults"] or ()}
        # Whose stay may be among those that did not come is in no error.
        excused = {"unknown_stay"} if "Encounter" in incomplete else set()
        broken = {
            name: tuple(row for row in _broken(name, rows, faults) if row.reason not in excused)
            for name, rows in judged.items()
        }
        left_out = result["left_out"]
        return PatientRows(
            {name: [_kept(row) for row in rows if row["_reason"] is None] for name, rows in judged.items()},
            {one["id"]: one["stay"] for one in result["stay_of"] or ()},
            {name: rows for name, rows in broken.items() if rows},
            (*reading.notes(), *version_notes(left_out["older"], left_out["again"])),
        )


def _kept(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "_reason"}


def _broken(name: str, rows: Rows, faults: Mapping[tuple[str, object], str]) -> Iterator[BrokenRow]:
    key = {"patients": "patient_id", "stays": "stay_id"}.get(name, "")
    for row in rows:
        if row["_reason"] is not None:
            status = row["status"] if name == "stays" else None
            yield BrokenRow(
                str(row["_reason"]),
                faults.get((name, row.get(key)), ""),
                None if status is None else str(status),
            )


def _statement(data: duckdb.DuckDBPyConnection, declaration: Declaration, hospital: str | None) -> str:
    """SQL whose parameters are the rows of the flat tables as JSON; it answers with one row."""
    raw = joined_sql() | written_sql(declaration.time_zone, hospital)
    tables = [table for name, table in TABLES.items() if name in raw]
    kinds = _types(data, raw, tables)
    relations = {
        f"every_{name}": f"SELECT unnest(from_json(${place}::VARCHAR, '{types}'), recursive := true)"
        for place, (name, types) in enumerate(_TYPES.items(), start=1)
    } | raw
    for table in tables:
        relations[f"raw_{table.name}"] = f"SELECT *, row_number() OVER () AS _row FROM {table.name}"
        columns = typed_columns(table, kinds[table.name], declaration.time_zone)
        relations[f"typed_{table.name}"] = _typed(table.name, columns)
        relations |= verdicts(table, f"typed_{table.name}", declaration)
    found = ", ".join(f"'{what}': EXISTS ({rows})" for what, rows in FOUND.items())
    answers = {
        **{table.name: _judged(table) for table in tables},
        "stay_of": "SELECT list({'id': id, 'stay': CASE WHEN is_stay THEN owner_id END}) FROM belongs",
        "differing": f"SELECT list(t) FROM ({DIFFERING}) t",
        "faults": f"SELECT list(t) FROM ({_FAULTS}) t",
        "left_out": f"SELECT t FROM ({LEFT_OUT}) t",
        "found": f"SELECT {{{found}}}",
    }
    chain = ",\n".join(f"{name} AS MATERIALIZED ({sql})" for name, sql in relations.items())
    return f"WITH {chain} SELECT {', '.join(f'({sql}) AS {name}' for name, sql in answers.items())}"


def _types(
    data: duckdb.DuckDBPyConnection, raw: Mapping[str, str], tables: Iterable[Table]
) -> dict[str, dict[str, str]]:
    """The types of the columns of every table as its query gives them."""
    nothing = {
        f"every_{name}": f"SELECT unnest(from_json('[]', '{types}'), recursive := true)"
        for name, types in _TYPES.items()
    }
    chain = ", ".join(f"{name} AS ({sql})" for name, sql in (nothing | dict(raw)).items())
    return {
        table.name: {
            row[0]: row[1]
            for row in data.execute(f"DESCRIBE WITH {chain} SELECT * FROM {table.name}").fetchall()
        }
        for table in tables
    }


def _typed(name: str, columns: Iterable[TypedColumn]) -> str:
    """SQL of the raw rows with declared types; each value is worked out once."""
    columns = list(columns)
    values = [f'{column.value} AS "{column.name}"' for column in columns]
    doubtful = [column.name for column in columns if column.present]
    values += [f'{column.present} AS "_{column.name}"' for column in columns if column.present]
    cases = [f"""WHEN "_{one}" IS NOT NULL AND "{one}" IS NULL THEN '{one}'""" for one in doubtful]
    unreadable = f"CASE {' '.join(cases)} END" if cases else "NULL::VARCHAR"
    return (
        f"SELECT {_listed(column.name for column in columns)}, _row, {unreadable} AS _unreadable "
        f"FROM (SELECT {', '.join(values)}, _row FROM raw_{name})"
    )


def _judged(table: Table) -> str:
    """SQL of the list of all rows of a table in the order of their keys, with the rule that each broke."""
    names = [column.name for column in table.columns]
    order = _listed(table.key or names)
    rows = (
        f"SELECT {_listed(names, 't.')}, b.reason AS _reason FROM typed_{table.name} t "
        f"LEFT JOIN bad_{table.name} b ON t._row = b._row"
    )
    return f"SELECT list(r ORDER BY {order}) FROM ({rows}) r"


def _listed(names: Iterable[str], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in names)
