"""How far a model's calibration is off elsewhere, and what would mend it: nothing, a shift, or a line.

The closed testing procedure of Vergouwe et al., Statistics in Medicine 2017;36:4529–4539: as little is
changed as the tests allow. A risk is recalibrated on its log-odds by logistic regression. An amount is
recalibrated on its logarithm by quasi-Poisson regression, whose shift makes totals agree (McCullagh and
Nelder, Generalized Linear Models, 1989, chapter 9).

Instead of likelihood ratios, which take every row for independent, the tests are generalised score tests
whose variance is that between patients' sums (Boos, The American Statistician 1992;46:327–333): admissions
of one patient resemble each other, and how an amount varies need not be known.
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

    `score_any` and `score_slope` are the score statistics against no change (2 degrees of freedom) and
    against a shift alone (1).
    """

    method: Method
    intercept: float
    slope: float
    score_any: float
    score_slope: float

    def applied(self, kind: Kind, value: Floats) -> Floats:
        """The values that it would give."""
        line = self.intercept + self.slope * _scale(kind, value)
        return np.asarray(expit(line) if kind == "risk" else np.exp(line), dtype=np.float64)


def recalibrate(kind: Kind, value: Floats, actual: Floats, patient_id: pd.Series) -> Recalibration | None:
    """As little as makes these predictions agree with what came; None where no rising line can be fitted.

    Rows of one patient may depend on one another, patients are taken as independent.
    """
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
    patient = pd.factorize(patient_id)[0]
    as_it_is, shifted = _mean(kind)(scale), _mean(kind)(scale + shift[0])
    weight = shifted * (1 - shifted) if kind == "risk" else shifted
    # What the tilt tells beyond the shift, which is fitted too.
    beyond = tilt - np.average(tilt, weights=weight)
    score_any = _score(np.column_stack([one, tilt]) * (actual - as_it_is)[:, np.newaxis], patient)
    score_slope = _score((beyond * (actual - shifted))[:, np.newaxis], patient)
    if score_any < CHI_SQUARE_95[2]:
        return Recalibration("none", 0.0, 1.0, score_any, score_slope)
    if score_slope < CHI_SQUARE_95[1]:
        return Recalibration("shift", float(shift[0]), 1.0, score_any, score_slope)
    return Recalibration("slope", intercept, slope, score_any, score_slope)


def suggestion(
    kind: Kind, value: Floats, actual: Floats, patient_id: pd.Series, resampling: Resampling
) -> dict[str, Any]:
    """What recalibration half of the patients ask for, and what it gives on the other half.

    Keys: `suggested` (none, shift or slope), `intercept`, `slope`, `score` statistics of any change
    (2 degrees of freedom) and of the slope (1), by patient, `n_fitted`, and `held_out`: `n`, `metrics` as
    they are, `metrics_recalibrated`, and the paired `difference` of the Brier score (of a risk) or the
    mean absolute error. `{"missing": reason}` where half of the patients are too few.
    """
    is_fitted = patient_places(patient_id, "recalibration", resampling.seed) < 0.5
    for half in (is_fitted, ~is_fitted):
        n, n_events = int(half.sum()), int(actual[half].sum()) if kind == "risk" else FEWEST_EVENTS
        if n < 2 * FEWEST_EVENTS or min(n_events, n - n_events) < FEWEST_EVENTS:
            needed = f"{FEWEST_EVENTS} rows with and {FEWEST_EVENTS} without the outcome"
            needed = needed if kind == "risk" else f"{2 * FEWEST_EVENTS} rows"
            return {"missing": f"half of the patients have fewer than {needed}"}
    found = recalibrate(kind, value[is_fitted], actual[is_fitted], patient_id[is_fitted])
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
        "score": {"any": found.score_any, "slope": found.score_slope},
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


def _score(scores: Floats, patient: NDArray[np.intp]) -> float:
    """The score statistic of rows' contributions [rows, degrees of freedom], summed by patient."""
    sums = np.column_stack([np.bincount(patient, weights=column) for column in scores.T])
    total = sums.sum(axis=0)
    return float(total @ np.linalg.pinv(sums.T @ sums) @ total)


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
