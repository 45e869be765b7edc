"""How far expected costs are off, in money and in shares, and whether their intervals hold.

`actual` and `expected` are in the data set's currency; evaluate raw costs, since those are what is paid.
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
    numbers,
    one_resample,
    quantile_bins,
    ratio,
    same_length,
    sums_by_bin,
)
from evaluation.patients import Patients, Times, crossings

SMALLEST_SHARE = 1e-6
"""Of the mean: expected amounts are held above it before their logarithm is taken."""
INTERVAL_MEASURES = ("interval_coverage", "interval_width", "interval_width_median", "interval_open_share")


def error_measures(actual: FloatArray, expected: FloatArray, patients: Patients | None = None) -> Measure:
    """mae, mdae, wape, r2, d2 and bias as a measure of weights."""
    from scipy.special import xlogy

    whose = patients or Patients.one_per_row(len(actual))
    error = np.abs(actual - expected)
    # An amount of nothing or less is never expected, but of a regression that was moved by an offset.
    foreseen = np.maximum(expected, SMALLEST_SHARE * max(float(np.abs(actual).mean()), SMALLEST_SHARE))
    held = np.maximum(actual, 0.0)
    # Moments about the mean: with sums of raw squares, r2 of large amounts would lose its digits.
    centred = actual - actual.mean()
    totals = whose.totals(
        {
            "n": np.ones(len(actual)),
            "actual": actual,
            "absolute": np.abs(actual),
            "expected": expected,
            "error": error,
            "squared_error": error**2,
            "centred": centred,
            "squared": centred**2,
            "deviance": xlogy(held, held / foreseen) - held + foreseen,
            "held": held,
            "held_log": xlogy(held, held),
        }
    )
    median_error = weighted_median(error, whose)

    def measure(times: Times) -> Measures:
        total = totals(times)
        n = total["n"]
        variance = ratio(total["squared"], n) - ratio(total["centred"], n) ** 2
        # Rounding leaves a trace of variance where there is none.
        variance[variance < 1e-12 * np.mean(actual**2)] = 0.0
        of_mean = total["held_log"] - xlogy(total["held"], ratio(total["held"], n))
        # As of the variance.
        of_mean[of_mean < 1e-12 * np.abs(total["held_log"])] = 0.0
        return {
            "mae": ratio(total["error"], n),
            "mdae": median_error(times),
            "wape": ratio(total["error"], total["absolute"]),
            "r2": 1 - ratio(ratio(total["squared_error"], n), variance),
            "d2": 1 - ratio(total["deviance"], of_mean),
            "bias": ratio(total["expected"], total["actual"]),
        }

    return measure


def interval_measures(
    actual: FloatArray, low: FloatArray, high: FloatArray, patients: Patients | None = None
) -> Measure:
    """interval_coverage, and interval_width with its median and open share, as a measure of weights."""
    whose = patients or Patients.one_per_row(len(actual))
    is_open = np.isinf(high)
    width = high - low
    totals = whose.totals(
        {
            "n": np.ones(len(actual)),
            "inside": ((low <= actual) & (actual <= high)).astype(np.float64),
            "open": is_open.astype(np.float64),
            "width": np.where(is_open, 0.0, width),
        }
    )
    median_width = weighted_median(width, whose)

    def measure(times: Times) -> Measures:
        total = totals(times)
        return {
            "interval_coverage": ratio(total["inside"], total["n"]),
            "interval_width": ratio(total["width"], total["n"] - total["open"]),
            "interval_width_median": median_width(times),
            "interval_open_share": ratio(total["open"], total["n"]),
        }

    return measure


def mean_measure(name: str, values: FloatArray, patients: Patients) -> Measure:
    """The mean of a value per row as a measure of weights."""
    totals = patients.totals({"n": np.ones(len(values)), "value": values})

    def measure(times: Times) -> Measures:
        total = totals(times)
        return {name: ratio(total["value"], total["n"])}

    return measure


def weighted_median(values: FloatArray, patients: Patients) -> Callable[[Times], FloatArray]:
    """From resamples to the median of the values, one per resample; NaN where nothing has weight.

    As for repeated rows: if exactly half of the weight lies below, the mean of the two middle values.
    """
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    running = patients.running(order)

    def median(times: Times) -> FloatArray:
        below = running(times)
        half = below[:, -1:] / 2
        last = len(ascending)
        lower = ascending[np.clip(crossings(below, half), 1, last)[:, 0] - 1]
        upper = ascending[np.clip(crossings(below, half, side="right"), 1, last)[:, 0] - 1]
        return np.where(half[:, 0] > 0, (lower + upper) / 2, np.nan)

    return median


def _error(name: str, actual: Vector, expected: Vector, weights: Vector | None) -> float:
    observed, predicted = numbers(actual, "actual"), numbers(expected, "expected")
    resample = one_resample(weights, same_length(actual=observed, expected=predicted))
    return float(error_measures(observed, predicted)(resample)[name][0])


def mae(actual: Vector, expected: Vector, weights: Vector | None = None) -> float:
    """Mean absolute error, in money."""
    return _error("mae", actual, expected, weights)


def mdae(actual: Vector, expected: Vector, weights: Vector | None = None) -> float:
    """Median absolute error, in money: what a typical admission is off by, whatever the few dear ones do."""
    return _error("mdae", actual, expected, weights)


def wape(actual: Vector, expected: Vector, weights: Vector | None = None) -> float:
    """Σ|actual − expected| ÷ Σ|actual|; NaN if all costs are 0."""
    return _error("wape", actual, expected, weights)


def r2(actual: Vector, expected: Vector, weights: Vector | None = None) -> float:
    """1 − squared error ÷ variance of actual costs; below 0 if worse than their mean, NaN if all equal."""
    return _error("r2", actual, expected, weights)


def d2(actual: Vector, expected: Vector, weights: Vector | None = None) -> float:
    """1 − Poisson deviance ÷ that of the mean of all; NaN if all amounts are equal.

    Proper for the mean: the true mean is expected to reach the most, where WAPE is best for medians, too low
    for amounts with a long tail. It weighs errors by the root of the amount, where R² hangs on a few dear
    stays. Amounts below 0 count as 0. Source: Gneiting, J Am Stat Assoc 2011;106:746–762.
    """
    return _error("d2", actual, expected, weights)


def bias(actual: Vector, expected: Vector, weights: Vector | None = None) -> float:
    """Predicted ÷ actual total; above 1, costs are predicted too high. NaN unless the actual is positive."""
    return _error("bias", actual, expected, weights)


def bias_by_decile(
    actual: Vector, expected: Vector, weights: Vector | None = None, *, n_bins: int = 10
) -> pd.DataFrame:
    """Predicted ÷ actual by decile of the prediction, cheapest first.

    Columns: n, mean_expected, mean_actual, bias (NaN without a positive actual mean). Equal predictions share
    a bin. Bins without weight are left out.
    """
    observed, predicted = numbers(actual, "actual"), numbers(expected, "expected")
    weight = one_resample(weights, same_length(actual=observed, expected=predicted))[0]
    bins = quantile_bins(predicted, weight, n_bins)
    n, paid, awaited = sums_by_bin(bins, weight, observed, predicted)
    return pd.DataFrame(
        {"n": n, "mean_expected": awaited / n, "mean_actual": paid / n, "bias": ratio(awaited, paid)}
    )


def check_interval(low: Vector, high: Vector) -> tuple[FloatArray, FloatArray]:
    """The interval's ends; the upper may be infinite. Raises ValueError with a count if ends are crossed."""
    lower, upper = numbers(low, "low"), numbers(high, "high", finite=False)
    same_length(low=lower, high=upper)
    n_crossed = int((lower > upper).sum())
    if n_crossed:
        raise ValueError(f"low, high: {n_crossed} of {len(lower)} intervals end before they begin.")
    return lower, upper


def interval_coverage(actual: Vector, low: Vector, high: Vector, weights: Vector | None = None) -> float:
    """Share of actual costs within their interval, ends included; to be held against the interval's level."""
    return interval_summary(actual, low, high, weights)["interval_coverage"]


def interval_width(low: Vector, high: Vector, weights: Vector | None = None) -> dict[str, float]:
    """Width in money, and the share without a finite upper end, as `mean`, `median` and `open_share`.

    The mean is over intervals with a finite upper end (NaN if there are none). The median is over all of
    them, open ones counting as the widest (infinite from half of them on).
    """
    summary = interval_summary(low, low, high, weights)
    return {
        "mean": summary["interval_width"],
        "median": summary["interval_width_median"],
        "open_share": summary["interval_open_share"],
    }


def interval_summary(
    actual: Vector, low: Vector, high: Vector, weights: Vector | None = None
) -> dict[str, float]:
    """Coverage and width by their names in `interval_measures`."""
    observed, (lower, upper) = numbers(actual, "actual"), check_interval(low, high)
    resample = one_resample(weights, same_length(actual=observed, low=lower))
    return {name: float(v[0]) for name, v in interval_measures(observed, lower, upper)(resample).items()}
