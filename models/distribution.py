"""Predictive distributions of amounts: shapes of residuals, moved and stretched for each row.

The logarithm of an amount is `raw + spread * residual`: `raw` is the output of the explained booster,
`spread` how far admissions like this one scatter, by a second booster, and the residuals are those of the
calibration slice: of the row's own group where it has rows enough, else of everyone. Expected amount,
interval and the chance of more than a threshold are read off the one distribution.

Sources: Vovk et al., Machine Learning 2019;108:445–474 (conformal predictive distributions), and Vovk et al.,
Algorithmic learning in a random world, 2022, section 4.6 (by group: Mondrian); Papadopoulos et al., ECML
2002, 345–356 (residuals normalised by a model of their size); Duan, J Am Stat Assoc 1983;78:605–610
(smearing).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.units import Unit

SMALLEST: dict[Unit, float] = {"money": 0.01, "days": 0.5}
"""An amount of nothing has no logarithm: it counts as the smallest coin, or as half a day."""
_TAIL = (0.001, 0.002, 0.005)
LEVELS = (*_TAIL, *(percent / 100 for percent in range(1, 100)), *(1 - level for level in reversed(_TAIL)))
"""At which a distribution is kept: every hundredth, and finer in the tails."""
N_SPREADS = 33
"""Points of the curve of smearing factors, over the spreads of the calibration slice."""
FEWEST_GROUP_ROWS = 500
"""Of a shape of its own: each end of its interval is then known to about 1.3 % of the rows."""

Numbers = NDArray[np.float64]
Groups = NDArray[np.object_]
"""Each row's group by name; None where it is not known."""


