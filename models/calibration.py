"""Calibration: from a model's raw output to what is expected, by a map fitted on the calibration slice.

Every map turns raw log-odds into calibrated log-odds, never falls and is plain numbers. Sources: the line,
Cox, Biometrika 1958;45:562-565 and Platt, 1999; beta, Kull, Silva Filho and Flach, AISTATS 2017; isotonic,
Zadrozny and Elkan, KDD 2002; Venn-Abers, Vovk, Petej and Fedorova, NeurIPS 2015.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit, logit

Method = Literal["none", "shift", "platt", "beta", "isotonic", "venn_abers"]
MOST_LOG_ODDS = 20.0
"""Calibrated log-odds are held within this: a risk is never less than 2e-9, nor nearer than that to 1."""
MOST_KNOTS = 500
"""A curve of knots is fitted to at most as many groups of rows, which are alike in number."""


@dataclass(frozen=True)
class LineCalibration:
    """`intercept + slope * raw`: the raw output itself (none), moved (shift), or a line through it (platt).

    A risk is the logistic function of the line, held within log-odds of -20 to 20. `reason` says why this
    method.
    """

    method: Literal["none", "shift", "platt"] = "none"
    intercept: float = 0.0
    slope: float = 1.0
    reason: str = ""

    @property
    def fault(self) -> str:
        """Why this is no calibration; empty if it is one."""
        if not self.slope > 0:
            return "does not rise"
        is_whole = {
            "none": self.slope == 1 and self.intercept == 0,
            "shift": self.slope == 1,
            "platt": True,
        }
        return "" if is_whole[self.method] else f"is called {self.method} and does more"

    def probability(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of raw log-odds, above 0 and below 1."""
        return _held_probability(self.intercept + self.slope * raw)


