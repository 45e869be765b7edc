"""What the rows of a model are like: flow, table 1, missing values, base rates, importance.

Pure functions that make parts of the results document. No count in them is of 1 to 9 rows: rare levels are
put together or withheld, in every column alike, and where another small count is withheld, the counts beside
it are rounded (`training.counts`), so that subtraction finds it only roughly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.groups import SMALLEST_N, too_small
from features.flow import FlowStep
from models.encoding import FeatureSpec
from training.counts import FEWEST_ROWS, digits, is_few, rounded, told_shares
from training.split import Rows, Split, settled_rows
from training.targets import Target

MOST_FEATURES, MOST_LEVELS = 25, 8
"""Of table 1."""
QUARTERS = (0.25, 0.5, 0.75)
SKEWED = 1.0
"""From this skewness on, median and quartiles tell more than mean and standard deviation."""
FIRST = ("age_years", "sex", "payer", "admission_type", "admission_department", "n_stays_prior_365d")
"""What a reader looks for first, where the model reads it; the other features follow in the order given."""
OTHER = "other levels"
PERIODS = ("training", "calibration", "test")
Columns = Mapping[str, Rows]


def describe(
    steps: Sequence[FlowStep],
    frame: pd.DataFrame,
    target: Target,
    split: Split,
    specs: Sequence[FeatureSpec],
    contributions: NDArray[np.float64],
) -> dict[str, Any]:
    """`flow`, `table_one`, `missingness`, `base_rate` and `importance` of the results of training.

    `contributions` [rows, features] are of some judged rows, in the order of `specs`.
    """
    strongest = importance(specs, contributions)
    by_name = {spec.name: spec for spec in specs}
    return {
        "flow": flow(steps),
        "table_one": table_one(frame, target, split, [by_name[entry["feature"]] for entry in strongest]),
        "missingness": missingness(frame, split, specs),
        "base_rate": base_rate(frame, target, split),
        "importance": strongest,
    }


def flow(steps: Sequence[FlowStep]) -> list[dict[str, Any]]:
    """The cohort flow as plain values: step, meaning, n; who leaves counts below zero.

    Where a step is of 1 to 9, every count is rounded to full tens and `is_rounded`; those few are told as
    "at most" 10.
    """
    if not any(is_few(step.n) for step in steps):
        return [asdict(step) for step in steps]
    return [
        {
            "step": step.step,
            "meaning": f"{step.meaning} (at most)" if is_few(step.n) else step.meaning,
            "n": int(math.copysign(FEWEST_ROWS, step.n)) if is_few(step.n) else rounded(step.n),
            "is_rounded": True,
        }
        for step in steps
    ]


def importance(specs: Sequence[FeatureSpec], contributions: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Mean absolute contribution of each feature over some rows [rows, features], largest first.

    On the model's own scale: log-odds, log money or log days. It tells what the model leans on, not what
    causes the outcome.
    """
    means = np.abs(contributions).mean(axis=0)
    return [
        {
            "feature": specs[place].name,
            "label": specs[place].label,
            "mean_abs_contribution": _short(means[place]),
        }
        for place in np.argsort(-means, kind="stable")
    ]


def missingness(frame: pd.DataFrame, split: Split, specs: Sequence[FeatureSpec]) -> list[dict[str, Any]]:
    """Share of rows without a value, in training and (where there is one) test, the largest first.

    None for 1 to 9 rows without a value, or with one; the other share is then of a rounded count. Features
    that every row of both slices has are left out.
    """
    slices = {"training": split.training, "test": split.test}
    slices = {name: rows for name, rows in slices.items() if len(rows)}
    n_rows = [len(rows) for rows in slices.values()]
    found: list[dict[str, Any]] = []
    for spec in specs:
        is_missing = frame[spec.name].isna().to_numpy()
        counts = [int(is_missing[rows].sum()) for rows in slices.values()]
        if any(counts):
            shares = dict(zip(slices, told_shares(counts, n_rows), strict=True))
            found.append({"feature": spec.name, "label": spec.label, **shares})
    return sorted(found, key=lambda entry: -max(entry[name] or 0.0 for name in slices))


