"""Table 1: the characteristics of the rows by slice and by outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.groups import SMALLEST_N
from models.encoding import FeatureSpec
from training.counts import FEWEST_ROWS, digits, is_few, rounded, told_shares
from training.description.differences import Sides, category_difference, difference
from training.split import Rows, Split
from training.targets import Target

MOST_FEATURES, MOST_LEVELS = 25, 8
"""Of table 1."""
QUARTERS = (0.25, 0.5, 0.75)
SKEWED = 1.0
"""From this skewness on, median and quartiles tell more than mean and standard deviation."""
FIRST = ("age_years", "sex", "payer", "admission_type", "admission_department", "n_stays_prior_365d")
"""What a reader looks for first, where the model reads it; the other features follow in the order given."""
OTHER = "other levels"
Columns = Mapping[str, Rows]


def table_one(
    frame: pd.DataFrame, target: Target, split: Split, specs: Sequence[FeatureSpec]
) -> dict[str, Any]:
    """Characteristics of the rows by slice and by outcome, as `columns` and `rows`.

    Columns: name, label, n (and n_events of a risk); one of fewer than 50 rows is left out. An amount is
    split at its median. Rows: the outcome, then features, the ones of `FIRST` before the others in the order
    of `specs`, 25 at most. A row has feature, label, unit, level, statistic, cells (one a column), missing
    (shares; None for 1 to 9 rows with or without a value, and then all counts of the feature are rounded)
    and difference: the standardised difference of development (training and calibration) and test, over 0.1
    commonly called notable. Statistics: `mean (sd)`, `median (quartiles)` of
    skewed values, `share` of a flag, and of each `level` of a category below the category's own row. A
    statistic that rests on fewer than 10 rows in a column, or on all but fewer than 10, is `withheld`.

    Sources: Austin, Statistics in Medicine 2009;28:3083–3107; for categories Yang and Dalton, SAS Global
    Forum 2012, paper 335.
    """
    label = target.labels(frame)
    columns = _columns(target, split, label)
    documents: list[dict[str, Any]] = []
    for name, (words, rows) in columns.items():
        is_slice = target.kind == "risk" and name not in ("with", "without")
        events = {"n_events": int(label[rows].sum())} if is_slice else {}
        documents.append({"name": name, "label": words, "n": len(rows), **events})
    places = {name: rows for name, (_, rows) in columns.items()}
    development = np.concatenate([split.training, split.calibration])
    sides = (development, split.test) if len(split.test) >= SMALLEST_N else None
    chosen = sorted(specs, key=lambda spec: FIRST.index(spec.name) if spec.name in FIRST else len(FIRST))
    outcome_type = "flag" if target.kind == "risk" else "number"
    unit = {"probability": "", "money": "currency", "days": "days"}[target.unit]
    outcome = FeatureSpec(target.label, f"Outcome: {target.name}", outcome_type, unit, "", False)
    table = [_numbers(outcome, label, places, sides)]
    for spec in chosen[:MOST_FEATURES]:
        if spec.type == "category":
            table += _category(spec, frame[spec.name], places, sides)
        else:
            values = frame[spec.name].to_numpy(dtype=np.float64, na_value=np.nan)
            table.append(_numbers(spec, values, places, sides))
    return {"columns": documents, "rows": table}


def _columns(target: Target, split: Split, label: NDArray[np.float64]) -> dict[str, tuple[str, Rows]]:
    everyone = np.concatenate([split.training, split.calibration, split.test])
    if target.kind == "risk":
        words, is_high = ("With the outcome", "Without"), label[everyone] == 1
    else:
        words = ("Above the median amount", "Up to the median")
        is_high = label[everyone] > np.median(label[everyone])
    found = {
        "training": ("Training", split.training),
        "calibration": ("Calibration", split.calibration),
        "test": ("Test", split.test),
        "with": (words[0], everyone[is_high]),
        "without": (words[1], everyone[~is_high]),
    }
    return {name: column for name, column in found.items() if len(column[1]) >= SMALLEST_N}


def _numbers(
    spec: FeatureSpec, values: NDArray[np.float64], columns: Columns, sides: Sides | None
) -> dict[str, Any]:
    known = {name: values[rows][~np.isnan(values[rows])] for name, rows in columns.items()}
    everything = np.concatenate(list(known.values()))
    is_flag = spec.type == "flag" or bool(np.isin(everything, (0, 1)).all())
    missing = _missing({name: len(found) for name, found in known.items()}, columns)
    row = {**_named(spec), "level": None, "missing": missing}
    if is_flag:
        parts = [(int(found.sum()), len(found)) for found in known.values()]
        # Each column's rows with and without: either may be the few.
        is_rare = any(is_few(n) or is_few(n_known - n) for n, n_known in parts)
        cells: list[Any] = [_share(n, [n_known - n], missing) for n, n_known in parts]
        row |= {"statistic": "share"}
    else:
        is_rare = any(is_few(len(found)) for found in known.values())
        # Quartiles that are all the same tell nothing: most rows of a rare count are 0.
        is_skewed = _skewness(everything) > SKEWED and len(np.unique(np.quantile(everything, QUARTERS))) > 1
        cells = [(_quartiles(found) if is_skewed else _mean(found)) for found in known.values()]
        row |= {"statistic": "median (quartiles)" if is_skewed else "mean (sd)"}
    if is_rare:
        return {**row, "withheld": f"fewer than {FEWEST_ROWS} rows", "cells": [None] * len(columns)}
    return {**row, "cells": cells, "difference": difference(values, sides)}


def _category(
    spec: FeatureSpec, values: pd.Series, columns: Columns, sides: Sides | None
) -> Iterator[dict[str, Any]]:
    levels = values.astype("category").cat
    codes = levels.codes.to_numpy()
    counts = {
        name: np.bincount(codes[rows][codes[rows] >= 0], minlength=len(levels.categories))
        for name, rows in columns.items()
    }
    table = pd.DataFrame(counts, index=[str(level) for level in levels.categories])
    # The most frequent first; among equals the name decides.
    order = np.lexsort((table.index, -table.sum(axis=1)))
    table = table.iloc[order]
    # A level of none of these rows belongs to rows elsewhere: not even its name is told.
    table = table[table.sum(axis=1) > 0]
    shown = _shown(table)
    missing = _missing({name: int(table[name].sum()) for name in columns}, columns)
    # Levels that are not shown share the last place; missing stays missing.
    place_of = np.full(len(levels.categories) + 1, float(len(shown)))
    place_of[order[: len(shown)]] = range(len(shown))
    place_of[-1] = np.nan
    row = {**_named(spec), "statistic": "share", "level": None, "missing": missing}
    if not shown:
        yield {**row, "withheld": f"levels of fewer than {FEWEST_ROWS} rows", "cells": [None] * len(columns)}
        return
    yield {
        **row,
        "cells": [None] * len(columns),
        "difference": category_difference(place_of[codes], sides),
    }
    kept = table.iloc[: len(shown)]
    rest = table.iloc[len(shown) :].sum()
    rows = [*kept.iterrows(), *([(OTHER, rest)] if rest.sum() else [])]
    for place, (level, n_rows) in enumerate(rows):
        others = [other for number, (_, other) in enumerate(rows) if number != place]
        cells = [
            _share(int(n_rows[name]), [int(other[name]) for other in others], missing) for name in columns
        ]
        yield {**_named(spec), "statistic": "share", "level": str(level), "cells": cells}


def _shown(table: pd.DataFrame) -> list[str]:
    """The levels that are shown by name: none has 1 to 9 rows in a column, nor have the others together."""
    n_shown = MOST_LEVELS
    is_small = ((table > 0) & (table < FEWEST_ROWS)).any(axis=1).to_numpy()
    if is_small.any():
        n_shown = min(n_shown, int(np.argmax(is_small)))
    while n_shown:
        rest = table.iloc[n_shown:].sum()
        if not ((rest > 0) & (rest < FEWEST_ROWS)).any():
            break
        n_shown -= 1
    return list(table.index[:n_shown])


def _named(spec: FeatureSpec) -> dict[str, str]:
    return {"feature": spec.name, "label": spec.label, "unit": spec.unit}


def _missing(n_known: Mapping[str, int], columns: Columns) -> list[float | None]:
    n_rows = [len(rows) for rows in columns.values()]
    return told_shares([len(rows) - n_known[name] for name, rows in columns.items()], n_rows)


def _share(n: int, others: Sequence[int], missing: Sequence[float | None]) -> dict[str, float | None]:
    """A cell of `n` rows beside those of the other levels; rounded where few rows lack the value."""
    if None in missing:
        n, others = rounded(n), [rounded(other) for other in others]
    n_known = n + sum(others)
    return {"n": n, "share": digits(n / n_known) if n_known else None}


def _mean(values: NDArray[np.float64]) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"mean": digits(values.mean()), "sd": digits(values.std(ddof=1))}


def _quartiles(values: NDArray[np.float64]) -> dict[str, float] | None:
    if not len(values):
        return None
    q1, median, q3 = (digits(value) for value in np.quantile(values, QUARTERS))
    return {"median": median, "q1": q1, "q3": q3}


def _skewness(values: NDArray[np.float64]) -> float:
    """The absolute third standardised moment; 0 where all values are the same."""
    spread = float(values.std()) if len(values) else 0.0
    return abs(float((((values - values.mean()) / spread) ** 3).mean())) if spread > 0 else 0.0
