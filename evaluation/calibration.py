"""Whether predicted probabilities mean what they say.

Sources: Van Calster et al., BMC Medicine 2019;17:230 (calibration-in-the-large, slope, curves);
Austin and Steyerberg, Statistics in Medicine 2019;38:4051–4065 (the integrated calibration index);
Steyerberg et al., Epidemiology 2010;21:128–138 (the scaled Brier score).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from evaluation.arrays import (
    FloatArray,
    Measure,
    Measures,
    Vector,
    labels,
    mean,
    one_resample,
    probabilities,
    quantile_bins,
    ratio,
    same_length,
    sums_by_bin,
)
from evaluation.logistic import LogisticFit

SMALLEST_PROBABILITY = 1e-6
"""Probabilities are held this far from 0 and 1 before their log-odds are taken, and only there."""
KNOT_SHARES = {3: (0.10, 0.50, 0.90), 5: (0.05, 0.275, 0.50, 0.725, 0.95)}
"""Quantiles at which the knots lie (Harrell, Regression Modeling Strategies, 2015, section 2.4)."""
ROWS_FOR_FIVE_KNOTS = 100
"""Fewer events or non-events than this give three knots."""
SPLINE_RIDGE = 1e-3
"""Keeps the curve finite where a stretch of predictions has no event; without weight against a single row."""
SMALLEST_SPREAD = 1e-9
"""Log-odds that differ less than this are one prediction."""
SMALLEST_GAP_SHARE = 1e-3
"""Neighbouring knots lie at least this share of the log-odds' range apart."""
PerResample = Callable[[FloatArray], FloatArray]
"""From weights [resamples, rows] to something per resample."""
Z_95 = 1.959963984540054


def log_odds(probability: FloatArray) -> FloatArray:
    """The log-odds of probabilities held within 1e-6 of 0 and 1."""
    held = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    result: FloatArray = np.log(held / (1 - held))
    return result


def calibration_measures(label: FloatArray, probability: FloatArray) -> Measure:
    """Every measure of this module as one measure of weights.

    The smooth curve's knots stay where all rows put them.
    """
    squared_error = (label - probability) ** 2
    in_the_large, slope = _in_the_large(label, probability), _slope(label, probability)
    smooth = _smooth_curve(label, probability, np.ones(len(label)))

    def measure(weights: FloatArray) -> Measures:
        prevalence, brier_score = mean(weights, label), mean(weights, squared_error)
        return {
            "brier": brier_score,
            "scaled_brier": 1 - ratio(brier_score, prevalence * (1 - prevalence)),
            "calibration_in_the_large": in_the_large(weights),
            "calibration_slope": slope(weights),
            "ici": _distance(smooth(weights), probability, weights),
            "observed_expected_ratio": ratio(prevalence, mean(weights, probability)),
        }

    return measure


def _in_the_large(label: FloatArray, probability: FloatArray) -> PerResample:
    fit = LogisticFit.of(np.ones((len(label), 1)), log_odds(probability), label)
    return lambda weights: fit.coefficients(weights)[:, 0]


def _slope(label: FloatArray, probability: FloatArray) -> PerResample:
    offset = log_odds(probability)
    spread = float(offset.std())
    if spread < SMALLEST_SPREAD:
        return lambda weights: np.full(len(weights), np.nan)
    standardised = (offset - offset.mean()) / spread
    # With the log-odds as offset, the coefficient is the slope's distance from 1.
    fit = LogisticFit.of(np.column_stack([np.ones_like(offset), standardised]), offset, label)
    return lambda weights: 1 + fit.coefficients(weights)[:, 1] / spread


def _smooth_curve(label: FloatArray, probability: FloatArray, weights: FloatArray) -> PerResample:
    """The smoothed observed share at every row's prediction [resamples, rows]; see `ici` for the smoother."""
    offset = log_odds(probability)
    n_events = float(weights @ label)
    is_large = min(n_events, float(weights.sum()) - n_events) >= ROWS_FOR_FIVE_KNOTS
    shares = KNOT_SHARES[5 if is_large else 3]
    knots = np.quantile(offset, shares, weights=weights, method="inverted_cdf")
    # Knots that all but coincide would let the curve turn on a few rows.
    knots = knots[
        np.diff(knots, prepend=-np.inf) > max(SMALLEST_SPREAD, SMALLEST_GAP_SHARE * float(np.ptp(offset)))
    ]
    fit = LogisticFit.of(_natural_spline(offset, knots), offset, label, ridge=SPLINE_RIDGE)
    return lambda resamples: fit.fitted(fit.coefficients(resamples))


def _natural_spline(values: FloatArray, knots: FloatArray) -> FloatArray:
    """Per knot the natural cubic spline that is 1 there and 0 at the others; linear beyond the outer two."""
    from scipy.interpolate import CubicSpline

    if len(knots) == 1:
        return np.ones((len(values), 1))
    spline = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    inside = np.clip(values, knots[0], knots[-1])
    basis: FloatArray = spline(inside) + spline(inside, 1) * (values - inside)[:, np.newaxis]
    return basis


