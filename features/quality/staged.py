"""Staged tables: what a source adapter wrote, read as it is or with the declared types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import duckdb

from features.delimited import csv_to_parquet
from features.pseudonyms import HASHED_COLUMNS, pseudonym_sql
from features.sql import identifier, literal, parquet_rows
from features.tables import SQL_TYPES, Column, Table, TableError

CODED_TABLES = ("diagnoses", "procedures")
"""The tables whose `code` belongs to a code system and is stored upper case, without dots and spaces."""

_NUMERIC = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL.*|BOOLEAN")
_OFFSET = r":\d\d(\.\d+)? ?(Z|[+-]\d\d(:?\d\d)?)$"
_DATE_ALONE = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_DAY_BUT_A_MOMENT = "INTERVAL '23:59:59.999999'"
_STAY_TIMES = ("planned_admission_at", "admitted_at", "discharged_at")
"""Their dates are what counts: days between them, windows that start with one."""
_RESERVED = ("_row", "_unreadable", "file_row_number")
"""Names of columns that reading adds."""
_TRUE = "'true', 't', 'yes', 'y', '1', '1.0'"
_FALSE = "'false', 'f', 'no', 'n', '0', '0.0'"


@dataclass(frozen=True)
class Part:
    """One Parquet file of a staged table, made from the file `name` of the extract.

    `constants` are columns that its folder names (hive), `hashed` the SQL of those read as pseudonyms.
    """

    file: Path
    name: str
    constants: dict[str, str]
    types: dict[str, str]
    n_rows: int
    hashed: dict[str, str]

    def sql(self, columns: str, first_row: int) -> str:
        """SELECT the columns and `_row`, the row's number counted from `first_row`."""
        constants = "".join(
            f", {literal(value)} AS {identifier(name)}" for name, value in self.constants.items()
        )
        rows = f"SELECT *{constants} FROM {parquet_rows(self.file, numbered=True)}"
        if self.hashed:
            pseudonyms = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in self.hashed.items())
            rows = f"SELECT * REPLACE ({pseudonyms}) FROM ({rows})"
        return f"SELECT {columns}, file_row_number + {first_row} AS _row FROM ({rows})"


