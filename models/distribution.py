"""Predictive distributions of amounts: shapes of residuals, moved and stretched for each row.

The logarithm of an amount is `raw + spread * residual`: `raw` is the output of the explained booster,
`spread` how far admissions like this one scatter, by a second booster, and the residuals are those of
calibration rows of the same group and of a like spread. Interval and the chance of more than a threshold are
read off them. The expected amount is exp(`raw`) times a factor that follows the spread, by regression on the
calibration slice: a mean read off the shapes would hang on their last few residuals. Days, which are whole
numbers, are shifted by half a day, so that a same-day stay has a logarithm and a place of its own.

Sources: Vovk et al., Machine Learning 2019;108:445–474 (conformal predictive distributions), and Vovk et al.,
Algorithmic learning in a random world, 2022, section 4.6 (by group: Mondrian); Papadopoulos et al., ECML
2002, 345–356 (residuals normalised by a model of their size); Manning and Mullahy, J Health Econ
2001;20:461–494 (why the mean of a logarithm must be brought back as its spread varies).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.units import Unit

OFFSET: dict[Unit, float] = {"money": 0.0, "days": 0.5}
"""What is added before the logarithm is taken."""
SMALLEST = 0.01
"""A cost of nothing has no logarithm: it counts as the smallest coin."""
_TAIL = (0.001, 0.002, 0.005)
LEVELS = (*_TAIL, *(percent / 100 for percent in range(1, 100)), *(1 - level for level in reversed(_TAIL)))
"""At which a distribution is kept: every hundredth, and finer in the tails."""
FEWEST_SHAPE_ROWS, MOST_SPREADS = 500, 5
"""Of 500 rows each end of an interval is known to about 1.3 %. No more parts by spread are made."""
LARGEST_RESIDUAL = 10.0
"""A residual beyond it counts as this: where nearly all is exact, one odd bill is a thousand spreads off."""
FEWEST_LINEAR_ROWS, FEWEST_CURVED_ROWS = 500, 2_000
"""From so many rows on the factor of the mean is a line of the spread, and a parabola."""
NEWTON_STEPS = 30
"""Of a convex problem of three numbers that begins near its end."""

Numbers = NDArray[np.float64]
Groups = NDArray[np.object_]
"""Each row's group by name; None where it is not known."""


@dataclass(frozen=True)
class Shape:
    """Residuals of calibration rows: their quantiles at `LEVELS`, each within the observed ones.

    `low` and `high` are the two that hold the interval's share of new residuals between them; None: too few
    rows for a finite end.
    """

    low: float | None
    high: float | None
    residuals: tuple[float, ...]

    @property
    def problems(self) -> dict[str, bool]:
        """What would be wrong, in words, and whether it is right."""
        is_ordered = self.low is None or self.high is None or self.low <= self.high
        return {
            f"its residuals are not {len(LEVELS)} rising values": len(self.residuals) == len(LEVELS)
            and list(self.residuals) == sorted(self.residuals),
            "its interval ends before it begins": is_ordered,
        }

    def cumulative(self, residual: Numbers) -> Numbers:
        """The chance of no more than a residual, from the first to the last of `LEVELS`: never 0 or 1.

        Between the levels it rises evenly, and where residuals are equal it jumps.
        """
        return np.asarray(np.interp(residual, self.residuals, LEVELS))


@dataclass(frozen=True)
class Shapes:
    """The shapes of a group's rows, from the smallest spread to the largest, with the `cuts` between them."""

    cuts: tuple[float, ...]
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class MeanFactor:
    """The logarithm of the mean ÷ exp(raw): a parabola of the spread's place between `lowest` and `highest`.

    Beyond these it stays as it is at them.
    """

    intercept: float
    linear: float = 0.0
    quadratic: float = 0.0
    lowest: float = 0.0
    highest: float = 1.0

    def log(self, spread: Numbers) -> Numbers:
        """The logarithm of the factor at each spread."""
        place = np.clip((spread - self.lowest) / (self.highest - self.lowest), 0.0, 1.0)
        return np.asarray(self.intercept + self.linear * place + self.quadratic * place**2)


