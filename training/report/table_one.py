"""The section with table 1: who the patients of each slice are, and whether the slices are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.page import table
from training.report.parts import Evidence, Section, not_done, section, text
from training.report.words import number, percent

NOTABLE = 0.1
"""A standardised difference beyond which two groups are commonly called different."""


def characteristics(evidence: Evidence) -> Section:
    """Table 1 with the standardised differences of test and development."""
    found = evidence.results.get("table_one")
    title = "Characteristics (table 1)"
    if not found:
        return section("table-one", title, not_done("characteristics were not recorded"))
    columns = found["columns"]
    names = [
        f"{c['label']} (n {c['n']:,}" + (f", {c['n_events']:,} with the outcome)" if "n_events" in c else ")")
        for c in columns
    ]
    rows = [
        [_row_name(row), *_cells(row, len(columns)), _missing_cell(row), _difference(row)]
        for row in found["rows"]
    ]
    different = [
        row["label"]
        for row in found["rows"]
        if abs(row.get("difference") or 0.0) > NOTABLE and not row["level"]
    ]
    note = f"Beyond {NOTABLE:g}: {', '.join(different)}." if different else f"None is beyond {NOTABLE:g}."
    return section(
        "table-one",
        title,
        table(
            "By slice and by outcome; difference: standardised, test against training and calibration",
            ["characteristic", *names, "missing (by column)", "difference"],
            rows,
        ),
        text(f"Standardised differences tell whether the test is like what the model learned from. {note}"),
    )


def _row_name(row: Mapping[str, Any]) -> str:
    if row.get("level") is not None:
        return f"\N{EM SPACE}{row['level']}"
    unit = f", {row['unit']}" if row.get("unit") and row["statistic"] != "share" else ""
    return f"{row['label']}{unit}, {row['statistic']}"


def _cells(row: Mapping[str, Any], n_columns: int) -> list[str]:
    if row.get("withheld"):
        return [f"withheld: {row['withheld']}", *[""] * (n_columns - 1)]
    return [_cell(cell) for cell in row["cells"]]


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    if "share" in cell:
        return f"{cell['n']:,} ({percent(cell['share'])})"
    if "mean" in cell:
        return f"{number(cell['mean'])} ({number(cell['sd'])})"
    return f"{number(cell['median'])} ({number(cell['q1'])}–{number(cell['q3'])})"


def _missing_cell(row: Mapping[str, Any]) -> str:
    shares = row.get("missing")
    if not shares or not any(share is None or share > 0 for share in shares):
        return "" if shares is None else "none"
    return " · ".join("few" if share is None else f"{share:.0%}" for share in shares)


def _difference(row: Mapping[str, Any]) -> str:
    return number(row["difference"]) if "difference" in row else ""
