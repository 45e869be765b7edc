"""A table's columns as arrays, made once for all models that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Rows are turned in parts, so that a large data set never stands twice in memory.
PART_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of n rows by name: numbers side by side, and what holds words (or nothing at all) apart.

    `numbers` [rows, columns] holds NaN where a value is missing, `place` each name's column in it. `words`
    are the others as they came. A column without any value stands in both: it may be of either kind.
    """

    n_rows: int
    numbers: NDArray[np.float64]
    place: Mapping[str, int]
    words: Mapping[str, pd.Series]

    @staticmethod
    def of(frame: pd.DataFrame, names: Sequence[str] | None = None) -> Columns:
        """The columns of these names that the table has; by default all."""
        words: dict[str, pd.Series] = {}
        numeric, empty = [], []
        wanted = frame if names is None else frame[[name for name in names if name in frame.columns]]
        for name, dtype in zip(wanted.columns, wanted.dtypes, strict=True):
            if dtype.kind in "fiub":
                numeric.append(name)
                continue
            column = words[name] = wanted[name]
            if column.isna().all():
                empty.append(name)
        numbers = np.full((len(frame), len(numeric) + len(empty)), np.nan)
        of_numbers = wanted[numeric]
        for start in range(0, len(frame), PART_ROWS):
            rows = slice(start, start + PART_ROWS)
            part = of_numbers.iloc[rows].to_numpy(dtype=np.float64, na_value=np.nan)
            numbers[rows, : len(numeric)] = part
        place = {name: number for number, name in enumerate([*numeric, *empty])}
        return Columns(len(frame), numbers, place, words)

    @staticmethod
    def of_arrays(columns: Mapping[str, NDArray[np.float64] | Sequence[str | None]], n_rows: int) -> Columns:
        """Columns that are arrays of numbers or lists of words already, as a request has them."""
        words = {
            name: pd.Series([*column], dtype=object)
            for name, column in columns.items()
            if not isinstance(column, np.ndarray)
        }
        numeric = [name for name in columns if name not in words]
        empty = [name for name in words if not any(columns[name])]
        numbers = np.full((n_rows, len(numeric) + len(empty)), np.nan)
        for number, name in enumerate(numeric):
            numbers[:, number] = columns[name]
        place = {name: number for number, name in enumerate([*numeric, *empty])}
        return Columns(n_rows, numbers, place, words)

    def n_missing(self) -> dict[str, int]:
        """How many rows lack a value, by column."""
        counts = np.isnan(self.numbers).sum(axis=0).tolist()
        in_words = {name: int(column.isna().sum()) for name, column in self.words.items()}
        return {name: counts[number] for name, number in self.place.items()} | in_words

    def __len__(self) -> int:
        return self.n_rows

    def __contains__(self, name: str) -> bool:
        return name in self.place or name in self.words


Table: TypeAlias = pd.DataFrame | Columns
"""Rows that a model can predict."""
