"""The published layouts: which column of the front page means what, and what the values of its lists mean.

`layout_<year>.csv` lists every column of a layout in its published order: `column`, `meaning`, the `field`
that it is read as (empty: it is not read), its `position` where a field repeats, the value list (`values`)
and the year of the first layout that has it (`since`). `values_<year>.csv` and `charges_<year>.csv` say what
codes and items of costs become. To add a layout, add its file: no code names a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from features.rule_files import rule_rows
from features.tables import TableError

REQUIRED = ("record_number", "stay_number", "admitted_at", "discharged_at", "sex", "diagnosis_1")
"""Fields without which no stay can be told, beside the hospital and an age."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Layout:
    """One published layout. `fields`: column in lower case → the field that it is read as, "" for none."""

    name: str
    fields: Mapping[str, str]
    titles: Mapping[str, str]

    def columns_of(self, header: Sequence[str]) -> dict[str, str]:
        """The fields that a file with this header holds → its columns, in lower case."""
        known = (column for column in header if self.fields.get(column))
        return {self.fields[column]: column for column in known}

    def n_known(self, header: Sequence[str]) -> int:
        """How many columns of a header the layout has."""
        return sum(column in self.fields for column in header)

    def column_of(self, field: str) -> str:
        """The column of a field, as the layout spells it, with its meaning."""
        return next(self.titles[column] for column, found in self.fields.items() if found == field)


@dataclass(frozen=True)
class Charge:
    """An item of the costs: the field that holds it and the category that it becomes."""

    field: str
    category: str


@cache
def layouts() -> dict[str, Layout]:
    """Every layout by the year of its name, the oldest first."""
    files = sorted(_FOLDER.glob("layout_*.csv"))
    return {file.stem.removeprefix("layout_"): _layout(file) for file in files}


@cache
def value_lists() -> dict[str, dict[str, str]]:
    """Name of a value list → code → what it becomes."""
    lists: dict[str, dict[str, str]] = {}
    for row in rule_rows(_FOLDER / "values_2021.csv"):
        lists.setdefault(row["list"], {})[row["code"]] = row["value"]
    return lists


@cache
def charges() -> tuple[Charge, ...]:
    """The items of the costs; parts of other items, which are not added twice, are not among them."""
    return tuple(Charge(row["field"], row["category"]) for row in rule_rows(_FOLDER / "charges_2021.csv"))


@cache
def all_fields() -> tuple[str, ...]:
    """Every field that some layout has, in a fixed order."""
    return tuple(
        dict.fromkeys(field for layout in layouts().values() for field in layout.fields.values() if field)
    )


def fitting(header: Sequence[str], *, wanted: str | None, has_hospital: bool) -> Layout:
    """The layout that knows most of a file's columns, given in lower case; `wanted` names it instead.

    Layouts that would read the columns alike are no matter of choice: the oldest of them is taken. Raises
    TableError if two would read them differently, or if what no stay can do without is missing.
    """
    known = layouts()
    if wanted is not None and wanted not in known:
        raise TableError(f"No layout of the front page has this name. Choose one of: {', '.join(known)}.")
    able = [known[wanted]] if wanted else list(known.values())
    most = max(layout.n_known(header) for layout in able)
    if not most:
        raise TableError("is no front page: none of its columns is one of the layout's. Leave it out.")
    best = [layout for layout in able if layout.n_known(header) == most]
    if any(layout.columns_of(header) != best[0].columns_of(header) for layout in best):
        names = ", ".join(layout.name for layout in best)
        raise TableError(f"fits the layouts {names} equally well. Name the right one with the option layout.")
    missing = _missing(best[0], header, has_hospital=has_hospital)
    if missing:
        raise TableError(
            f"is no front page that can be read: of the layout {best[0].name}, which fits it best, these "
            f"columns are missing: {', '.join(missing)}. Add them, or name another layout with the option "
            "layout."
        )
    return best[0]


def _missing(layout: Layout, header: Sequence[str], *, has_hospital: bool) -> list[str]:
    found = layout.columns_of(header)
    missing = [layout.column_of(field) for field in REQUIRED if field not in found]
    if "birth_date" not in found and "age_years" not in found:
        missing.append(f"{layout.column_of('birth_date')} or {layout.column_of('age_years')}")
    if "hospital" not in found and not has_hospital:
        missing.append(f"{layout.column_of('hospital')}, which the option hospital can give instead")
    return missing


def _layout(file: Path) -> Layout:
    fields, titles = {}, {}
    for row in rule_rows(file):
        column = row["column"].lower()
        fields[column] = "_".join(part for part in (row["field"], row["position"]) if part)
        titles[column] = f"{row['column']} ({row['meaning']})"
    return Layout(file.stem.removeprefix("layout_"), fields, titles)
