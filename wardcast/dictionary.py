"""What the data mean: every feature and every canonical table, for people, programs and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wardcast.console import show_table


def dictionary_document() -> list[dict[str, Any]]:
    """Every feature's declaration as JSON."""
    from features.catalogue import CATALOGUE, FAMILY_OF

    columns = (
        "label",
        "type",
        "unit",
        "minimum",
        "maximum",
        "available_from",
        "description",
        "source",
        "tables",
        "optional",
        "calendar",
        "raises",
        "lowers",
    )
    return [
        {"name": name, "family": FAMILY_OF[name]} | {column: getattr(feature, column) for column in columns}
        for name, feature in CATALOGUE.items()
    ]


def show_dictionary() -> None:
    """Every feature, one line each."""
    for family, features in _by_family().items():
        rows = [
            [f["name"], f["type"], f["unit"], _range(f), f["available_from"], _marks(f), f["description"]]
            for f in features
        ]
        title = f"{family[0].upper()}{family[1:]}"
        show_table(title, ["name", "type", "unit", "range", "known from", "mark", "meaning"], rows)


def dictionary_markdown() -> str:
    """The page `docs/dictionary.md`."""
    lines = [
        "# Data dictionary",
        "",
        "Made by `wardcast dictionary --markdown`. A feature is missing where its value is unknown.",
        "An *optional* feature is not built by default; a *calendar* feature reads the date or the clock.",
        "One that *raises* or *lowers* a target is held to it: with all else the same, a rising value never",
        "moves the risk, or the typical amount that is explained, the other way.",
    ]
    for family, features in _by_family().items():
        lines += [
            "",
            f"## {family[0].upper()}{family[1:]}",
            "",
            "| name | type | unit | range | known from | mark | meaning | source |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for feature in features:
            cells = (
                f"`{feature['name']}`",
                feature["type"],
                feature["unit"],
                _range(feature),
                feature["available_from"],
                _marks(feature),
                feature["description"],
                feature["source"],
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_family() -> dict[str, list[dict[str, Any]]]:
    families: dict[str, list[dict[str, Any]]] = {}
    for feature in dictionary_document():
        families.setdefault(feature["family"], []).append(feature)
    return families


def _marks(feature: Mapping[str, Any]) -> str:
    marks = [mark for mark in ("optional", "calendar") if feature[mark]]
    marks += [f"{way} {' and '.join(feature[way])}" for way in ("raises", "lowers") if feature[way]]
    return ", ".join(marks)


def _range(feature: Mapping[str, Any]) -> str:
    if feature["type"] == "flag":
        return "0 or 1"
    return _span(feature["minimum"], feature["maximum"])


def tables_document() -> list[dict[str, Any]]:
    """Every canonical table with its columns as JSON."""
    from features.tables import TABLES

    return [
        {
            "name": table.name,
            "meaning": table.meaning,
            "required": table.required,
            "key": table.key,
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "required": column.required,
                    "allowed": column.allowed,
                    "minimum": column.minimum,
                    "maximum": column.maximum,
                    "meaning": column.meaning,
                }
                for column in table.columns
            ],
        }
        for table in TABLES.values()
    ]


_COLUMNS_OF_A_TABLE = ["column", "type", "required", "allowed values", "meaning"]


def show_tables() -> None:
    """Every canonical table, one line a column."""
    for table in tables_document():
        show_table(_title(table), _COLUMNS_OF_A_TABLE, [_cells(column) for column in table["columns"]])


def tables_markdown() -> str:
    """The page `docs/tables.md`."""
    lines = [
        "# Canonical tables",
        "",
        "Made by `wardcast tables --markdown`. A required table must be in every data set; a required column",
        "must be in its table's file and hold a value in every row. What is not required may be left out, so",
        "may diagnoses where `dataset.toml` declares no code system for them.",
        "",
        "What the types mean:",
        "",
        *(f"- `{name}`: {meaning}" for name, meaning in _TYPES.items()),
    ]
    for table in tables_document():
        key = ", ".join(f"`{name}`" for name in table["key"])
        lines += ["", f"## {_title(table)}", ""]
        lines += [f"Key: {key}.", ""] if key else []
        lines += [f"| {' | '.join(_COLUMNS_OF_A_TABLE)} |", f"|{'---|' * len(_COLUMNS_OF_A_TABLE)}"]
        for column in table["columns"]:
            name, *cells = _cells(column)
            lines.append(f"| {' | '.join((f'`{name}`', *cells))} |")
    return "\n".join(lines) + "\n"


_TYPES = {
    "text": "any text; an identifier is an opaque text",
    "integer": "a whole number",
    "number": "a number",
    "money": "an amount in the data set's currency, with two decimals",
    "date": "a day, `2025-12-31`",
    "instant": "local wall time, `2025-12-31 14:05:00`",
    "flag": "true or false",
}


def _title(table: Mapping[str, Any]) -> str:
    return f"{table['name']}: {table['meaning']}{' (required)' if table['required'] else ''}"


def _cells(column: Mapping[str, Any]) -> list[str]:
    allowed = ", ".join(column["allowed"]) or _span(column["minimum"], column["maximum"])
    return [column["name"], column["type"], "yes" if column["required"] else "", allowed, column["meaning"]]


def _span(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f"{'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'}".strip()
