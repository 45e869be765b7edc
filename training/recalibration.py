"""How far a model's calibration is off elsewhere, and what would mend it: nothing, a shift, or a line.

The closed testing procedure of Vergouwe et al., Statistics in Medicine 2017;36:4529–4539: as little is
changed as the likelihood ratio allows. A risk is recalibrated on its log-odds by logistic regression. An
amount is recalibrated on its logarithm by quasi-Poisson regression, whose shift makes totals agree
(McCullagh and Nelder, Generalized Linear Models, 1989, chapter 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from evaluation.bootstrap import Resampling, Sampled
from evaluation.cells import log_odds
from evaluation.evaluate import sample_amount, sample_risk
from models.units import Kind
from training.split import patient_places

Floats = NDArray[np.float64]
Method = Literal["none", "shift", "slope"]
CHI_SQUARE_95 = {1: 3.841, 2: 5.991}
"""95th percentile of the chi-square distribution by degrees of freedom."""
SMALLEST_AMOUNT = 1e-9
"""A prediction of nothing has no logarithm."""
MOST_STEPS = 100
FEWEST_EVENTS = 50
"""In each half of the patients: below as many events (or non-events) a line is less certain than none."""


@dataclass(frozen=True)
class Recalibration:
    """A line on the model's scale: `intercept + slope × log-odds` of a risk, or × logarithm of an amount.

    `ratio_any` and `ratio_slope` are the likelihood ratios (twice the gain) of the line against no change and
    against a shift alone.
    """

    method: Method
    intercept: float
    slope: float
    ratio_any: float
    ratio_slope: float

    def applied(self, kind: Kind, value: Floats) -> Floats:
        """The values that it would give."""
        line = self.intercept + self.slope * _scale(kind, value)
        return np.asarray(expit(line) if kind == "risk" else np.exp(line), dtype=np.float64)


def recalibrate(kind: Kind, value: Floats, actual: Floats) -> Recalibration | None:
    """As little as makes these predictions agree with what came; None where no rising line can be fitted."""
    scale = _scale(kind, value)
    spread = float(scale.std())
    if not spread > 0:
        return None
    one, tilt = np.ones_like(scale), (scale - scale.mean()) / spread
    shift = _fitted(kind, one[:, np.newaxis], scale, actual)
    both = _fitted(kind, np.column_stack([one, tilt]), scale, actual)
    if shift is None or both is None:
        return None
    # Beta is on the standardised scale and beside the offset: back to intercept and slope.
    slope = 1.0 + float(both[1]) / spread
    intercept = float(both[0]) - float(both[1]) * float(scale.mean()) / spread
    if slope <= 0:
        return None
    line = intercept + slope * scale
    size = 1.0 if kind == "risk" else _dispersion(line, actual)
    best = _log_likelihood(kind, line, actual)
    ratio_any = 2 * (best - _log_likelihood(kind, scale, actual)) / size
    ratio_slope = 2 * (best - _log_likelihood(kind, scale + shift[0], actual)) / size
    if ratio_any < CHI_SQUARE_95[2]:
        return Recalibration("none", 0.0, 1.0, ratio_any, ratio_slope)
    if ratio_slope < CHI_SQUARE_95[1]:
        return Recalibration("shift", float(shift[0]), 1.0, ratio_any, ratio_slope)
    return Recalibration("slope", intercept, slope, ratio_any, ratio_slope)


def suggestion(
    kind: Kind, value: Floats, actual: Floats, patient_id: pd.Series, resampling: Resampling
) -> dict[str, Any]:
    """What recalibration half of the patients ask for, and what it gives on the other half.

    Keys: `suggested` (none, shift or slope), `intercept`, `slope`, `likelihood_ratio` of any change (2
    degrees of freedom) and of the slope (1), `n_fitted`, and `held_out`: `n`, `metrics` as they are,
    `metrics_recalibrated`, and the paired `difference` of the Brier score (of a risk) or the mean absolute
    error. `{"missing": reason}` where half of the patients are too few.
    """
    is_fitted = patient_places(patient_id, "recalibration", resampling.seed) < 0.5
    for half in (is_fitted, ~is_fitted):
        n, n_events = int(half.sum()), int(actual[half].sum()) if kind == "risk" else FEWEST_EVENTS
        if n < 2 * FEWEST_EVENTS or min(n_events, n - n_events) < FEWEST_EVENTS:
            needed = f"{FEWEST_EVENTS} rows with and {FEWEST_EVENTS} without the outcome"
            needed = needed if kind == "risk" else f"{2 * FEWEST_EVENTS} rows"
            return {"missing": f"half of the patients have fewer than {needed}"}
    found = recalibrate(kind, value[is_fitted], actual[is_fitted])
    if found is None:
        return {"missing": "no line through the predictions rises, or they do not vary"}
    held = ~is_fitted
    patients = patient_id[held]

    def measured(values: Floats) -> Sampled:
        if kind == "risk":
            return sample_risk(actual[held], values, patients, resampling)
        return sample_amount(actual[held], values, None, None, patients, resampling)

    before, after = measured(value[held]), measured(found.applied(kind, value[held]))
    return {
        "suggested": found.method,
        "intercept": found.intercept,
        "slope": found.slope,
        "likelihood_ratio": {"any": found.ratio_any, "slope": found.ratio_slope},
        "n_fitted": int(is_fitted.sum()),
        "held_out": {
            "n": int(held.sum()),
            "metrics": before.metrics(),
            "metrics_recalibrated": after.metrics(),
            "difference": after.minus(before).metric("brier" if kind == "risk" else "mae"),
        },
    }


def _scale(kind: Kind, value: Floats) -> Floats:
    if kind == "risk":
        return log_odds(value)
    return np.asarray(np.log(np.maximum(value, SMALLEST_AMOUNT)), dtype=np.float64)


def _mean(kind: Kind) -> Callable[[Floats], Floats]:
    return expit if kind == "risk" else np.exp


def _log_likelihood(kind: Kind, line: Floats, actual: Floats) -> float:
    cumulant = np.logaddexp(0, line) if kind == "risk" else np.exp(line)
    return float((actual * line - cumulant).sum())


def _dispersion(line: Floats, actual: Floats) -> float:
    """By how much amounts vary more than their means, with two numbers fitted.

    Of the total, since that is what a shift rests on: dear stays vary more than in proportion to their mean,
    and a mean over stays would take the shift for surer than it is.
    """
    expected, n = np.exp(line), len(actual)
    return float(((actual - expected) ** 2).sum() / expected.sum()) * n / (n - 2)


def _fitted(kind: Kind, design: Floats, offset: Floats, actual: Floats) -> Floats | None:
    """Coefficients of the canonical regression beside `offset`; None if there is no finite maximum."""
    beta, mean = np.zeros(design.shape[1]), _mean(kind)
    for _ in range(MOST_STEPS):
        expected = mean(offset + design @ beta)
        variance = expected * (1 - expected) if kind == "risk" else expected
        information = design.T @ (design * variance[:, np.newaxis])
        if not np.isfinite(information).all() or not np.linalg.cond(information) < 1e10:
            return None
        step = np.linalg.solve(information, design.T @ (actual - expected))
        largest = float(np.abs(step).max())
        # An overshooting step is shortened: no sensible line lies far on these scales.
        beta = beta + step * min(1.0, 1.0 / max(largest, 1e-300))
        if largest < 1e-10:
            return beta
    return None