@dataclass(frozen=True)
class Shape:
    """Residuals of calibration rows, as numbers.

    `residuals` are their quantiles at `LEVELS`, each within the observed ones: beyond the outermost nothing
    is known. `low` and `high` are the two that hold the interval's share of new residuals between them (None:
    too few rows for a finite end). `factors` are the mean of exp(spread * residual) at the rising `spreads`;
    both are empty where the explained booster estimates the logarithm of the mean itself.
    """

    low: float | None
    high: float | None
    residuals: tuple[float, ...]
    spreads: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()

    def problems(self) -> dict[str, bool]:
        """What would be wrong, in words, and whether it is right."""
        return {
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

    def smearing(self, spread: Numbers) -> Numbers:
        """The mean ÷ exp(raw) at each spread; 1 where the booster estimates the mean itself.

        Beyond the spreads of the calibration slice the factor stays as it is at their ends.
        """
        if not self.spreads:
            return np.ones_like(spread)
        return np.asarray(np.exp(np.interp(spread, self.spreads, np.log(self.factors))))

    def cumulative(self, residual: Numbers) -> Numbers:
        """The chance of no more than a residual, from the first to the last of `LEVELS`: never 0 or 1.

        Between the levels it rises evenly. Equal residuals share the middle of their levels.
        """
        points, first, count = np.unique(np.asarray(self.residuals), return_index=True, return_counts=True)
        levels = np.asarray(LEVELS)
        return np.asarray(np.interp(residual, points, (levels[first] + levels[first + count - 1]) / 2))


@dataclass(frozen=True)
class Distribution:
    """The shapes of the calibration slice: everyone's, and by name those of the levels of `group_feature`.

    `level` is the share that the interval promises to hold. `log_rescaling` makes the expected amounts of the
    calibration slice agree with the actual ones in sum: truncation of the training amounts loses mean, and so
    does what a shape cannot show.
    """

    level: float
    everyone: Shape
    group_feature: str = ""
    groups: dict[str, Shape] = field(default_factory=dict)
    log_rescaling: float = 0.0

    def problems(self) -> dict[str, bool]:
        """What would be wrong, in words, and whether it is right."""
        found = {"its interval has an impossible level": 0 < self.level < 1}
        for shape in (self.everyone, *self.groups.values()):
            for problem, is_right in shape.problems().items():
                found[problem] = found.get(problem, True) and is_right
        return found

    def of(self, raw: Numbers, spread: Numbers, group: Groups, unit: Unit) -> Amounts:
        """The distributions of rows."""
        return Amounts(self, unit, raw, spread, group)


@dataclass(frozen=True, eq=False)
class Amounts:
    """The predictive distributions of n rows, by `raw` output, `spread` and `group` of each."""

    distribution: Distribution
    unit: Unit
    raw: Numbers
    spread: Numbers
    group: Groups

    @property
    def expected(self) -> Numbers:
        """The mean of each row's distribution, rescaled."""
        smearing = self._by_shape(lambda shape, rows: shape.smearing(self.spread[rows]))
        return np.asarray(np.exp(self.raw + self.distribution.log_rescaling) * smearing)

    @property
    def interval(self) -> tuple[Numbers, Numbers]:
        """Both ends of each row's interval; without a finite end 0 and infinity."""
        low = self._by_shape(lambda shape, rows: self._end(shape.low, rows, 0.0))
        high = self._by_shape(lambda shape, rows: self._end(shape.high, rows, np.inf))
        return low, high

    def _end(self, residual: float | None, rows: NDArray[np.intp], without: float) -> Numbers:
        if residual is None:
            return np.full(len(rows), without)
        return np.asarray(np.exp(self.raw[rows] + self.spread[rows] * residual))

    def quantiles(self, rows: slice = slice(None)) -> Numbers:
        """The amounts at `LEVELS` of these rows, rising [rows, levels]: all of them take 840 bytes a row."""
        part = replace(self, raw=self.raw[rows], spread=self.spread[rows], group=self.group[rows])
        found = np.empty((len(part.raw), len(LEVELS)))
        for shape, places in part._shapes():
            stretched = part.spread[places, None] * np.asarray(shape.residuals)
            found[places] = np.exp(part.raw[places, None] + stretched)
        return found

    def probability_above(self, threshold: Numbers | float) -> Numbers:
        """The chance of more than the threshold, one for all or one for each row: 0.001 to 0.999."""
        wanted = np.broadcast_to(np.asarray(threshold, dtype=np.float64), self.raw.shape)
        residual = (log_amount(wanted, self.unit) - self.raw) / self.spread
        return 1 - self._by_shape(lambda shape, rows: shape.cumulative(residual[rows]))

    def _by_shape(self, of: Callable[[Shape, NDArray[np.intp]], Numbers]) -> Numbers:
        found = np.empty(len(self.raw))
        for shape, rows in self._shapes():
            found[rows] = of(shape, rows)
        return found

    def _shapes(self) -> Iterator[tuple[Shape, NDArray[np.intp]]]:
        """Each shape with the places of its rows."""
        is_left = np.ones(len(self.group), dtype=bool)
        for name, shape in self.distribution.groups.items():
            is_here = self.group == name
            is_left &= ~is_here
            yield shape, np.flatnonzero(is_here)
        yield self.distribution.everyone, np.flatnonzero(is_left)


def log_amount(amount: Numbers, unit: Unit) -> Numbers:
    """Natural logarithm of amounts, never of less than the smallest one of their unit."""
    return np.asarray(np.log(np.maximum(amount, SMALLEST[unit])), dtype=np.float64)


@dataclass(frozen=True)
class DistributionSettings:
    """`level` of the interval; `smears`: exp(raw) is not the mean, which the distribution then gives."""

    level: float = 0.8
    smears: bool = True
    group_feature: str = ""


def fit_distribution(
    raw: Numbers, spread: Numbers, group: Groups, actual: Numbers, unit: Unit, settings: DistributionSettings
) -> Distribution:
    """The distribution of the calibration slice's residuals; a group of fewer than 500 rows has no shape."""
    residual = (log_amount(actual, unit) - raw) / spread
    names = sorted({name for name in group if name is not None})
    places = {name: np.flatnonzero(group == name) for name in names}
    found = Distribution(
        settings.level,
        _shape(residual, spread, settings),
        settings.group_feature,
        {
            name: _shape(residual[rows], spread[rows], settings)
            for name, rows in places.items()
            if len(rows) >= FEWEST_GROUP_ROWS
        },
    )
    total, expected = float(actual.sum()), float(found.of(raw, spread, group, unit).expected.sum())
    # Amounts of nothing at all leave nothing to rescale by.
    return replace(found, log_rescaling=math.log(total / expected)) if total > 0 else found


def _shape(residual: Numbers, spread: Numbers, settings: DistributionSettings) -> Shape:
    ordered = np.sort(residual)
    low, high = conformal_ends(ordered, settings.level)
    spreads, factors = _smearing_curve(ordered, spread) if settings.smears else ((), ())
    # A quantile of n + 1 exchangeable residuals, of which the new one is one.
    quantiles = np.quantile(ordered, LEVELS, method="weibull")
    return Shape(low, high, tuple(quantiles.tolist()), spreads, factors)


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