@dataclass(frozen=True)
class BetaCalibration:
    """`intercept + low_slope * ln p - high_slope * ln(1 - p)`, p the logistic function of the raw output.

    Far below 0 it rises by `low_slope` for each unit of raw log-odds, far above 0 by `high_slope`; with both
    the same it is a line. A risk is its logistic function, held within log-odds of -20 to 20. `reason` says
    why this method.
    """

    intercept: float
    low_slope: float
    high_slope: float
    method: Literal["beta"] = "beta"
    reason: str = ""

    @property
    def fault(self) -> str:
        """Why this is no calibration; empty if it is one."""
        rises = min(self.low_slope, self.high_slope) >= 0 and max(self.low_slope, self.high_slope) > 0
        return "" if rises else "does not rise"

    def probability(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of raw log-odds, above 0 and below 1."""
        low, high = _beta_columns(raw)
        return _held_probability(self.intercept + self.low_slope * low + self.high_slope * high)


@dataclass(frozen=True)
class KnotsCalibration:
    """Knots of raw and calibrated log-odds, with straight lines between them and level beyond the outer two.

    `isotonic` is the rising curve of highest likelihood, `venn_abers` the merged probability
    p1 / (1 - p0 + p1) of two such curves. A risk is the logistic function of the calibrated log-odds, held
    within log-odds of -20 to 20. `reason` says why this method.
    """

    method: Literal["isotonic", "venn_abers"]
    knots: tuple[tuple[float, float], ...]
    reason: str = ""

    @cached_property
    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        place, log_odds = np.array(self.knots, dtype=np.float64).T
        return place, log_odds

    @property
    def fault(self) -> str:
        """Why this is no calibration; empty if it is one."""
        if len(self.knots) < 2 or self.knots[0][1] == self.knots[-1][1]:
            return "does not rise"
        steps = np.diff(np.array(self.knots), axis=0)
        if not (steps[:, 0] > 0).all():
            return "has knots that do not follow each other"
        return "" if (steps[:, 1] >= 0).all() else "falls between knots"

    def probability(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of raw log-odds, above 0 and below 1."""
        place, log_odds = self._columns
        held = np.clip(raw, place[0], place[-1])
        left = np.clip(np.searchsorted(place, held, side="right") - 1, 0, len(place) - 2)
        share = (held - place[left]) / (place[left + 1] - place[left])
        risen = log_odds[left] + share * (log_odds[left + 1] - log_odds[left])
        # Rounding must not lift a value over the next knot.
        return _held_probability(np.minimum(risen, log_odds[left + 1]))


Calibration = Annotated[LineCalibration | BetaCalibration | KnotsCalibration, Field(discriminator="method")]
"""Any of the maps, told apart by its method."""


class NoMap(ValueError):  # noqa: N818  # no failure: the method is left out, for this reason
    """A method has no map for these rows; the message says why."""


def fit_calibration(method: Method, raw: NDArray[np.float64], label: NDArray[np.float64]) -> Calibration:
    """The map of this method from raw log-odds to the label (0/1), by the highest likelihood.

    The same rows in any order give the same bytes. Raises NoMap where no such map rises: an outcome
    is missing, the raw output does not vary or separates the outcomes, or higher outputs have fewer events.
    """
    if method == "none":
        return LineCalibration()
    if not 0 < label.sum() < len(label):
        raise NoMap("all rows have the same outcome")
    order = np.lexsort((label, raw))
    raw, label = raw[order], label[order]
    if method == "shift":
        return LineCalibration("shift", intercept=_shift(raw, label))
    if method == "platt":
        line = logistic_line(raw, label)
        if line is None or line[1] <= 0:
            raise NoMap("the line does not rise or has no end")
        return LineCalibration("platt", *line)
    if method == "beta":
        return _beta(raw, label)
    groups = _Groups.of(raw, label)
    curve = groups.isotonic() if method == "isotonic" else groups.venn_abers()
    if curve[0] == curve[-1]:
        raise NoMap("higher raw outputs do not have more events")
    # A value that both neighbours share is on the straight line between them.
    is_inside = np.r_[False, (curve[1:-1] == curve[:-2]) & (curve[1:-1] == curve[2:]), False]
    # Adding 0 makes of -0 the 0 that it equals: which of the two came first must move no byte.
    knots = np.column_stack([groups.raw, logit(curve)])[~is_inside] + 0.0
    return KnotsCalibration(method, tuple((float(place), float(value)) for place, value in knots))


def _held_probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(expit(np.clip(log_odds, -MOST_LOG_ODDS, MOST_LOG_ODDS)), dtype=np.float64)


def _shift(raw: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    """What must be added to the raw log-odds for predicted and actual events to agree in number."""
    shift = 0.0
    for _ in range(100):
        probability = expit(raw + shift)
        step = float((label - probability).sum() / max((probability * (1 - probability)).sum(), 1e-12))
        shift += max(-1.0, min(1.0, step))
        if abs(step) < 1e-12:
            break
    return shift


def logistic_line(raw: NDArray[np.float64], label: NDArray[np.float64]) -> tuple[float, float] | None:
    """Intercept and slope of the unpenalised logistic regression of a 0/1 label on one number.

    None where there is no such line: a label or `raw` does not vary, or `raw` separates the labels.
    """
    found = _logistic(raw[:, None], label)
    return None if found is None else (float(found[0]), float(found[1]))


def _logistic(columns: NDArray[np.float64], label: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Intercept and coefficients of the unpenalised logistic regression; None where there are none."""
    share, centre, spread = float(label.mean()), columns.mean(axis=0), columns.std(axis=0)
    if not 0 < share < 1 or not (spread > 0).all():
        return None
    design = np.column_stack([np.ones(len(label)), (columns - centre) / spread])
    line = np.r_[math.log(share / (1 - share)), np.zeros(columns.shape[1])]
    for _ in range(100):
        # einsum adds up in one order, whatever the number of threads.
        probability = expit(np.einsum("rc,c->r", design, line))
        weight = probability * (1 - probability)
        information = np.einsum("ri,rj,r->ij", design, design, weight)
        if not np.linalg.cond(information) < 1e10:
            return None
        step = np.linalg.solve(information, np.einsum("rc,r->c", design, label - probability))
        largest = float(np.abs(step).max())
        # On the unit scale no sensible line lies far: an overshooting step is shortened.
        line = line + step * min(1.0, 1.0 / max(largest, 1.0))
        if largest < 1e-10:
            slopes = line[1:] / spread
            return np.asarray(np.r_[line[0] - (slopes * centre).sum(), slopes], dtype=np.float64)
    return None


def _beta_columns(raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln p and -ln(1 - p) of raw log-odds; both rise."""
    # Not logaddexp: it adds a rising and a falling term, and rounding lets the sum fall by the last bit.
    held = np.clip(raw, -700.0, 700.0)
    return -np.log1p(np.exp(-held)), np.log1p(np.exp(held))


def _beta(raw: NDArray[np.float64], label: NDArray[np.float64]) -> BetaCalibration:
    columns = np.column_stack(_beta_columns(raw))
    found = _logistic(columns, label)
    if found is None:
        raise NoMap("the curve has no end")
    intercept, slopes = found[0], found[1:]
    if slopes.max() > 0 > slopes.min():
        # The likelihood is concave: of the curves that do not fall, the best has the falling slope at 0.
        rising = int(slopes.argmax())
        alone = _logistic(columns[:, [rising]], label)
        if alone is None:
            raise NoMap("the curve has no end")
        intercept, slopes = alone[0], np.zeros(2)
        slopes[rising] = alone[1]
    if not slopes.max() > 0 or slopes.min() < 0:
        raise NoMap("the curve does not rise")
    return BetaCalibration(float(intercept), float(slopes[0]), float(slopes[1]))


@dataclass(frozen=True, eq=False)
class _Groups:
    """Rows of neighbouring raw outputs together: a raw output that stands for them, rows and events."""

    raw: NDArray[np.float64]
    n: NDArray[np.float64]
    n_events: NDArray[np.float64]

    @classmethod
    def of(cls, raw: NDArray[np.float64], label: NDArray[np.float64]) -> _Groups:
        """Rows that stand in the order of `raw`: a group each distinct output, or 500 alike in size."""
        upper = np.unique(raw)
        if len(upper) > MOST_KNOTS:
            upper = np.unique(raw[(np.arange(1, MOST_KNOTS + 1) * len(raw)) // MOST_KNOTS - 1])
        ends = np.searchsorted(raw, upper, side="right")
        starts = np.r_[0, ends[:-1]]
        # The middle row's own output: a mean could round onto its neighbour.
        return cls(
            raw[(starts + ends - 1) // 2],
            (ends - starts).astype(np.float64),
            np.add.reduceat(label, starts),
        )

    def isotonic(self) -> NDArray[np.float64]:
        """The groups' rising shares of highest likelihood, half an event away from 0 and from 1."""
        half = 0.5 / self.n.sum()
        return np.clip(_rising(self.n_events, self.n), half, 1 - half)

    def venn_abers(self) -> NDArray[np.float64]:
        """p1 / (1 - p0 + p1) of the rising shares at each group if one more row stood there.

        p0 is that share if the row has no event, p1 if it has one.
        """
        merged = np.empty(len(self.n))
        for place in range(len(self.n)):
            one = np.zeros(len(self.n))
            one[place] = 1.0
            without = _rising(self.n_events, self.n + one)[place]
            with_event = _rising(self.n_events + one, self.n + one)[place]
            merged[place] = with_event / (1 - without + with_event)
        # It rises by its definition, and now to the last bit.
        return np.maximum.accumulate(merged)


def _rising(n_events: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(n_events / n, weights=n).x, dtype=np.float64)
