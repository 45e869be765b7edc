"""Net benefit and cost measures: numbers by hand, and parity with scikit-learn and model-diagnostics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from model_diagnostics.scoring import PinballLoss, SquaredError
from sklearn.metrics import mean_absolute_error, r2_score

from evaluation.amounts import (
    bias,
    bias_by_decile,
    d2,
    interval_coverage,
    interval_width,
    mae,
    mdae,
    r2,
    wape,
)
from evaluation.decisions import net_benefit

ACTUAL = [100.0, 200.0, 300.0, 400.0]
EXPECTED = [110.0, 180.0, 330.0, 400.0]


def test_net_benefit_weighs_false_alarms_by_the_odds_of_the_threshold() -> None:
    curve = net_benefit([1, 0, 0, 1, 0], [0.9, 0.8, 0.3, 0.2, 0.1], [0.25])
    # Flagged at 0.25: 1 event and 2 false alarms, odds 1/3: 1/5 − 2/5·1/3 = 1/15. All: 2/5 − 3/5·1/3 = 1/5.
    assert curve.to_dict("records") == [
        {
            "threshold": 0.25,
            "net_benefit": pytest.approx(1 / 15),
            "treat_all": pytest.approx(1 / 5),
            "treat_none": 0.0,
        }
    ]


def test_flagging_everyone_at_the_prevalence_is_worth_nothing() -> None:
    curve = net_benefit([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [0.25])
    assert curve["treat_all"].tolist() == pytest.approx([0])


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_a_threshold_without_odds_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        net_benefit([1, 0], [0.5, 0.5], [threshold])


def test_cost_errors_by_hand() -> None:
    # Errors 10, 20, 30, 0: mean 15, median (10 + 20)/2 = 15, sum 60 of 1000.
    assert mae(ACTUAL, EXPECTED) == 15
    assert mdae(ACTUAL, EXPECTED) == 15
    assert wape(ACTUAL, EXPECTED) == pytest.approx(0.06)
    # Squared errors 100 + 400 + 900 = 1400; about the mean 250: 2·22500 + 2·2500 = 50000; 1 − 0.028.
    assert r2(ACTUAL, EXPECTED) == pytest.approx(0.972)
    assert bias(ACTUAL, EXPECTED) == pytest.approx(1.02)


def test_the_median_error_of_an_odd_number_of_rows_is_the_middle_one() -> None:
    assert mdae([0, 0, 0], [1, 50, 2]) == 2


def test_a_row_of_weight_three_is_three_rows_in_the_median() -> None:
    # Errors 1, 9, 9, 9, 20: the middle one is 9.
    assert mdae([0, 0, 0], [1, 9, 20], [1, 3, 1]) == 9


def test_weighted_cost_errors_equal_the_packages() -> None:
    random = np.random.default_rng(1)
    actual = random.lognormal(9, 1, 400)
    expected = actual * random.lognormal(0, 0.4, 400)
    weights = random.random(400)
    assert mae(actual, expected, weights) == pytest.approx(
        mean_absolute_error(actual, expected, sample_weight=weights)
    )
    # The pinball loss at the median is half of the absolute error.
    assert mae(actual, expected, weights) == pytest.approx(2 * PinballLoss()(actual, expected, weights))
    assert r2(actual, expected, weights) == pytest.approx(r2_score(actual, expected, sample_weight=weights))
    around = np.full(400, np.average(actual, weights=weights))
    squared = SquaredError()
    explained = 1 - squared(actual, expected, weights) / squared(actual, around, weights)
    assert r2(actual, expected, weights) == pytest.approx(explained)


def test_equal_costs_have_no_r2_and_no_cost_has_no_share() -> None:
    assert math.isnan(r2([0.1, 0.1, 0.1], [1, 2, 3]))
    assert math.isnan(wape([0, 0], [1, 2]))
    assert math.isnan(bias([0, 0], [1, 2]))


def test_the_deviance_explained_is_that_of_poisson() -> None:
    # Σ y log(y / μ) − y + μ: for (1, 3) foreseen as (2, 2) log ½ + 3 log 1.5 = 0.5233, as for their mean: 0.
    assert d2([1, 3], [2, 2]) == pytest.approx(0.0)
    # Foreseen as (1, 3): nothing is left. As (1.5, 2.5): log ⅔ + ½ + 3 log 1.2 − ½ = 0.1415, and
    # 1 − 0.1415 ÷ 0.5233 = 0.7296.
    assert d2([1, 3], [1, 3]) == pytest.approx(1.0)
    assert d2([1, 3], [1.5, 2.5]) == pytest.approx(0.7296, abs=1e-4)
    assert math.isnan(d2([2, 2], [1, 3]))
    assert d2([0, 4], [2, 2]) == pytest.approx(0.0)


def test_whoever_foresees_the_mean_is_ranked_before_whoever_foresees_too_little() -> None:
    random = np.random.default_rng(1)
    mean = np.exp(random.normal(9, 0.5, 20_000))
    actual = mean * np.exp(random.normal(-0.5, 1, 20_000))  # of mean 1
    assert d2(actual, mean) > d2(actual, 0.8 * mean)
    # The share of absolute error rewards the lower one: why models are not ranked by it.
    assert wape(actual, mean) > wape(actual, 0.8 * mean)


def test_bias_by_decile_shows_where_costs_are_predicted_too_high() -> None:
    table = bias_by_decile(ACTUAL, EXPECTED, n_bins=2)
    # Cheaper half: predicted 110 + 180 = 290 of 300; dearer half: 730 of 700.
    assert table["n"].tolist() == [2, 2]
    assert table["mean_expected"].tolist() == [145, 365]
    assert table["mean_actual"].tolist() == [150, 350]
    assert table["bias"].tolist() == pytest.approx([290 / 300, 730 / 700])


def test_a_hundred_different_predictions_make_ten_deciles_of_ten() -> None:
    expected = np.arange(1.0, 101.0)
    assert bias_by_decile(expected, expected)["n"].tolist() == [10] * 10


def test_a_cost_at_the_end_of_its_interval_is_covered() -> None:
    assert interval_coverage([1, 5, 9, 10], [1, 1, 1, 1], [5, 5, 5, 5]) == 0.5


def test_an_interval_without_upper_end_covers_and_is_left_out_of_the_mean_width() -> None:
    low, high = [10, 10, 10], [20, 40, math.inf]
    assert interval_coverage([1e9, 1e9, 1e9], low, high) == pytest.approx(1 / 3)
    # Widths 10, 30, open: mean of the finite 20, median 30, one third open.
    assert interval_width(low, high) == {"mean": 20, "median": 30, "open_share": pytest.approx(1 / 3)}


def test_crossed_and_missing_ends_are_refused_with_their_count() -> None:
    with pytest.raises(ValueError, match="1 of 2 intervals end before they begin"):
        interval_width([1, 3], [2, 2])
    with pytest.raises(ValueError, match="high: 1 of 2 values are missing"):
        interval_width([1, 3], [2, None])
