"""Intervals of amounts: conformalized quantile regression on their logarithm.

Source: Romano, Patterson, Candès: Conformalized quantile regression. NeurIPS 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.units import Unit

SMALLEST: dict[Unit, float] = {"money": 0.01, "days": 0.5}
"""An amount of nothing has no logarithm: it counts as the smallest coin, or as half a day."""


@dataclass(frozen=True)
class Interval:
    """How far the two quantile boosters' ends move apart, on the log scale, to cover `level` of the amounts.

    None means no finite end: too few calibration rows for the level. A negative offset draws the ends
    together.
    """

    level: float
    low_offset: float | None
    high_offset: float | None

    @property
    def quantiles(self) -> tuple[float, float]:
        """The quantiles that the two boosters estimate."""
        return (1 - self.level) / 2, 1 - (1 - self.level) / 2

    def ends(
        self, low_log: NDArray[np.float64], high_log: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both ends as amounts, low <= high; without a finite end 0 and infinity."""
        low = np.zeros_like(low_log) if self.low_offset is None else np.exp(low_log - self.low_offset)
        if self.high_offset is None:
            high = np.full_like(high_log, np.inf)
        else:
            high = np.exp(high_log + self.high_offset)
        return np.minimum(low, high), np.maximum(low, high)


def log_amount(amount: NDArray[np.float64], unit: Unit) -> NDArray[np.float64]:
    """Natural logarithm of amounts, never of less than the smallest one of their unit."""
    return np.asarray(np.log(np.maximum(amount, SMALLEST[unit])), dtype=np.float64)


def conformal_offset(score: NDArray[np.float64], level: float) -> float | None:
    """The score that holds rank ceil((n + 1) * level) of n; None where that rank lies beyond n.

    >>> conformal_offset(np.array([0.3, -0.1, 0.2, 0.5]), 0.8)
    0.5
    """
    # The rounding keeps 0.8 * 10 from becoming rank 9 for the sake of the last bit.
    rank = math.ceil(round((len(score) + 1) * level, 9))
    return None if rank > len(score) else float(np.sort(score)[rank - 1])


def conformalize(
    low_log: NDArray[np.float64],
    high_log: NDArray[np.float64],
    actual: NDArray[np.float64],
    unit: Unit,
    *,
    level: float,
) -> Interval:
    """Fit the offsets on the calibration slice's raw amounts, with the symmetric score of the source."""
    logged = log_amount(actual, unit)
    offset = conformal_offset(np.maximum(low_log - logged, logged - high_log), level)
    return Interval(level=level, low_offset=offset, high_offset=offset)