@dataclass(frozen=True)
class Distribution:
    """What the calibration slice tells: the factor of the mean and the shapes of residuals.

    `level` is the share that the interval promises to hold, for rows like those of the calibration. `groups`
    are the levels of `group_feature` with shapes of their own, `everyone` else has the others. No amount is
    less than `least`: at 24 h nobody's stay is of 0 days.
    """

    level: float
    mean: MeanFactor
    everyone: Shapes
    group_feature: str = ""
    groups: dict[str, Shapes] = field(default_factory=dict)
    least: float = 0.0

    def problems(self) -> dict[str, bool]:
        """What would be wrong, in words, and whether it is right."""
        found = {
            "its interval has an impossible level": 0 < self.level < 1,
            "its spreads end before they begin": self.mean.lowest < self.mean.highest,
            "its shapes are not one more than the rising cuts between them": all(
                len(each.shapes) == len(each.cuts) + 1 and list(each.cuts) == sorted(each.cuts)
                for each in (self.everyone, *self.groups.values())
            ),
        }
        for shape in self.shapes:
            for problem, is_right in shape.problems.items():
                found[problem] = found.get(problem, True) and is_right
        return found

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """All shapes: everyone's, then each group's."""
        return tuple(shape for each in (self.everyone, *self.groups.values()) for shape in each.shapes)

    @cached_property
    def residuals(self) -> Numbers:
        """Of all shapes [shapes, levels]."""
        return np.array([shape.residuals for shape in self.shapes])

    @cached_property
    def ends(self) -> Numbers:
        """Of the intervals of all shapes [shapes, 2], infinite where there is none."""
        return np.array(
            [
                (-np.inf if shape.low is None else shape.low, np.inf if shape.high is None else shape.high)
                for shape in self.shapes
            ]
        )

    def of(self, raw: Numbers, spread: Numbers, group: Groups, unit: Unit) -> Amounts:
        """The distributions of rows."""
        shape = np.searchsorted(np.asarray(self.everyone.cuts), spread, side="left")
        first = len(self.everyone.shapes)
        for name, own in self.groups.items():
            rows = np.flatnonzero(group == name)
            shape[rows] = first + np.searchsorted(np.asarray(own.cuts), spread[rows], side="left")
            first += len(own.shapes)
        return Amounts(self, unit, raw, spread, shape)


@dataclass(frozen=True, eq=False)
class Amounts:
    """The predictive distributions of n rows: `raw` output, `spread` and place of the `shape` of each."""

    distribution: Distribution
    unit: Unit
    raw: Numbers
    spread: Numbers
    shape: NDArray[np.intp]

    @property
    def expected(self) -> Numbers:
        """The mean of each row's amount."""
        return self.expected_at(self.raw[:, None])[:, 0]

    def expected_at(self, raw: Numbers) -> Numbers:
        """The mean of each row's amount at other raw outputs [rows, k], scattering as before."""
        return self._amount(raw + self.distribution.mean.log(self.spread)[:, None])

    @property
    def interval(self) -> tuple[Numbers, Numbers]:
        """Both ends of each row's interval; without a finite end the least amount and infinity."""
        low, high = self.distribution.ends[self.shape].T
        return self._amount(self.raw + self.spread * low), self._amount(self.raw + self.spread * high)

    def quantiles(self, rows: slice = slice(None)) -> Numbers:
        """The amounts at `LEVELS` of these rows, rising [rows, levels]: all of them take 840 bytes a row."""
        residuals = self.distribution.residuals[self.shape[rows]]
        return self._amount(self.raw[rows, None] + self.spread[rows, None] * residuals)

    def probability_above(self, threshold: Numbers | float) -> Numbers:
        """The chance of more than the threshold, one for all or one for each row: 0.001 to 0.999.

        Of days: more whole days than the threshold, 7 and 7.5 alike.
        """
        wanted = np.broadcast_to(np.asarray(threshold, dtype=np.float64), self.raw.shape)
        # Between the last day that is not above and the first that is.
        place = np.log(np.floor(wanted) + 1.0) if self.unit == "days" else log_amount(wanted, self.unit)
        residual, found = (place - self.raw) / self.spread, np.empty(len(self.raw))
        for number, shape in enumerate(self.distribution.shapes):
            rows = np.flatnonzero(self.shape == number)
            found[rows] = 1 - shape.cumulative(residual[rows])
        return found

    def _amount(self, logarithm: Numbers) -> Numbers:
        return np.asarray(np.maximum(np.exp(logarithm) - OFFSET[self.unit], self.distribution.least))


