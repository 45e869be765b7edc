"""Predictive distributions of amounts: one shape of residuals, moved and stretched for each row.

The logarithm of an amount is `raw + spread * residual`: `raw` is the output of the explained booster,
`spread` how far admissions like this one scatter, by a second booster, and the residuals are those of the
calibration slice. Expected amount, interval and the chance of more than a threshold are read off the one
distribution.

Sources: Vovk et al., Machine Learning 2019;108:445–474 (conformal predictive distributions); Papadopoulos et
al., ECML 2002, 345–356 (residuals normalised by a model of their size); Duan, J Am Stat Assoc
1983;78:605–610 (smearing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.units import Unit

SMALLEST: dict[Unit, float] = {"money": 0.01, "days": 0.5}
"""An amount of nothing has no logarithm: it counts as the smallest coin, or as half a day."""
_TAIL = (0.001, 0.002, 0.005)
LEVELS = (*_TAIL, *(percent / 100 for percent in range(1, 100)), *(1 - level for level in reversed(_TAIL)))
"""At which the distribution is kept: every hundredth, and finer in the tails."""
N_SPREADS = 33
"""Points of the curve of smearing factors, over the spreads of the calibration slice."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """The residuals of the calibration slice, as numbers.

    `residuals` are their quantiles at `LEVELS`, each within the observed ones: beyond the outermost nothing
    is known. `low` and `high` are the two that hold `level` of new residuals between them (None: too few rows
    for a finite end). `factors` are the mean of exp(spread * residual) at the rising `spreads`; both are
    empty where the explained booster estimates the logarithm of the mean itself. `log_rescaling` makes the
    expected amounts of the calibration slice agree with the actual ones in sum: truncation of the training
    amounts loses mean, and so does what the one shape of residuals cannot show.
    """

    level: float
    low: float | None
    high: float | None
    residuals: tuple[float, ...]
    spreads: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    log_rescaling: float = 0.0

    def problems(self) -> dict[str, bool]:
        """What must hold of the numbers, in words of what is wrong, and whether it does."""
        return {
            "its interval has an impossible level": 0 < self.level < 1,
            f"its residuals are not {len(LEVELS)} rising values": len(self.residuals) == len(LEVELS)
            and list(self.residuals) == sorted(self.residuals),
            "its interval ends before it begins": self.low is None
            or self.high is None
            or self.low <= self.high,
            "its smearing factors are not one positive number for each rising spread": len(self.spreads)
            == len(self.factors)
            and list(self.spreads) == sorted(self.spreads)
            and min(self.factors, default=1.0) > 0,
        }

    def expected(self, raw: Numbers, spread: Numbers) -> Numbers:
        """The mean amount, rescaled."""
        return np.asarray(np.exp(raw + self.log_rescaling) * self.smearing(spread))

    def smearing(self, spread: Numbers) -> Numbers:
        """The mean ÷ exp(raw) at each spread; 1 where the booster estimates the mean itself.

        Beyond the spreads of the calibration slice the factor stays as it is at their ends.
        """
        if not self.spreads:
            return np.ones_like(spread)
        return np.asarray(np.exp(np.interp(spread, self.spreads, np.log(self.factors))))

    def interval(self, raw: Numbers, spread: Numbers) -> tuple[Numbers, Numbers]:
        """Both ends of the interval as amounts; without a finite end 0 and infinity."""
        low = np.zeros_like(raw) if self.low is None else np.exp(raw + spread * self.low)
        high = np.full_like(raw, np.inf) if self.high is None else np.exp(raw + spread * self.high)
        return low, high

    def quantiles(self, raw: Numbers, spread: Numbers) -> Numbers:
        """The amounts at `LEVELS`, rising [rows, levels]."""
        return np.asarray(np.exp(raw[:, None] + spread[:, None] * np.asarray(self.residuals)))

    def probability_below(self, amount: Numbers, raw: Numbers, spread: Numbers, unit: Unit) -> Numbers:
        """The chance of no more than `amount`, from the first to the last of `LEVELS`: never 0 or 1.

        Between the levels it rises evenly. Equal residuals share the middle of their levels.
        """
        place = (log_amount(amount, unit) - raw) / spread
        points, first, count = np.unique(np.asarray(self.residuals), return_index=True, return_counts=True)
        levels = np.asarray(LEVELS)
        return np.asarray(np.interp(place, points, (levels[first] + levels[first + count - 1]) / 2))


def log_amount(amount: Numbers, unit: Unit) -> Numbers:
    """Natural logarithm of amounts, never of less than the smallest one of their unit."""
    return np.asarray(np.log(np.maximum(amount, SMALLEST[unit])), dtype=np.float64)


def fit_distribution(
    raw: Numbers, spread: Numbers, actual: Numbers, unit: Unit, *, level: float, smears: bool
) -> Distribution:
    """The distribution of the calibration slice's residuals.

    `smears` says that exp(raw) is not the mean, so that the mean is taken from the distribution.
    """
    residual = np.sort((log_amount(actual, unit) - raw) / spread)
    low, high = conformal_ends(residual, level)
    spreads, factors = _smearing_curve(residual, spread) if smears else ((), ())
    # A quantile of n + 1 exchangeable residuals, of which the new one is one.
    quantiles = np.quantile(residual, LEVELS, method="weibull")
    found = Distribution(level, low, high, tuple(quantiles.tolist()), spreads, factors)
    total, expected = float(actual.sum()), float(found.expected(raw, spread).sum())
    # Amounts of nothing at all leave nothing to rescale by.
    return replace(found, log_rescaling=math.log(total / expected)) if total > 0 else found


def conformal_ends(residual: Numbers, level: float) -> tuple[float | None, float | None]:
    """The rising residuals at rank floor((n + 1) * tail) and ceil((n + 1) * (1 - tail)); None beyond them.

    `tail` is half of what `level` leaves. A new residual falls below, or above, with at most this chance.

    >>> conformal_ends(np.array([-2.0, -1.0, -0.5, 0.0, 0.1, 0.2, 0.5, 1.0, 3.0]), 0.8)
    (-2.0, 3.0)
    """
    n, tail = len(residual), (1 - level) / 2
    # The rounding keeps 0.1 * 10 from becoming rank 0 for the sake of the last bit.
    low, high = math.floor(round((n + 1) * tail, 9)), math.ceil(round((n + 1) * (1 - tail), 9))
    return (
        float(residual[low - 1]) if low >= 1 else None,
        float(residual[high - 1]) if high <= n else None,
    )


def _smearing_curve(residual: Numbers, spread: Numbers) -> tuple[tuple[float, ...], tuple[float, ...]]:
    spreads = np.unique(np.quantile(spread, np.linspace(0, 1, N_SPREADS)))
    factors = [float(np.exp(one * residual).mean()) for one in spreads]
    return tuple(spreads.tolist()), tuple(factors)
