"""The section with table 1: who the patients of each slice are, and whether the slices are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from features.page import table
from models.measures import percent
from models.words import plain_words, target_name, unit_of_feature
from training.report.parts import Evidence, Section, not_done, section, text

INDENT = "\N{EM SPACE}"
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
    currency = evidence.currency
    rows = []
    for row in found["rows"]:
        rows.append([_row_name(row, currency), *_cells(row, len(columns)), _difference(row)])
        if any(share is None or share > 0 for share in row.get("missing") or ()):
            rows.append([f"{INDENT}without a value", *map(_share_or_few, row["missing"]), ""])
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
            ["characteristic", *names, "difference"],
            rows,
        ),
        text(f"Standardised differences tell whether the test is like what the model learned from. {note}"),
    )


def _row_name(row: Mapping[str, Any], currency: str) -> str:
    if row.get("level") is not None:
        return f"{INDENT}{plain_words(str(row['level']))}"
    label = row["label"]
    # The outcome's row is named by its target.
    if row["feature"].startswith("label_"):
        label = f"Outcome: {target_name(label.removeprefix('Outcome: '))}"
    unit = (
        f", {unit_of_feature(row['unit'], currency)}"
        if row.get("unit") and row["statistic"] != "share"
        else ""
    )
    return f"{label}{unit}, {row['statistic']}"


def _cells(row: Mapping[str, Any], n_columns: int) -> list[str]:
    if row.get("withheld"):
        return [f"withheld: {row['withheld']}", *[""] * (n_columns - 1)]
    digits = _digits(row["cells"])
    return [_cell(cell, digits) for cell in row["cells"]]


def _digits(cells: Sequence[Mapping[str, Any] | None]) -> int:
    """Decimals of all numbers of a line: none of counts, else as many as the largest calls for."""
    numbers = [abs(value) for cell in cells if cell and "share" not in cell for value in cell.values()]
    if all(number == round(number) for number in numbers):
        return 0
    return next((n for least, n in ((100, 0), (10, 1)) if max(numbers) >= least), 2)


def _cell(cell: Mapping[str, Any] | None, digits: int) -> str:
    if cell is None:
        return ""
    if "share" in cell:
        return f"{cell['n']:,} ({percent(cell['share'])})"
    told = {name: f"{value:,.{digits}f}" for name, value in cell.items()}
    if "mean" in cell:
        return f"{told['mean']} ({told['sd']})"
    return f"{told['median']} ({told['q1']}–{told['q3']})"


def _share_or_few(share: float | None) -> str:
    return "few" if share is None else percent(share)


def _difference(row: Mapping[str, Any]) -> str:
    return "" if row.get("difference") is None else f"{row['difference'] + 0.0:.3f}"
