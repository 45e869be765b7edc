"""The price index table that costs are deflated by: given by the user, dated by year."""

from __future__ import annotations

import csv
from pathlib import Path

from features.errors import UserError

PriceIndex = tuple[tuple[int, float], ...]
"""The index of each year, in the order of the years; only ratios between years matter."""


class PriceIndexError(UserError):
    """A price index table cannot be used; the message says where and why."""


def read_price_index(path: Path) -> PriceIndex:
    """Read a CSV file with the columns `year` and `index`; further columns, such as `source`, are for people.

    Raises PriceIndexError if the file is not readable, lacks a column, or holds a year twice, a year that is
    none, or an index that is not above 0.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PriceIndexError(f"{path}: not readable as CSV in UTF-8 ({type(error).__name__}).") from error
    index: dict[int, float] = {}
    for line, row in enumerate(rows, start=2):
        try:
            year, value = int(row["year"]), float(row["index"])
        except (KeyError, TypeError, ValueError) as error:
            raise PriceIndexError(
                f"{path}: line {line}: no whole number in `year` or no number in `index`. "
                "Write a header `year,index` and one line a year."
            ) from error
        if year in index or not 1900 <= year <= 2200 or not 0 < value < float("inf"):
            raise PriceIndexError(
                f"{path}: line {line}: a year occurs once, with an index above 0. Correct the line."
            )
        index[year] = value
    if not index:
        raise PriceIndexError(f"{path}: no year there. Write a header `year,index` and one line a year.")
    return tuple(sorted(index.items()))
