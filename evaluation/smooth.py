"""The observed share as a smooth curve of the predicted risk: a logistic fit on a restricted cubic spline."""

from __future__ import annotations

import numpy as np

from evaluation.arrays import FloatArray
from evaluation.cells import SMALLEST_SPREAD, Cells, log_odds
from evaluation.logistic import LogisticFit

KNOT_SHARES = {3: (0.10, 0.50, 0.90), 5: (0.05, 0.275, 0.50, 0.725, 0.95)}
"""Quantiles at which the knots lie (Harrell, Regression Modeling Strategies, 2015, section 2.4)."""
ROWS_FOR_FIVE_KNOTS = 100
"""Fewer events or non-events than this give three knots."""
SPLINE_RIDGE = 1e-3
"""Keeps the curve finite where a stretch of predictions has no event; without weight against a single row."""
SMALLEST_GAP_SHARE = 1e-3
"""Neighbouring knots lie at least this share of the log-odds' range apart."""


def knots_of(label: FloatArray, probability: FloatArray, weights: FloatArray) -> FloatArray:
    """Log-odds between which the smooth curve bends: quantiles of the predictions."""
    offset = log_odds(probability)
    n_events = float(weights @ label)
    is_large = min(n_events, float(weights.sum()) - n_events) >= ROWS_FOR_FIVE_KNOTS
    shares = KNOT_SHARES[5 if is_large else 3]
    knots = np.quantile(offset, shares, weights=weights, method="inverted_cdf")
    # Knots that all but coincide would let the curve turn on a few rows.
    gap = max(SMALLEST_SPREAD, SMALLEST_GAP_SHARE * float(np.ptp(offset)))
    apart: FloatArray = knots[np.diff(knots, prepend=-np.inf) > gap]
    return apart


def smooth_fit(cells: Cells, knots: FloatArray) -> LogisticFit:
    """The smoothed observed share by prediction; see `ici` for the smoother."""
    design = natural_spline(cells.log_odds, knots)
    return LogisticFit.of(design, cells.log_odds, cells.n, cells.n_events, ridge=SPLINE_RIDGE)


def natural_spline(values: FloatArray, knots: FloatArray) -> FloatArray:
    """Per knot the natural cubic spline that is 1 there and 0 at the others; linear beyond the outer two."""
    from scipy.interpolate import CubicSpline

    if len(knots) == 1:
        return np.ones((len(values), 1))
    spline = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    inside = np.clip(values, knots[0], knots[-1])
    basis: FloatArray = spline(inside) + spline(inside, 1) * (values - inside)[:, np.newaxis]
    return basis
