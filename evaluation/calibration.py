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
from evaluation.bootstrap import Resampling, sample
from evaluation.cells import SMALLEST_SPREAD, Cells, log_odds
from evaluation.logistic import LogisticFit
from evaluation.patients import Patients, Times
from evaluation.smooth import knots_of, natural_spline, smooth_fit

PerCounts = Callable[[FloatArray, FloatArray], FloatArray]
"""From counts of rows and of events [resamples, cells] to something per resample."""
Z_95 = 1.959963984540054


def calibration_measures(
    label: FloatArray, probability: FloatArray, patients: Patients | None = None, *, exact: bool = False
) -> Measure:
    """Every measure of this module as one measure of weights.

    The smooth curve's knots stay where all rows put them. Unless `exact`, predictions that hardly differ are
    one in the fits and in the ICI: see `evaluation.cells` for how little that moves them.
    """
    whose = patients or Patients.one_per_row(len(label))
    totals = whose.totals(
        {
            "n": np.ones(len(label)),
            "events": label,
            "expected": probability,
            "squared_error": (label - probability) ** 2,
        }
    )
    cells = Cells.of(label, probability, whose, exact=exact)
    in_the_large, slope = _in_the_large(cells), _slope(cells)
    smooth = smooth_fit(cells, knots_of(label, probability, np.ones(len(label))))

    def measure(times: Times) -> Measures:
        total = totals(times)
        prevalence = ratio(total["events"], total["n"])
        brier_score = ratio(total["squared_error"], total["n"])
        rows, events = cells.counts(times)
        return {
            "brier": brier_score,
            "scaled_brier": 1 - ratio(brier_score, prevalence * (1 - prevalence)),
            "calibration_in_the_large": in_the_large(rows, events),
            "calibration_slope": slope(rows, events),
            "ici": _ici(smooth, cells, rows, events),
            "observed_expected_ratio": ratio(total["events"], total["expected"]),
        }

    return measure


def in_the_large_measure(label: FloatArray, probability: FloatArray, patients: Patients) -> Measure:
    """calibration_in_the_large alone, as `calibration_measures` has it."""
    cells = Cells.of(label, probability, patients, exact=False)
    in_the_large = _in_the_large(cells)
    return lambda times: {"calibration_in_the_large": in_the_large(*cells.counts(times))}


def _in_the_large(cells: Cells) -> PerCounts:
    fit = LogisticFit.of(np.ones((len(cells.n), 1)), cells.log_odds, cells.n, cells.n_events)
    return lambda rows, events: fit.coefficients(rows, events)[:, 0]


def _slope(cells: Cells) -> PerCounts:
    centred = cells.log_odds - np.average(cells.log_odds, weights=cells.n)
    spread = float(np.sqrt(np.average(centred**2, weights=cells.n)))
    if spread < SMALLEST_SPREAD:
        return lambda rows, _: np.full(len(rows), np.nan)
    design = np.column_stack([np.ones_like(centred), centred / spread])
    # With the log-odds as offset, the coefficient is the slope's distance from 1.
    fit = LogisticFit.of(design, cells.log_odds, cells.n, cells.n_events)
    return lambda rows, events: 1 + fit.coefficients(rows, events)[:, 1] / spread


def _ici(fit: LogisticFit, cells: Cells, rows: FloatArray, events: FloatArray) -> FloatArray:
    smooth = fit.fitted(fit.coefficients(rows, events))
    return ratio((rows * np.abs(smooth - cells.probability)).sum(axis=1), rows.sum(axis=1))


def _rows(
    label: Vector, probability: Vector, weights: Vector | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    outcome, predicted = labels(label), probabilities(probability)
    return outcome, predicted, one_resample(weights, same_length(label=outcome, probability=predicted))


def _exact_cells(label: FloatArray, probability: FloatArray) -> Cells:
    return Cells.of(label, probability, Patients.one_per_row(len(label)), exact=True)


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
    cells = _exact_cells(outcome, predicted)
    return float(_in_the_large(cells)(*cells.counts(weight))[0])


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
    cells = _exact_cells(outcome, predicted)
    return float(_slope(cells)(*cells.counts(weight))[0])


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
    cells = _exact_cells(outcome, predicted)
    fit = smooth_fit(cells, knots_of(outcome, predicted, weight[0]))
    return float(_ici(fit, cells, *cells.counts(weight))[0])


def smooth_calibration_band(
    label: Vector, probability: Vector, patient_id: Vector, resampling: Resampling, *, n_points: int = 100
) -> pd.DataFrame:
    """The smoothed observed share with its pointwise 95 % interval over resampled patients, for a plot.

    Columns: predicted (that many quantiles of the predictions, lowest first, each once), observed, low, high.
    The outer hundredths of the predictions hold too few rows for a curve worth seeing and are left out. NaN
    if all outcomes are the same; the ends are NaN for a single patient.
    """
    outcome, predicted = labels(label), probabilities(probability)
    patients = Patients.of(patient_id, same_length(label=outcome, probability=predicted))
    cells = Cells.of(outcome, predicted, patients, exact=False)
    knots = knots_of(outcome, predicted, np.ones(len(outcome)))
    fit = smooth_fit(cells, knots)
    points = np.unique(np.quantile(predicted, np.linspace(0.01, 0.99, n_points), method="inverted_cdf"))
    on_grid = fit.at(natural_spline(log_odds(points), knots), log_odds(points))
    names = [f"{place}" for place in range(len(points))]

    def measure(times: Times) -> Measures:
        return dict(zip(names, on_grid.fitted(fit.coefficients(*cells.counts(times))).T, strict=True))

    found = sample(measure, patients.count, resampling, undefined={}).metrics()
    columns = {end: [found[name][end] for name in names] for end in ("value", "low", "high")}
    band = pd.DataFrame({"predicted": points, **columns}, dtype=np.float64)
    return band.rename(columns={"value": "observed"})


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