def _distance(smooth: FloatArray, probability: FloatArray, weights: FloatArray) -> FloatArray:
    return ratio((weights * np.abs(smooth - probability)).sum(axis=1), weights.sum(axis=1))


def _rows(
    label: Vector, probability: Vector, weights: Vector | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    outcome, predicted = labels(label), probabilities(probability)
    return outcome, predicted, one_resample(weights, same_length(label=outcome, probability=predicted))


def brier(label: Vector, probability: Vector, weights: Vector | None = None) -> float:
    """Mean squared distance of probability and outcome; 0 is perfect."""
    outcome, predicted, weight = _rows(label, probability, weights)
    return float(mean(weight, (outcome - predicted) ** 2)[0])


def scaled_brier(label: Vector, probability: Vector, weights: Vector | None = None) -> float:
    """1 − Brier ÷ the Brier score of predicting the prevalence for everyone; 1 is perfect, 0 no better.

    Can be negative. NaN if all rows have the same outcome.
    """
    outcome, predicted, weight = _rows(label, probability, weights)
    prevalence = mean(weight, outcome)
    return float(1 - ratio(mean(weight, (outcome - predicted) ** 2), prevalence * (1 - prevalence))[0])


def calibration_in_the_large(label: Vector, probability: Vector, weights: Vector | None = None) -> float:
    """Observed minus expected in log-odds: the intercept of a logistic fit with slope 1; 0 is ideal.

    Positive: risks are predicted too low. NaN if all rows have the same outcome.
    """
    outcome, predicted, weight = _rows(label, probability, weights)
    return float(_in_the_large(outcome, predicted)(weight)[0])


def observed_expected_ratio(label: Vector, probability: Vector, weights: Vector | None = None) -> float:
    """Mean outcome ÷ mean probability; above 1, risks are predicted too low. NaN if no risk is predicted."""
    outcome, predicted, weight = _rows(label, probability, weights)
    return float(ratio(mean(weight, outcome), mean(weight, predicted))[0])


def calibration_slope(label: Vector, probability: Vector, weights: Vector | None = None) -> float:
    """Slope of the logistic regression of the outcome on the predicted log-odds; 1 is ideal.

    Below 1, predictions are too extreme. NaN if all outcomes or all predictions are the same, or if the
    predictions separate the outcomes, which leaves no finite slope.
    """
    outcome, predicted, weight = _rows(label, probability, weights)
    return float(_slope(outcome, predicted)(weight)[0])


def ici(label: Vector, probability: Vector, weights: Vector | None = None) -> float:
    """Integrated calibration index: the mean distance of prediction and smoothed observed share; 0 is ideal.

    Austin and Steyerberg smooth by loess. Here the curve is a logistic regression on a restricted cubic
    spline of the predicted log-odds with five knots (three below 100 events or non-events), as in the index's
    own later papers (Austin, Harrell and van Klaveren, Statistics in Medicine 2020;39:2714–2742). It takes
    weights, its time is proportional to the rows and it stays within 0 to 1, none of which loess does; and
    isotonic regression, the other candidate, follows the noise and finds calibrated models miscalibrated.
    NaN if all rows have the same outcome.
    """
    outcome, predicted, weight = _rows(label, probability, weights)
    return float(_distance(_smooth_curve(outcome, predicted, weight[0])(weight), predicted, weight)[0])


def smooth_calibration(label: Vector, probability: Vector) -> FloatArray:
    """The smoothed observed share at each prediction, as `ici` has it; NaN if all outcomes are the same."""
    outcome, predicted, everyone = _rows(label, probability, None)
    curve: FloatArray = _smooth_curve(outcome, predicted, everyone[0])(everyone)[0]
    return curve


def calibration_curve(
    label: Vector, probability: Vector, weights: Vector | None = None, *, n_bins: int = 10
) -> pd.DataFrame:
    """Predicted and observed by bin of equal size, lowest risk first, for a plot.

    Columns: n, n_events, mean_predicted, observed_share, and its 95 % Wilson interval low, high. The interval
    takes rows as independent; where patients have many rows it is a little too narrow. Equal predictions
    share a bin. Bins without weight are left out.
    """
    outcome, predicted, resample = _rows(label, probability, weights)
    weight = resample[0]
    bins = quantile_bins(predicted, weight, n_bins)
    n, n_events, expected = sums_by_bin(bins, weight, outcome, predicted)
    low, high = wilson_interval(n_events, n)
    return pd.DataFrame(
        {
            "n": n,
            "n_events": n_events,
            "mean_predicted": expected / n,
            "observed_share": n_events / n,
            "low": low,
            "high": high,
        }
    )


def wilson_interval(n_events: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """95 % interval of a share (Wilson, JASA 1927;22:209–212)."""
    centre = (n_events + Z_95**2 / 2) / (n + Z_95**2)
    half_width = Z_95 / (n + Z_95**2) * np.sqrt(n_events * (n - n_events) / n + Z_95**2 / 4)
    return np.clip(centre - half_width, 0.0, 1.0), np.clip(centre + half_width, 0.0, 1.0)
