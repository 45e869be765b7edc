"""Pieces of SQL that several files spell."""

from __future__ import annotations

from pathlib import Path


def literal(value: str | Path) -> str:
    """A text, or the place of a file, as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(column: str) -> str:
    """A column's name as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def age_years(at: str, birth_date: str) -> str:
    """SQL of the completed years of age at an instant."""
    return f"date_part('year', age({at}::DATE, {birth_date}))::INTEGER"
