"""What recalibration a model asks for elsewhere: as little as the tests by patient allow."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, ndtr

from evaluation.bootstrap import Resampling
from models.units import Kind
from training.external.recalibration import recalibrate, suggestion

N = 20_000
RESAMPLING = Resampling(0, 20)
ONE_EACH = pd.Series(np.arange(N))
"""Every row another patient's."""


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
    found = recalibrate("risk", *risks(0.0, 1.0), ONE_EACH)
    assert found is not None
    assert (found.method, found.intercept, found.slope) == ("none", 0.0, 1.0)


def test_a_risk_that_is_too_high_everywhere_alike_is_shifted():
    found = recalibrate("risk", *risks(-0.5, 1.0), ONE_EACH)
    assert found is not None
    # Of 20,000 outcomes with a variance of about 0.12 the shift is known to 1 / sqrt(20,000 × 0.12) = 0.02.
    assert (found.method, found.slope) == ("shift", 1.0)
    assert found.intercept == pytest.approx(-0.5, abs=0.06)


def test_a_risk_that_is_too_extreme_gets_a_line():
    found = recalibrate("risk", *risks(0.3, 0.6), ONE_EACH)
    assert found is not None
    assert found.method == "slope"
    assert (found.intercept, found.slope) == (pytest.approx(0.3, abs=0.1), pytest.approx(0.6, abs=0.06))
    # And the line undoes it: log-odds of 2 become 0.3 + 0.6 × 2 = 1.5.
    applied = found.applied("risk", np.array([expit(2.0)]))
    assert math.log(applied[0] / (1 - applied[0])) == pytest.approx(found.intercept + 2 * found.slope)


def test_the_shift_of_an_amount_makes_totals_agree_and_a_few_dear_stays_do_not_pass_for_a_line():
    expected, actual = amounts(math.log(1.2), 1.0)
    found = recalibrate("amount", expected, actual, ONE_EACH)
    assert found is not None
    assert (found.method, found.slope) == ("shift", 1.0)
    assert found.applied("amount", expected).sum() == pytest.approx(actual.sum(), rel=1e-9)


def test_an_amount_that_is_too_extreme_gets_a_line():
    # 9 is the middle of the logarithm: exp(9 × 0.3) keeps the level while the slope falls to 0.7.
    found = recalibrate("amount", *amounts(9.0 * 0.3, 0.7), ONE_EACH)
    assert found is not None
    assert found.method == "slope"
    assert found.slope == pytest.approx(0.7, abs=0.05)


def test_calibrated_amounts_are_left_although_they_vary_far_more_than_counts():
    # Their variance is mean² / 2, thousands of times the mean: taken for counts, they would ask for a line.
    found = recalibrate("amount", *amounts(0.0, 1.0), ONE_EACH)
    assert found is not None
    assert found.method == "none"


def test_a_patients_rows_again_say_no_more_than_once_and_other_patients_do():
    # Predicted 0.5: 7 of 10 have the outcome. Residuals sum to 2, their squares to 10 × 0.25 = 2.5.
    # Predicted 0.75: 9 of 10. They sum to 9 × 0.25 - 0.75 = 1.5, squares to 9 × 0.0625 + 0.5625 = 1.125.
    # Two values, two degrees of freedom: 2² ÷ 2.5 + 1.5² ÷ 1.125 = 1.6 + 2 = 3.6, below 5.99.
    value = np.repeat([0.5, 0.75], 10)
    actual = np.array([1.0] * 7 + [0.0] * 3 + [1.0] * 9 + [0.0])
    patients = pd.Series(np.arange(20))
    once = recalibrate("risk", value, actual, patients)
    twice = np.tile(value, 2), np.tile(actual, 2)
    again = recalibrate("risk", *twice, pd.concat([patients, patients]))
    others = recalibrate("risk", *twice, pd.concat([patients, patients + 20]))
    assert once is not None
    assert again is not None
    assert others is not None
    assert (once.score_any, once.method) == (pytest.approx(3.6), "none")
    # Sums twice as large, their squares four times: the same. Of twice as many patients: 7.2.
    assert (again.score_any, again.method) == (pytest.approx(3.6), "none")
    assert others.score_any == pytest.approx(7.2)
    assert others.method != "none"


def test_what_the_slope_is_tested_by_is_what_it_tells_beyond_the_shift():
    # Predicted 1 and e, 4 rows each, two a patient; 6 and 14 came. A shift by 20 ÷ (4 + 4e) = 1.3447 expects
    # 1.3447 and 3.6553 a row, with weights likewise: of the tilt, -1 or 1, the mean is (3.6553 - 1.3447) ÷ 5
    # = 0.4621, beyond which lie -1.4621 and 0.5379. Each patient's residuals sum to 3 - 2.6894 = 0.3106, or
    # to 7 - 7.3106 = -0.3106. So their scores are twice -1.4621 × 0.3106 and twice 0.5379 × -0.3106, the sum
    # -4 × 0.3106; its square over the sum of squares is 16 ÷ (2 × 2.1378 + 2 × 0.2893) = 3.296.
    value, actual = np.repeat([1.0, math.e], 4), np.array([1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0])
    found = recalibrate("amount", value, actual, pd.Series([0, 0, 1, 1, 2, 2, 3, 3]))
    assert found is not None
    assert found.score_slope == pytest.approx(3.296, abs=0.001)


def dependent(random: np.random.Generator, kind: Kind, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated predictions of 150 patients with `n_rows` rows each, whose outcomes depend on one another.

    A patient's risks are met together by a normal draw that is half the patient's own; amounts are multiplied
    by the patient's own factor of mean 1.
    """
    value = random.normal(0.0, 0.8, (150, 1)) + random.normal(0.0, 0.3, (150, n_rows))
    own, each = random.normal(size=(150, 1)), random.normal(size=(150, n_rows))
    if kind == "risk":
        risk = expit(value - 1.0)
        return risk.ravel(), (ndtr(math.sqrt(0.5) * (own + each)) < risk).astype(float).ravel()
    expected = np.exp(8.0 + value)
    # The logarithm's variance is 0.3 + 0.3: the mean of its exponential is 1 with 0.3 taken off.
    return expected.ravel(), (expected * np.exp(math.sqrt(0.3) * (own + each) - 0.3)).ravel()


@pytest.mark.parametrize("kind", ["risk", "amount"])
@pytest.mark.parametrize("n_rows", [3, 5])
def test_calibrated_predictions_of_dependent_rows_are_rarely_found_off(kind: Kind, n_rows: int):
    random, patients = np.random.default_rng(0), pd.Series(np.repeat(np.arange(150), n_rows))
    found = [recalibrate(kind, *dependent(random, kind, n_rows), patients) for _ in range(400)]
    share = np.mean([each is not None and each.method != "none" for each in found])
    # 5 % promised, with a standard error of 1.1 points; taken as independent, the rows gave 15 to 30 %.
    assert 0.02 < share < 0.085


@pytest.mark.parametrize("value", [np.full(400, 0.2), np.linspace(0.9, 0.1, 400)])
def test_where_no_line_rises_there_is_no_recalibration(value: np.ndarray):
    # The same for everyone; and the more is foretold, the less comes.
    actual = (np.arange(400) > 200).astype(float) * (np.arange(400) % 2)
    assert recalibrate("risk", value, actual, ONE_EACH[:400]) is None


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
