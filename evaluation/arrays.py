"""What every measure needs of its arrays: checked inputs, weights, weighted means and medians.

Weights are the currency of this package. A weight of 2 means "this row twice", so no row is ever copied.
The public functions take one vector of weights, or None for all ones. Inside the package weights belong to
patients and are a matrix with one row per resample: see `evaluation.patients`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Vector = Any
"""One value per row: a list, an array or a pandas Series, nullable ones included."""

Measures = dict[str, FloatArray]
Measure = Callable[[npt.NDArray[Any]], Measures]
"""From weights [resamples, patients] to named values, one per resample; NaN where a value is undefined."""


def numbers(values: Vector, name: str, *, finite: bool = True) -> FloatArray:
    """The values as floats.

    Raises ValueError with counts if there are none, or some are missing or (unless allowed) infinite.
    """
    series = pd.Series(values)
    n_missing = int(series.isna().sum())
    if n_missing:
        raise ValueError(
            f"{name}: {n_missing} of {len(series)} values are missing. Leave those rows out first."
        )
    if series.empty:
        raise ValueError(f"{name}: no rows to evaluate.")
    result: FloatArray = series.to_numpy(dtype=np.float64)
    n_infinite = int(np.isinf(result).sum())
    if finite and n_infinite:
        raise ValueError(f"{name}: {n_infinite} of {len(result)} values are infinite.")
    return result


def labels(values: Vector) -> FloatArray:
    """Outcomes as 0.0 or 1.0. Raises ValueError with the count of missing or other values."""
    result = numbers(values, "label")
    n_other = int(((result != 0) & (result != 1)).sum())
    if n_other:
        raise ValueError(f"label: {n_other} of {len(result)} values are neither 0 nor 1.")
    return result


def probabilities(values: Vector) -> FloatArray:
    """Predicted probabilities. Raises ValueError with the count of values outside 0 to 1."""
    result = numbers(values, "probability")
    n_outside = int(((result < 0) | (result > 1)).sum())
    if n_outside:
        raise ValueError(f"probability: {n_outside} of {len(result)} values lie outside 0 to 1.")
    return result


def same_length(**columns: Any) -> int:
    """The number of rows that all columns share. Raises ValueError naming each length if they differ."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("columns differ in length: " + ", ".join(f"{k} {v}" for k, v in lengths.items()))
    return next(iter(lengths.values()))


def one_resample(weights: Vector | None, n: int) -> FloatArray:
    """Weights as a matrix of one row; None is all ones. Raises ValueError if negative or all zero."""
    if weights is None:
        return np.ones((1, n))
    result = numbers(weights, "weights")
    same_length(weights=result, rows=range(n))
    if (result < 0).any() or not result.any():
        raise ValueError("weights: none may be negative and at least one must be positive.")
    return result[np.newaxis, :]


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Numerator ÷ denominator; NaN where the denominator is not positive."""
    result = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def mean(weights: FloatArray, values: FloatArray) -> FloatArray:
    """The weighted mean of the values, one per resample."""
    return ratio(weights @ values, weights.sum(axis=1))


def sums_by_bin(bins: IntArray, weights: FloatArray, *columns: FloatArray) -> list[FloatArray]:
    """Per bin the sum of weights, then the weighted sum of each column; bins without weight are left out."""
    totals = [np.bincount(bins, weights * column) for column in (np.ones(len(bins)), *columns)]
    return [total[totals[0] > 0].astype(np.float64) for total in totals]


def quantile_bins(values: FloatArray, weights: FloatArray, n_bins: int) -> IntArray:
    """The bin 0 … n_bins − 1 of every value, cut at weighted quantiles.

    Equal values share a bin, so that there may be fewer bins than asked for, and of unequal size.
    """
    shares = np.arange(1, n_bins) / n_bins
    edges = np.quantile(values, shares, weights=weights, method="inverted_cdf")
    return np.searchsorted(np.unique(edges), values, side="left").astype(np.int64)
