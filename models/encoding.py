"""From a data set's rows to the matrix that a booster reads, in the order that the model remembers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UserError

# Rows are turned in parts, so that a large data set never stands twice in memory.
PART_ROWS = 65_536


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


def encode(frame: pd.DataFrame, specs: Sequence[FeatureSpec]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the matrix of `specs` [rows, features], and a warning for each feature with unusable values.

    A category becomes its level's place; missing and unknown levels become NaN. The order of columns
    comes from `specs` alone. Raises EncodingError if a column is absent (a fact may be: it is missing).
    """
    matrix, oddities = encode_rows(frame, specs)
    return matrix, [f"{oddity} in {int(oddity.is_odd.sum())} of {len(frame)} rows" for oddity in oddities]


def encode_rows(
    frame: pd.DataFrame, specs: Sequence[FeatureSpec]
) -> tuple[NDArray[np.float64], list[Oddity]]:
    """As `encode`, with the rows that each warning is about."""
    absent = [spec.name for spec in specs if spec.name not in frame.columns]
    required = [spec.name for spec in specs if spec.name in absent and not spec.is_fact]
    if required:
        raise EncodingError(
            f"features: {len(required)} of the model's {len(specs)} columns are absent "
            f"({', '.join(required[:5])}). Build the rows with the model's own version of wardcast."
        )
    n_rows = len(frame)
    matrix = np.full((n_rows, len(specs)), np.nan)
    everywhere = np.ones(n_rows, dtype=bool)
    oddities = [Oddity(name, "not supplied", everywhere) for name in absent] if n_rows else []
    present = [(place, spec) for place, spec in enumerate(specs) if spec.name not in absent]
    oddities += _fill_numbers(matrix, frame, [item for item in present if item[1].type != "category"])
    for place, spec in present:
        if spec.type == "category":
            matrix[:, place], is_unknown = _codes(frame[spec.name], spec.levels)
            if is_unknown.any():
                oddities.append(Oddity(spec.name, "a level that the model does not know", is_unknown))
    return matrix, oddities


def _fill_numbers(
    matrix: NDArray[np.float64], frame: pd.DataFrame, items: list[tuple[int, FeatureSpec]]
) -> list[Oddity]:
    places, names = [place for place, _ in items], [spec.name for _, spec in items]
    if not items:
        return []
    columns, oddities = frame[names], []
    # Text in a number's column would fail below with the value in the error message.
    for name, dtype in zip(names, columns.dtypes, strict=True):
        if dtype.kind not in "fiub":
            as_number = pd.to_numeric(columns[name], errors="coerce").astype("float64")
            is_unreadable = (as_number.isna() & columns[name].notna()).to_numpy()
            columns = columns.assign(**{name: as_number})
            if is_unreadable.any():
                oddities.append(Oddity(name, "not a number", is_unreadable))
    for start in range(0, len(frame), PART_ROWS):
        rows = slice(start, start + PART_ROWS)
        matrix[rows, places] = columns.iloc[rows].to_numpy(dtype=np.float64, na_value=np.nan)
    return oddities


def _codes(column: pd.Series, levels: tuple[str, ...]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    codes = level_places(column, levels)
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
