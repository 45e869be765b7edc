"""Bands and percentiles: a prediction's place among those of the calibration slice."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Band = Literal["low", "medium", "high"]
BANDS: tuple[Band, ...] = ("low", "medium", "high")
CUT_QUANTILES = (0.70, 0.90)
N_PERCENTILES = 101


def cut_points(values: NDArray[np.float64]) -> tuple[float, float]:
    """The two cuts between low, medium and high: the 70th and 90th percentile of `values`."""
    low, high = np.quantile(values, CUT_QUANTILES)
    return float(low), float(high)


def bands_of(values: NDArray[np.float64], cuts: tuple[float, float]) -> list[str]:
    """The band of each value; a value on a cut belongs to the lower band."""
    return [BANDS[place] for place in np.searchsorted(np.asarray(cuts), values, side="left")]


def percentile_grid(values: NDArray[np.float64]) -> tuple[float, ...]:
    """The 0th, 1st … 100th percentile of `values`."""
    return tuple(float(value) for value in np.quantile(values, np.linspace(0, 1, N_PERCENTILES)))


def percentiles_of(values: NDArray[np.float64], grid: tuple[float, ...]) -> NDArray[np.float64]:
    """The place of each value in the grid, 0 to 1; the middle of the places where the grid is flat."""
    points, first, count = np.unique(np.asarray(grid), return_index=True, return_counts=True)
    places = (first + (count - 1) / 2) / (len(grid) - 1)
    return np.asarray(np.interp(values, points, places), dtype=np.float64)
