"""What recalibration a model asks for elsewhere: as little as the likelihood ratio allows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from evaluation.bootstrap import Resampling
from training.recalibration import recalibrate, suggestion

N = 20_000
RESAMPLING = Resampling(0, 20)


def risks(intercept: float, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predicted risks, and outcomes whose true log-odds are intercept + slope × the predicted log-odds."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1.5, 1.0, N)
    return expit(log_odds), (random.random(N) < expit(intercept + slope * log_odds)).astype(float)


def amounts(intercept: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Expected amounts around 8,000, and actual ones of mean exp(intercept) × expected ** slope."""
    random = np.random.default_rng(1)
    expected = np.exp(random.normal(9.0, 0.5, N))
    return expected, random.gamma(2.0, np.exp(intercept) * expected**slope / 2.0)


def test_a_calibrated_risk_is_left_as_it_is():
    found = recalibrate("risk", *risks(0.0, 1.0))
    assert found is not None
    assert (found.method, found.intercept, found.slope) == ("none", 0.0, 1.0)


def test_a_risk_that_is_too_high_everywhere_alike_is_shifted():
    found = recalibrate("risk", *risks(-0.5, 1.0))
    assert found is not None
    # Of 20,000 outcomes with a variance of about 0.12 the shift is known to 1 / sqrt(20,000 × 0.12) = 0.02.
    assert (found.method, found.slope) == ("shift", 1.0)
    assert found.intercept == pytest.approx(-0.5, abs=0.06)


def test_a_risk_that_is_too_extreme_gets_a_line():
    found = recalibrate("risk", *risks(0.3, 0.6))
    assert found is not None
    assert found.method == "slope"
    assert (found.intercept, found.slope) == (pytest.approx(0.3, abs=0.1), pytest.approx(0.6, abs=0.06))
    # And the line undoes it: log-odds of 2 become 0.3 + 0.6 × 2 = 1.5.
    applied = found.applied("risk", np.array([expit(2.0)]))
    assert math.log(applied[0] / (1 - applied[0])) == pytest.approx(found.intercept + 2 * found.slope)


def test_the_shift_of_an_amount_makes_totals_agree_and_a_few_dear_stays_do_not_pass_for_a_line():
    expected, actual = amounts(math.log(1.2), 1.0)
    found = recalibrate("amount", expected, actual)
    assert found is not None
    assert (found.method, found.slope) == ("shift", 1.0)
    assert found.applied("amount", expected).sum() == pytest.approx(actual.sum(), rel=1e-9)


def test_an_amount_that_is_too_extreme_gets_a_line():
    # 9 is the middle of the logarithm: exp(9 × 0.3) keeps the level while the slope falls to 0.7.
    found = recalibrate("amount", *amounts(9.0 * 0.3, 0.7))
    assert found is not None
    assert found.method == "slope"
    assert found.slope == pytest.approx(0.7, abs=0.05)


def test_calibrated_amounts_are_left_although_they_vary_far_more_than_counts():
    # Their variance is mean² / 2, thousands of times the mean: without the dispersion ratios would be huge.
    found = recalibrate("amount", *amounts(0.0, 1.0))
    assert found is not None
    assert found.method == "none"


@pytest.mark.parametrize("value", [np.full(400, 0.2), np.linspace(0.9, 0.1, 400)])
def test_where_no_line_rises_there_is_no_recalibration(value: np.ndarray):
    # The same for everyone; and the more is foretold, the less comes.
    actual = (np.arange(400) > 200).astype(float) * (np.arange(400) % 2)
    assert recalibrate("risk", value, actual) is None


def test_the_suggestion_is_fitted_on_half_of_the_patients_and_shown_on_the_others():
    value, actual = risks(-0.5, 1.0)
    patients = pd.Series([f"P{row // 2}" for row in range(N)])
    found = suggestion("risk", value, actual, patients, RESAMPLING)
    assert found["suggested"] == "shift"
    assert found["n_fitted"] + found["held_out"]["n"] == N
    assert found["n_fitted"] == pytest.approx(N / 2, rel=0.05)
    before, after = (found["held_out"][name] for name in ("metrics", "metrics_recalibrated"))
    assert before["calibration_in_the_large"]["value"] == pytest.approx(-0.5, abs=0.1)
    assert after["calibration_in_the_large"]["value"] == pytest.approx(0.0, abs=0.1)
    difference = found["held_out"]["difference"]
    assert difference["value"] == pytest.approx(after["brier"]["value"] - before["brier"]["value"])
    assert difference["high"] < 0
    # Ranking is not touched by a line that rises.
    assert after["auroc"]["value"] == pytest.approx(before["auroc"]["value"])


def test_an_amounts_suggestion_is_judged_by_its_error():
    value, actual = amounts(math.log(1.5), 1.0)
    patients = pd.Series([f"P{row}" for row in range(N)])
    found = suggestion("amount", value, actual, patients, RESAMPLING)
    assert found["suggested"] == "shift"
    assert math.exp(found["intercept"]) == pytest.approx(1.5, rel=0.03)
    assert found["held_out"]["metrics_recalibrated"]["bias"]["value"] == pytest.approx(1.0, abs=0.03)
    assert found["held_out"]["difference"]["high"] < 0


def test_too_few_patients_suggest_nothing():
    value, actual = risks(0.0, 1.0)
    patients = pd.Series([f"P{row}" for row in range(200)])
    # 200 rows with about 45 events: half of them has some 22.
    found = suggestion("risk", value[:200], actual[:200], patients, RESAMPLING)
    assert found == {
        "missing": "half of the patients have fewer than 50 rows with and 50 without the outcome"
    }
