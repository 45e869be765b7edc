"""From a data set's rows to the matrix that a booster reads, in the order that the model remembers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UserError
from models.columns import Columns, Table


class EncodingError(UserError):
    """A table lacks what the model reads; the message says what and what to do."""


@dataclass(frozen=True)
class FeatureSpec:
    """One input of a model, as the model itself remembers it.

    `type` is integer, number, flag or category; `levels` are a category's known levels, whose place is
    the number that the booster sees. `is_fact` marks a feature that the extract supplied ready-made.
    """

    name: str
    label: str
    type: str
    unit: str
    available_from: str
    is_fact: bool
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Oddity:
    """Values of one feature that the model cannot use: `is_odd` marks the rows, `meaning` says why."""

    feature: str
    meaning: str
    is_odd: NDArray[np.bool_]

    def __str__(self) -> str:
        return f"{self.feature}: {self.meaning}; treated as missing"


def encode(table: Table, specs: Sequence[FeatureSpec]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the matrix of `specs` [rows, features], and a warning for each feature with unusable values.

    A category becomes its level's place; missing and unknown levels become NaN. The order of columns
    comes from `specs` alone. Raises EncodingError if a column is absent (a fact may be: it is missing).
    """
    matrix, oddities = encode_rows(table, specs)
    return matrix, [f"{oddity} in {int(oddity.is_odd.sum())} of {len(table)} rows" for oddity in oddities]


def encode_rows(table: Table, specs: Sequence[FeatureSpec]) -> tuple[NDArray[np.float64], list[Oddity]]:
    """As `encode`, with the rows that each warning is about."""
    columns = table if isinstance(table, Columns) else Columns.of(table, [spec.name for spec in specs])
    absent = [spec.name for spec in specs if spec.name not in columns]
    required = [spec.name for spec in specs if spec.name in absent and not spec.is_fact]
    if required:
        raise EncodingError(
            f"features: {len(required)} of the model's {len(specs)} columns are absent "
            f"({', '.join(required[:5])}). Build the rows with the model's own version of wardcast."
        )
    n_rows = len(columns)
    matrix = np.full((n_rows, len(specs)), np.nan)
    everywhere = np.ones(n_rows, dtype=bool)
    oddities = [Oddity(name, "not supplied", everywhere) for name in absent] if n_rows else []
    places, found = [], []
    for place, spec in enumerate(specs):
        if spec.type == "category" and spec.name in columns:
            matrix[:, place], is_odd = _codes(columns, spec)
            meaning = "a level that the model does not know"
        elif spec.name in columns.place:
            places.append(place)
            found.append(columns.place[spec.name])
            continue
        elif spec.name in columns.words:
            # Text in a number's column would fail elsewhere with the value in the error message.
            matrix[:, place], is_odd = _as_numbers(columns.words[spec.name])
            meaning = "not a number"
        else:
            continue
        if is_odd.any():
            oddities.append(Oddity(spec.name, meaning, is_odd))
    matrix[:, places] = columns.numbers[:, found]
    return matrix, oddities


def _as_numbers(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers, np.isnan(numbers) & column.notna().to_numpy(dtype=bool)


def _codes(columns: Columns, spec: FeatureSpec) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if spec.name not in columns.words:
        # Numbers are no levels.
        there = ~np.isnan(columns.numbers[:, columns.place[spec.name]])
        return np.full(len(columns), np.nan), there
    column = columns.words[spec.name]
    codes = level_places(column, spec.levels)
    is_unknown = np.isnan(codes)
    if is_unknown.any():
        is_unknown &= column.notna().to_numpy(dtype=bool)
    return codes, is_unknown


def level_places(column: pd.Series, levels: tuple[str, ...]) -> NDArray[np.float64]:
    """Each value's place among the levels; NaN where it is missing or none of them."""
    place = {level: float(index) for index, level in enumerate(levels)}
    if isinstance(column.dtype, pd.CategoricalDtype):
        # The last one is for the code -1, which is missing.
        places = np.array([*(place.get(level, np.nan) for level in column.cat.categories), np.nan])
        return places[column.cat.codes.to_numpy()]
    values = column.tolist()
    return np.fromiter((place.get(value, np.nan) for value in values), np.float64, len(values))


def levels_of(matrix: NDArray[np.float64], specs: Sequence[FeatureSpec], name: str) -> NDArray[np.object_]:
    """Each row's level of the category `name`; None where it is not known, or no feature of the model."""
    found = np.full(len(matrix), None, dtype=object)
    for place, spec in enumerate(specs):
        if spec.name == name and spec.type == "category":
            is_known = ~np.isnan(matrix[:, place])
            found[is_known] = np.array(spec.levels, dtype=object)[matrix[is_known, place].astype(np.intp)]
    return found


def booster_names(specs: Sequence[FeatureSpec]) -> list[str]:
    """The names that the booster's text carries: its format takes no spaces or quotes in them."""
    plain = re.compile(r"[A-Za-z_]\w*", re.ASCII)
    return [
        spec.name if plain.fullmatch(spec.name) else f"feature_{place}" for place, spec in enumerate(specs)
    ]
