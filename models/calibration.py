"""Calibration: one line on the model's own scale, fitted on the calibration slice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

FEWEST_EVENTS = 50
"""Below as many events (or non-events) a fitted line would be less certain than none."""


CHI_SQUARE_95 = 3.841
"""95th percentile of the chi-square distribution with one degree of freedom."""


@dataclass(frozen=True)
class Calibration:
    """The line `intercept + slope * raw`; `reason` says why its slope was left at 1, if it was.

    A risk is the logistic function of the line; money is its exponential, so that for a cost model
    with slope 1 the mean is multiplied by exp(`intercept`).
    """

    intercept: float = 0.0
    slope: float = 1.0
    reason: str = ""

    def probability(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of raw log-odds, 0 to 1."""
        return np.asarray(expit(self.intercept + self.slope * raw), dtype=np.float64)

    def amount(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated mean of a raw logarithm, in the target's unit."""
        return np.asarray(np.exp(self.intercept + self.slope * raw), dtype=np.float64)


def recalibrate_logistic(
    raw: NDArray[np.float64], label: NDArray[np.float64], *, fewest_events: int = FEWEST_EVENTS
) -> Calibration:
    """Fit slope and intercept of the label (0/1) on raw log-odds by unpenalised logistic regression.

    The slope leaves 1 only where a likelihood ratio test at 5 % shows that it must: a hundred events know
    it to about 0.1, and that noise would enter every prediction. The intercept is always fitted. Stays
    identity where the slice holds too few events or non-events, or where its line does not rise.
    Sources: Cox, Biometrika 1958;45:562-565; Vergouwe et al., Stat Med 2017;36:4529-4539.
    """
    n_events = int(label.sum())
    fewest = min(n_events, len(label) - n_events)
    if fewest < fewest_events:
        return Calibration(
            reason=f"the calibration slice has {n_events} events among {len(label)} rows; "
            f"a line needs {fewest_events} events and as many non-events"
        )
    line = logistic_line(raw, label)
    if line is None or line[1] <= 0:
        return Calibration(reason="the line on the calibration slice does not rise or does not converge")
    shift = _shift(raw, label)
    gained = _log_likelihood(line[0] + line[1] * raw, label) - _log_likelihood(shift + raw, label)
    if 2 * gained < CHI_SQUARE_95:
        return Calibration(
            intercept=shift, reason="the calibration slice does not show that the slope is not 1"
        )
    return Calibration(intercept=line[0], slope=line[1])


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


def _log_likelihood(log_odds: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    return float((label * log_odds - np.logaddexp(0, log_odds)).sum())


def logistic_line(raw: NDArray[np.float64], label: NDArray[np.float64]) -> tuple[float, float] | None:
    """Intercept and slope of the unpenalised logistic regression of a 0/1 label on one number.

    None where there is no such line: a label or `raw` does not vary, or `raw` separates the labels.
    """
    share, spread = float(label.mean()), float(raw.std())
    if not 0 < share < 1 or not spread > 0:
        return None
    design = np.column_stack([np.ones_like(raw), (raw - raw.mean()) / spread])
    line = np.array([math.log(share / (1 - share)), 0.0])
    for _ in range(100):
        probability = expit(design @ line)
        information = design.T @ (design * (probability * (1 - probability))[:, None])
        if not np.linalg.cond(information) < 1e10:
            return None
        step = np.linalg.solve(information, design.T @ (label - probability))
        largest = float(np.abs(step).max())
        # On the unit scale no sensible line lies far: an overshooting step is shortened.
        line = line + step * min(1.0, 1.0 / max(largest, 1.0))
        if largest < 1e-10:
            slope = float(line[1]) / spread
            return float(line[0]) - slope * float(raw.mean()), slope
    return None


def rescale_mean(raw: NDArray[np.float64], cost: NDArray[np.float64]) -> Calibration:
    """Multiply the mean so that predicted and actual raw cost of the calibration slice agree in sum.

    Truncation of the training costs and the log link both lose mean; this gives it back. Stays
    identity, with the reason, where the slice holds no cost.
    """
    total = float(cost.sum())
    if not total > 0:
        return Calibration(reason="the calibration slice holds no cost")
    return Calibration(intercept=math.log(total / float(np.exp(raw).sum())))
