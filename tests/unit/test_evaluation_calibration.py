"""Calibration: numbers by hand, parity with scikit-learn and model-diagnostics, and the smoother's merit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from model_diagnostics.calibration import compute_bias
from model_diagnostics.scoring import SquaredError
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from evaluation.calibration import (
    brier,
    calibration_curve,
    calibration_in_the_large,
    calibration_slope,
    ici,
    log_odds,
    observed_expected_ratio,
    scaled_brier,
    wilson_interval,
)


def shares(*groups: tuple[float, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of groups of (probability, rows, events)."""
    label = np.concatenate([np.arange(n) < events for _, n, events in groups]).astype(int)
    return label, np.concatenate([np.full(n, probability) for probability, n, _ in groups])


def simulated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes drawn from the very probabilities: a perfectly calibrated model, prevalence near 15 %."""
    random = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-random.normal(-2, 0.9, n)))
    return (random.random(n) < probability).astype(int), probability


def test_brier_is_the_mean_squared_distance() -> None:
    # (0.2² + 0.3²) / 2 = 0.065; predicting the prevalence 0.5 gives 0.25; 1 − 0.065/0.25 = 0.74.
    assert brier([0, 1], [0.2, 0.7]) == pytest.approx(0.065)
    assert scaled_brier([0, 1], [0.2, 0.7]) == pytest.approx(0.74)


def test_predicting_the_prevalence_has_a_scaled_brier_of_zero() -> None:
    assert scaled_brier([0, 0, 0, 1], [0.25] * 4) == pytest.approx(0)


def test_calibration_in_the_large_is_the_shift_in_log_odds() -> None:
    # 3 of 4 where 1/2 was predicted: odds 3 instead of 1, ln 3; observed ÷ expected 0.75/0.5 = 1.5.
    label, probability = shares((0.5, 4, 3))
    assert calibration_in_the_large(label, probability) == pytest.approx(math.log(3))
    assert observed_expected_ratio(label, probability) == pytest.approx(1.5)


def test_labels_in_exactly_the_predicted_shares_have_slope_1_and_no_shift() -> None:
    label, probability = shares((0.2, 10, 2), (0.5, 10, 5), (0.8, 10, 8))
    assert calibration_slope(label, probability) == pytest.approx(1)
    assert calibration_in_the_large(label, probability) == pytest.approx(0, abs=1e-9)
    assert ici(label, probability) == pytest.approx(0, abs=1e-6)


def test_predictions_half_as_extreme_as_the_truth_have_slope_2() -> None:
    # Predicted odds 1:2 and 2:1, observed 1:4 and 4:1: log-odds −ln 2, ln 2 and −2 ln 2, 2 ln 2.
    label, probability = shares((1 / 3, 10, 2), (2 / 3, 10, 8))
    assert calibration_slope(label, probability) == pytest.approx(2)
    # Each group is off by |1/3 − 1/5| = |2/3 − 4/5| = 2/15; the ridge moves the curve in the fourth digit.
    assert ici(label, probability) == pytest.approx(2 / 15, abs=5e-4)


def test_one_prediction_for_everyone_has_an_ici_but_no_slope() -> None:
    label, probability = shares((0.5, 4, 3))
    assert ici(label, probability) == pytest.approx(0.25, abs=5e-4)
    assert math.isnan(calibration_slope(label, probability))


def test_slope_and_shift_equal_an_unpenalised_logistic_regression() -> None:
    label, truth = simulated(3000, seed=1)
    probability = 1 / (1 + np.exp(-(1.4 * log_odds(truth) + 0.3)))
    weights = np.random.default_rng(2).integers(0, 3, 3000)
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    fit.fit(log_odds(probability).reshape(-1, 1), label, sample_weight=weights)
    assert calibration_slope(label, probability, weights) == pytest.approx(fit.coef_[0, 0], abs=1e-5)
    # At the maximum the shifted probabilities add up to the events.
    shift = calibration_in_the_large(label, probability, weights)
    shifted = 1 / (1 + np.exp(-(log_odds(probability) + shift)))
    assert weights @ shifted == pytest.approx(weights @ label, rel=1e-7)


@pytest.mark.filterwarnings("ignore:the string cache:DeprecationWarning")
def test_brier_and_mean_bias_equal_model_diagnostics() -> None:
    label, probability = simulated(500, seed=4)
    weights = np.random.default_rng(5).random(500)
    assert brier(label, probability, weights) == pytest.approx(SquaredError()(label, probability, weights))
    bias = float(compute_bias(y_obs=label, y_pred=probability, weights=weights)["bias_mean"][0])
    ratio = observed_expected_ratio(label, probability, weights)
    # The package has predicted − observed, here it is observed ÷ predicted.
    expected = np.average(probability, weights=weights)
    assert expected * (1 - ratio) == pytest.approx(bias)


def test_predictions_that_separate_the_outcomes_have_no_finite_slope() -> None:
    assert math.isnan(calibration_slope([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]))


def test_probabilities_of_0_and_1_do_not_break_calibration() -> None:
    label, probability = shares((0.0, 10, 1), (0.5, 10, 5), (1.0, 10, 9))
    assert 0 < calibration_slope(label, probability) < 1
    assert 0 < ici(label, probability) < 1


@pytest.mark.parametrize("label", [[0, 0, 0], [1, 1, 1]])
@pytest.mark.parametrize("measure", [scaled_brier, calibration_in_the_large, calibration_slope, ici])
def test_with_one_outcome_only_calibration_is_undefined(measure, label) -> None:  # type: ignore[no-untyped-def]
    assert math.isnan(measure(label, [0.1, 0.2, 0.3]))


def test_the_ici_finds_a_bent_miscalibration() -> None:
    label, truth = simulated(100_000, seed=6)
    probability = np.clip(truth + 0.1 * np.sin(8 * truth), 0.001, 0.999)
    assert ici(label, probability) == pytest.approx(np.abs(probability - truth).mean(), rel=0.1)


def test_the_spline_finds_less_miscalibration_in_a_calibrated_model_than_isotonic_regression() -> None:
    by_spline, by_isotonic = [], []
    for seed in range(20):
        label, probability = simulated(2000, seed)
        by_spline.append(ici(label, probability))
        steps = IsotonicRegression(out_of_bounds="clip").fit(probability, label).predict(probability)
        by_isotonic.append(np.abs(steps - probability).mean())
    # Five coefficients: a standard error near √(5 · 0.12 / 2000) = 0.017, and 0.8 of that as a mean distance.
    assert np.mean(by_spline) < 0.017
    assert np.mean(by_spline) < 0.75 * np.mean(by_isotonic)


def test_the_calibration_curve_has_bins_of_equal_size_with_wilson_intervals() -> None:
    label, probability = shares((0.1, 10, 0), (0.4, 10, 5))
    curve = calibration_curve(label, probability, n_bins=2)
    assert curve["n"].tolist() == [10, 10]
    assert curve["n_events"].tolist() == [0, 5]
    assert curve["mean_predicted"].tolist() == pytest.approx([0.1, 0.4])
    assert curve["observed_share"].tolist() == [0, 0.5]
    # z² = 3.8415. 0 of 10: from 0 to z²/(10 + z²) = 0.2775.
    # 5 of 10: 0.5 ± z·√(2.5 + z²/4)/(10 + z²) = 0.5 ± 0.2634.
    assert curve["low"].tolist() == pytest.approx([0, 0.2366], abs=1e-4)
    assert curve["high"].tolist() == pytest.approx([0.2775, 0.7634], abs=1e-4)


def test_equal_predictions_share_a_bin() -> None:
    label, probability = shares((0.1, 30, 3), (0.9, 1, 1))
    assert calibration_curve(label, probability)["n"].sum() == 31
    assert len(calibration_curve(label, probability)) <= 2


def test_the_wilson_interval_stays_within_0_and_1() -> None:
    low, high = wilson_interval(np.array([0.0, 3.0]), np.array([3.0, 3.0]))
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert high[1] == pytest.approx(1)
    assert (low >= 0).all()
    assert (high <= 1).all()


def test_a_probability_outside_0_to_1_is_refused_with_its_count() -> None:
    with pytest.raises(ValueError, match="probability: 2 of 3 values lie outside 0 to 1"):
        brier([0, 1, 1], [0.5, 1.2, -0.1])