def base_rate(frame: pd.DataFrame, target: Target, split: Split) -> list[dict[str, Any]]:
    """Rate of the outcome, or mean amount, by month of the prediction and period of the split.

    All rows whose outcome was settled when the data end count, also those that the split took out of training
    because their patient comes again: without them the rate would seem to jump where the test begins. A
    month of fewer than 50 rows, or 10 with or without the outcome, is `{"month", "slice", "reason"}`; where
    there is one, the others' `n` are rounded down to full 50 rows. Empty without a calendar.
    """
    if "test_from" not in split.facts:
        return []
    label, times = target.labels(frame), pd.to_datetime(frame["prediction_time"])
    has, _ = settled_rows(frame, target)
    label, times = label[has], times[has]
    begins = pd.to_datetime([split.facts["calibration_from"], split.facts["test_from"]])
    period = np.array(PERIODS)[np.searchsorted(begins, times, side="right")]
    months = times.dt.strftime("%Y-%m").to_numpy()
    found: list[dict[str, Any]] = []
    for (month, name), rows in pd.Series(range(len(label))).groupby([months, period]):
        values = label[rows.to_numpy()]
        reason = too_small(len(values), values if target.kind == "risk" else None)
        told: dict[str, Any] = {"n": len(values), "value": _short(values.mean())}
        if reason:
            told = {"reason": reason}
        found.append({"month": str(month), "slice": str(name), **told})
    found.sort(key=lambda entry: (entry["month"], PERIODS.index(entry["slice"])))
    if any("reason" in entry for entry in found):
        found = [
            entry | {"n": entry["n"] // SMALLEST_N * SMALLEST_N} if "n" in entry else entry for entry in found
        ]
    return found


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
    spec: FeatureSpec, values: NDArray[np.float64], columns: Columns, sides: tuple[Rows, Rows] | None
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
    return {**row, "cells": cells, "difference": _difference(values, sides)}


def _category(
    spec: FeatureSpec, values: pd.Series, columns: Columns, sides: tuple[Rows, Rows] | None
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
        "difference": _category_difference(place_of[codes], sides),
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
    return {"n": n, "share": _short(n / n_known) if n_known else None}


def _mean(values: NDArray[np.float64]) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"mean": _short(values.mean()), "sd": _short(values.std(ddof=1))}


def _quartiles(values: NDArray[np.float64]) -> dict[str, float] | None:
    if not len(values):
        return None
    q1, median, q3 = (_short(value) for value in np.quantile(values, QUARTERS))
    return {"median": median, "q1": q1, "q3": q3}


def _skewness(values: NDArray[np.float64]) -> float:
    """The absolute third standardised moment; 0 where all values are the same."""
    spread = float(values.std()) if len(values) else 0.0
    return abs(float((((values - values.mean()) / spread) ** 3).mean())) if spread > 0 else 0.0


def _difference(values: NDArray[np.float64], sides: tuple[Rows, Rows] | None) -> float | None:
    """Difference of means ÷ the root of the mean variance, test minus development."""
    if sides is None:
        return None
    first, second = (values[rows][~np.isnan(values[rows])] for rows in sides)
    if min(len(first), len(second)) < FEWEST_ROWS:
        return None
    spread = float(np.sqrt((first.var() + second.var()) / 2))
    return _short((second.mean() - first.mean()) / spread) if spread > 0 else 0.0


def _category_difference(codes: NDArray[np.float64], sides: tuple[Rows, Rows] | None) -> float | None:
    """Yang and Dalton: the distance of the two vectors of shares by their mean covariance, without sign."""
    if sides is None:
        return None
    known = [codes[rows][~np.isnan(codes[rows])].astype(int) for rows in sides]
    if min(len(found) for found in known) < FEWEST_ROWS:
        return None
    n_levels = int(max(found.max() for found in known)) + 1
    # The last level follows from the others.
    first, second = (np.bincount(found, minlength=n_levels)[:-1] / len(found) for found in known)
    covariance = sum(np.diag(shares) - np.outer(shares, shares) for shares in (first, second)) / 2
    gap = second - first
    return _short(np.sqrt(max(float(gap @ np.linalg.pinv(covariance) @ gap), 0.0)))


def _short(value: float) -> float:
    """Four digits: more would tell of rounding, or of single rows."""
    return digits(value, 4)
