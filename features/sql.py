"""Pieces of SQL that several files spell."""

from __future__ import annotations

from glob import escape
from pathlib import Path

DAY_US = 24 * 60 * 60 * 1_000_000
"""A day in microseconds, the unit of `epoch_us`."""


def literal(value: str | Path) -> str:
    """A text, or the place of a file, as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(column: str) -> str:
    """A column's name as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def read_from(place: Path, files: str = "") -> str:
    """A file, or the `files` (a pattern) of a folder, as an SQL literal for the engine's readers.

    The engine takes every name for a pattern: unescaped, `ward[1].csv` would read `ward1.csv`.
    """
    return literal(Path(escape(str(place))) / files)


def parquet_rows(place: Path, files: str = "", *, numbered: bool = False) -> str:
    """SQL of the rows of a Parquet file, or of the `files` (a pattern) of a folder.

    `numbered` adds `file_row_number`, from 0. Folders above may be named like columns (`bucket=0`): they say
    nothing of the rows.
    """
    number = "file_row_number = true, " if numbered else ""
    return f"read_parquet({read_from(place, files)}, {number}hive_partitioning = false)"


def age_years(at: str, birth_date: str) -> str:
    """SQL of the completed years of age at an instant."""
    return f"date_part('year', age({at}::DATE, {birth_date}))::INTEGER"
