"""Measured values in one unit: what a code of an observation means, and how its unit is converted.

The measures, their codes and the factor of every spelling of a unit are dated files in
`features/codes`. A value in a unit that they do not hold, or beyond the plausible range of its measure, is
not used: never guessed, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import pandas as pd

from features.rule_files import rule_rows

LOOKBACK_DAYS = 365
"""How far before an admission the values of a measure that looks back count."""

# The micro sign and the Greek letter are two characters that look alike.
_SPELLING = str.maketrans({"\u00b5": "u", "\u03bc": "u", "^": "*", "\u00d7": "x"})
_TEN = ("x10*", "10e", "x10e", "*10*")

MEASURE_FLAG_COLUMNS = {
    "code": "str",
    "unit": "str",
    "measure": "int16",
    "factor": "float64",
    "shift": "float64",
    "minimum": "float64",
    "maximum": "float64",
    "lookback_days": "int32",
}


@dataclass(frozen=True)
class Measure:
    """A laboratory analyte or an instrument with its canonical unit and its range of plausible values.

    `number` is its place in the file, by which records are told apart. `looks_back`: values of the year
    before an admission count too. `better` says which end of an instrument is the better one.
    """

    number: int
    name: str
    label: str
    kind: Literal["laboratory", "instrument"]
    unit: str
    minimum: float
    maximum: float
    looks_back: bool
    better: Literal["", "lower", "higher"]
    source: str


@dataclass(frozen=True)
class _Conversion:
    """`value * factor + shift` is the value in the canonical unit."""

    factor: float
    shift: float


def _rows(name: str) -> list[dict[str, str]]:
    return rule_rows(Path(__file__).with_name(name))


MEASURES: dict[str, Measure] = {
    row["measure"]: Measure(
        number=number,
        name=row["measure"],
        label=row["label"],
        kind=row["kind"],  # type: ignore[arg-type]
        unit=row["unit"],
        minimum=float(row["minimum"]),
        maximum=float(row["maximum"]),
        looks_back=row["looks_back"] == "1",
        better=row["better"],  # type: ignore[arg-type]
        source=row["source"],
    )
    for number, row in enumerate(_rows("measures_2025.csv"), start=1)
}
_MEANT_BY = {
    row["code"]: (MEASURES[row["measure"]], row["units_of"]) for row in _rows("measure_codes_2025.csv")
}
_CONVERSIONS = {
    (row["units_of"], row["unit"]): _Conversion(float(row["factor"]), float(row["shift"]))
    for row in _rows("measure_units_2025.csv")
}


def codes_of(measure: str) -> tuple[str, ...]:
    """The codes that mean a measure, in the order of the file."""
    return tuple(code for code, (meant, _) in _MEANT_BY.items() if meant.name == measure)


def codes_of_measures() -> frozenset[str]:
    """The codes, in upper case, of which features use the values."""
    return frozenset(_MEANT_BY)


def measure_flags(pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """The measure of every distinct (code, unit) that is known, with its conversion; others have no row.

    Columns `code` and `unit` as given, `measure` (its number), `factor`, `shift`, `minimum` and `maximum` in
    the canonical unit, `lookback_days`.
    """
    return pd.DataFrame(measure_rows(pairs), columns=list(MEASURE_FLAG_COLUMNS)).astype(MEASURE_FLAG_COLUMNS)


def measure_rows(pairs: Iterable[tuple[str, str]]) -> list[tuple[str | float, ...]]:
    """The rows of `measure_flags`, without a table."""
    found: list[tuple[str | float, ...]] = []
    for code, unit in sorted(set(pairs)):
        measure, conversion = measure_of(code), _conversion(code, unit)
        if measure is not None and conversion is not None:
            days = LOOKBACK_DAYS if measure.looks_back else 0
            limits = (measure.minimum, measure.maximum, days)
            found.append((code, unit, measure.number, conversion.factor, conversion.shift, *limits))
    return found


def measure_of(code: str) -> Measure | None:
    """The measure that a code of an observation means; None where features use none."""
    meant = _MEANT_BY.get(code.strip().upper())
    return meant[0] if meant else None


# Bounded: codes and units come from outside.
@lru_cache(maxsize=10_000)
def _conversion(code: str, unit: str) -> _Conversion | None:
    meant = _MEANT_BY.get(code.strip().upper())
    return _CONVERSIONS.get((meant[1], _spelled(unit))) if meant else None


def _spelled(unit: str) -> str:
    """A unit in lower case without spaces, micro as u, powers of ten as 10*n."""
    spelled = unit.lower().replace(" ", "").translate(_SPELLING)
    for ten in _TEN:
        if spelled.startswith(ten):
            return "10*" + spelled.removeprefix(ten)
    return spelled