@dataclass(frozen=True)
class Staged:
    """A staged table with its parts in the order of their names. Rows are numbered from 1 over all parts.

    With `hash_ids` its identifiers are read as pseudonyms, and nothing that is not declared is read at all.
    """

    table: Table
    parts: tuple[Part, ...]
    hash_ids: bool = False

    @property
    def n_rows(self) -> int:
        """Rows in the extract."""
        return sum(part.n_rows for part in self.parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of any part, in order of appearance."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.types))

    def raw_sql(self) -> str:
        """Rows as they stand in the extract, with `_row`; with `hash_ids` the declared columns alone."""
        return self._union([", ".join(identifier(name) for name in self._kept(part)) for part in self.parts])

    def typed_sql(self, time_zone: str) -> str:
        """Rows with exactly the declared columns and types, `_row`, and `_unreadable`.

        `_unreadable`: the first column that holds a value that is not of its type (and reads as null);
        null where there is none. Empty text and not-a-number are null. Instants with an offset become local
        times of `time_zone`.
        """
        return self._union([self._typed_columns(part, time_zone) for part in self.parts])

    def unreadable_files(self, data: duckdb.DuckDBPyConnection) -> list[str]:
        """Names of the files whose content is damaged or not text in UTF-8: reads every value once."""
        damaged = []
        for part in self.parts:
            try:
                # A condition on every value that never holds: the engine may not skip a column.
                data.execute(f"SELECT count(*) FROM ({part.sql('*', 1)}) t WHERE hash(t) IS NULL").fetchall()
            except duckdb.Error as error:
                _raise_unless_damage(error)
                damaged.append(part.name)
        return damaged

    def _kept(self, part: Part) -> list[str]:
        return [name for name in part.types if not self.hash_ids or name.lower() in self.table.by_name]

    def _typed_columns(self, part: Part, time_zone: str) -> str:
        columns = typed_columns(self.table, part.types, time_zone)
        selected = ", ".join(f'{column.value} AS "{column.name}"' for column in columns)
        cases = " ".join(
            f"WHEN {column.present} IS NOT NULL AND {column.value} IS NULL THEN '{column.name}'"
            for column in columns
            if column.present
        )
        return f"{selected}, {f'CASE {cases} END' if cases else 'NULL::VARCHAR'} AS _unreadable"

    def _union(self, selections: list[str]) -> str:
        first, branches = 1, []
        for part, columns in zip(self.parts, selections, strict=True):
            branches.append(part.sql(columns, first))
            first += part.n_rows
        return " UNION ALL BY NAME ".join(branches)


@dataclass(frozen=True)
class TypedColumn:
    """SQL of a declared column: `value` with its type, null where `present`, as it stands, has another one.

    `present` is empty where nothing can be unreadable.
    """

    name: str
    value: str
    present: str = ""


def typed_columns(table: Table, types: Mapping[str, str], time_zone: str) -> list[TypedColumn]:
    """A table's declared columns from those that are there, by name and type."""
    lower = {name.lower(): kind for name, kind in types.items()}
    found = []
    for column in table.columns:
        kind = lower.get(column.name)
        if kind is None:
            found.append(TypedColumn(column.name, f"NULL::{SQL_TYPES[column.type]}"))
            continue
        present = _present(column.name, kind)
        value = _value(column, present, kind, time_zone)
        if column.name == "code" and table.name in CODED_TABLES:
            value = f"upper(replace(replace({value}, '.', ''), ' ', ''))"
        found.append(TypedColumn(column.name, value, "" if column.type == "text" else present))
    return found


def open_staged(
    data: duckdb.DuckDBPyConnection, table: Table, folder: Path, scratch: Path, *, hash_ids: bool = False
) -> Staged:
    """Open a staged table; CSV parts are turned into Parquet in `scratch` first, every value as text.

    With `hash_ids` the engine must have the key (`features.pseudonyms.use_key`).
    Raises TableError, with every unreadable file at once.
    """
    parts, problems = [], []
    files = sorted(file for kind in ("parquet", "csv") for file in folder.rglob(f"*.{kind}"))
    for number, file in enumerate(files):
        if not file.is_file():
            # A pipe would be waited for, and a link in a circle has no end.
            problems.append(f"{table.name}: {file.name} is no file, or a link to none. Replace or remove it.")
            continue
        try:
            source = file
            if file.suffix == ".csv":
                source = scratch / f"{table.name}.{number}.parquet"
                csv_to_parquet(data, file, source)
            parts.append(_open_part(data, table, source, file.relative_to(folder), file.resolve().name))
        except TableError as error:
            problems.append(f"{table.name}: file {file.resolve().name} {error}")
    if not files:
        problems.append(f"{table.name}: no Parquet or CSV file in its folder. Add one, or remove the folder.")
    if problems:
        raise TableError("\n".join(problems))
    if hash_ids:
        parts = [_hashed(part) for part in parts]
    return Staged(table, tuple(parts), hash_ids)


def _hashed(part: Part) -> Part:
    """The part with its identifiers as pseudonyms of the texts that they would else be read as."""
    kinds = {name: kind for name, kind in part.types.items() if name.lower() in HASHED_COLUMNS}
    hashed = {name: pseudonym_sql(_text(_present(name, kind))) for name, kind in kinds.items()}
    return replace(part, hashed=hashed, types=part.types | dict.fromkeys(kinds, "VARCHAR"))


def _raise_unless_damage(error: duckdb.Error) -> None:
    """A machine out of memory or an interrupt says nothing about the file."""
    if isinstance(error, (duckdb.OutOfMemoryException, duckdb.InterruptException)):
        raise error


def _open_part(data: duckdb.DuckDBPyConnection, table: Table, file: Path, place: Path, name: str) -> Part:
    try:
        described = data.execute(f"DESCRIBE SELECT * FROM {parquet_rows(file)}").fetchall()
        counted = data.execute(f"SELECT count(*) FROM {parquet_rows(file)}").fetchall()
    except duckdb.Error as error:
        _raise_unless_damage(error)
        # The engine's own message may quote the file's content.
        raise TableError("cannot be read as Parquet. Replace the file.") from None
    types: dict[str, str] = {row[0]: row[1] for row in described}
    reserved = [name for name in types if name.lower() in _RESERVED]
    if reserved:
        raise TableError(f"has a column named {reserved[0]}, which reading needs for itself. Rename it.")
    keys = (part.split("=", 1) for part in place.parts[:-1] if "=" in part)
    present = {name.lower() for name in types}
    constants = {
        name: unquote(value)
        for name, value in keys
        if name.lower() in table.by_name and name.lower() not in present
    }
    return Part(file, name, constants, types | dict.fromkeys(constants, "VARCHAR"), int(counted[0][0]), {})


def _present(name: str, kind: str) -> str:
    """The value as it stands; null where it is empty text or not a number."""
    if kind == "VARCHAR":
        return f"nullif(trim({identifier(name)}), '')"
    return f"nullif({identifier(name)}, 'nan'::{kind})" if kind in ("DOUBLE", "FLOAT") else identifier(name)


def _value(column: Column, present: str, kind: str, time_zone: str) -> str:
    """The value with its declared type, null where it cannot be read so."""
    if kind == SQL_TYPES[column.type] and column.type in ("text", "integer", "money", "flag"):
        return present
    number = present if _NUMERIC.fullmatch(kind) else f"CAST({present} AS VARCHAR)"
    match column.type:
        case "text":
            return _text(present)
        case "integer":
            double = f"TRY_CAST({number} AS DOUBLE)"
            # A cast alone would round 3.7 to 4.
            return f"CASE WHEN {double} = trunc({double}) THEN TRY_CAST({double} AS INTEGER) END"
        case "number":
            double = f"TRY_CAST({number} AS DOUBLE)"
            return f"CASE WHEN isfinite({double}) THEN {double} END"
        case "money":
            return f"TRY_CAST({number} AS {SQL_TYPES['money']})"
        case "flag":
            text = f"lower(CAST({present} AS VARCHAR))"
            return f"CASE WHEN {text} IN ({_TRUE}) THEN true WHEN {text} IN ({_FALSE}) THEN false END"
        case "date" | "instant":
            instant = _instant(present, kind, time_zone)
            if column.type == "instant" and column.name not in _STAY_TIMES:
                instant = _end_of_day(instant, present, kind)
            return f"CASE WHEN isfinite({instant}) THEN CAST({instant} AS {SQL_TYPES[column.type]}) END"


def _text(present: str) -> str:
    return f"nullif(trim(CAST({present} AS VARCHAR)), '')"


def _end_of_day(instant: str, present: str, kind: str) -> str:
    """A date without a time is known at the end of that day, not at its first minute."""
    if kind not in ("DATE", "VARCHAR"):
        return instant
    is_date = "true" if kind == "DATE" else f"regexp_full_match({present}, '{_DATE_ALONE}')"
    return f"({instant} + CASE WHEN {is_date} THEN {_DAY_BUT_A_MOMENT} ELSE INTERVAL 0 SECOND END)"


def _instant(present: str, kind: str, time_zone: str) -> str:
    """Local wall time; a text must begin with a four-digit year."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"({present} AT TIME ZONE {literal(time_zone)})"
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return f"TRY_CAST({present} AS TIMESTAMP)"
    text = f"CAST({present} AS VARCHAR)"
    return (
        f"CASE WHEN NOT regexp_matches({text}, '^\\d{{4}}[-/]') THEN NULL "
        f"WHEN regexp_matches({text}, '{_OFFSET}') "
        f"THEN TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE {literal(time_zone)} "
        f"ELSE TRY_CAST({text} AS TIMESTAMP) END"
    )


def missing_columns(staged: Staged) -> list[str]:
    """The required columns that no part, or not every part, of the table has."""
    parts: list[Mapping[str, str]] = [{name.lower(): "" for name in part.types} for part in staged.parts]
    return [
        column.name
        for column in staged.table.columns
        if column.required and any(column.name not in part for part in parts)
    ]