def positive_amount(amount: Numbers, unit: Unit) -> Numbers:
    """Amounts that have a logarithm: days half a day longer, money never less than the smallest coin."""
    return np.asarray(np.maximum(amount + OFFSET[unit], SMALLEST), dtype=np.float64)


def log_amount(amount: Numbers, unit: Unit) -> Numbers:
    """Natural logarithm of amounts, as the boosters learn it."""
    return np.asarray(np.log(positive_amount(amount, unit)))


def fit_distribution(
    raw: Numbers,
    spread: Numbers,
    group: Groups,
    actual: Numbers,
    unit: Unit,
    *,
    level: float,
    group_feature: str,
) -> Distribution:
    """The distribution of the calibration slice's rows.

    A group has shapes of its own from 500 rows on, one for each 500 of them up to five, by spread. Whoever is
    in none shares those of all such rows, or of everyone if they are fewer than 500.
    """
    residual = np.clip((log_amount(actual, unit) - raw) / spread, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    own = {name: rows for name, rows in _rows_by_group(group) if len(rows) >= FEWEST_SHAPE_ROWS}
    others = np.ones(len(raw), dtype=bool)
    for rows in own.values():
        others[rows] = False
    rest = np.flatnonzero(others) if others.sum() >= FEWEST_SHAPE_ROWS else np.arange(len(raw))
    return Distribution(
        level,
        _mean_factor(raw, spread, positive_amount(actual, unit)),
        _shapes(residual[rest], spread[rest], level),
        group_feature,
        {name: _shapes(residual[rows], spread[rows], level) for name, rows in own.items()},
        # Shared by all who leave on the first day on which anybody does: no single patient's.
        float(actual.min()) if unit == "days" else 0.0,
    )


def _rows_by_group(group: Groups) -> Iterator[tuple[str, NDArray[np.intp]]]:
    for name in sorted({name for name in group if name is not None}):
        yield name, np.flatnonzero(group == name)


def _mean_factor(raw: Numbers, spread: Numbers, amount: Numbers) -> MeanFactor:
    """By quasi-Poisson regression on the spread's place, so that expected and actual amounts agree in sum."""
    lowest, highest = (float(end) for end in np.quantile(spread, [0.01, 0.99]))
    degree = int(len(raw) >= FEWEST_LINEAR_ROWS) + int(len(raw) >= FEWEST_CURVED_ROWS)
    if not highest > lowest:
        lowest, highest, degree = 0.0, 1.0, 0
    place = np.clip((spread - lowest) / (highest - lowest), 0.0, 1.0)
    terms = np.column_stack([place**power for power in range(degree + 1)])
    start = math.log(float(amount.sum() / np.exp(raw).sum()))
    factor = np.array([start, *[0.0] * degree])
    for _ in range(NEWTON_STEPS):
        mean = np.exp(raw + terms @ factor)
        information = terms.T @ (terms * mean[:, None])
        # The trace of a ridge keeps two spreads from being taken for a parabola.
        information[np.diag_indices(degree + 1)] += 1e-9 * information[0, 0]
        factor += np.clip(np.linalg.solve(information, terms.T @ (amount - mean)), -1.0, 1.0)
    factor[0] += math.log(float(amount.sum() / np.exp(raw + terms @ factor).sum()))
    linear, quadratic = (float(factor[power]) if power <= degree else 0.0 for power in (1, 2))
    return MeanFactor(float(factor[0]), linear, quadratic, lowest, highest)


def _shapes(residual: Numbers, spread: Numbers, level: float) -> Shapes:
    n_parts = min(max(len(residual) // FEWEST_SHAPE_ROWS, 1), MOST_SPREADS)
    cuts = np.unique(np.quantile(spread, np.arange(1, n_parts) / n_parts))
    part = np.searchsorted(cuts, spread, side="left")
    # Equal spreads may leave a part empty.
    kept = [number for number in range(len(cuts) + 1) if (part == number).any()]
    between = cuts[[number - 1 for number in kept[1:]]]
    shapes = tuple(_shape(residual[part == number], level) for number in kept)
    return Shapes(tuple(between.tolist()), shapes)


def _shape(residual: Numbers, level: float) -> Shape:
    ordered = np.sort(residual)
    low, high = conformal_ends(ordered, level)
    # A quantile of n + 1 exchangeable residuals, of which the new one is one.
    return Shape(low, high, tuple(np.quantile(ordered, LEVELS, method="weibull").tolist()))


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
