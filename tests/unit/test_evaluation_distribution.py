"""Scores of predicted distributions: numbers by hand, and against closed forms."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from evaluation.arrays import FloatArray
from evaluation.distribution import (
    crps_of_quantiles,
    crps_of_samples,
    pit_histogram,
    pit_of_quantiles,
)

NORMAL = NormalDist()


def midpoints(k: int) -> FloatArray:
    return (np.arange(k) + 0.5) / k


def normal_quantiles(levels: FloatArray) -> FloatArray:
    return np.array([NORMAL.inv_cdf(level) for level in levels])


def crps_of_normal(actual: float) -> float:
    """∫ (Φ − 1{y ≤ x})² dx = y (2Φ(y) − 1) + 2φ(y) − 1/√π, by E|X − y| and E|X − X′| = 2/√π."""
    return actual * (2 * NORMAL.cdf(actual) - 1) + 2 * NORMAL.pdf(actual) - 1 / math.sqrt(math.pi)


def crps_of_log_normal(actual: float) -> float:
    """Of exp(Z): E|X − y| = y (2Φ(ln y) − 1) + √e (1 − 2Φ(ln y − 1)), and E|X − X′| = 2√e (2Φ(1/√2) − 1).

    For the second, E max = 2 √e Φ(1/√2) of two independent ones, and E|X − X′| = 2 E max − 2 E X.
    """
    to_actual = actual * (2 * NORMAL.cdf(math.log(actual)) - 1)
    to_actual += math.exp(0.5) * (1 - 2 * NORMAL.cdf(math.log(actual) - 1))
    return to_actual - math.exp(0.5) * (2 * NORMAL.cdf(math.sqrt(0.5)) - 1)


def test_two_quantiles_score_as_the_two_point_distribution_that_they_are() -> None:
    # Pinball at 0.25: 0.25 · (0.5 − 0.25); at 0.75: 0.25 · (0.75 − 0.5); twice their mean: 0.125.
    # By energy: E|X − 0.5| = 0.25, half of E|X − X'| = 0.5 · 0.5 is 0.125.
    assert crps_of_quantiles([0.5], np.array([[0.25, 0.75]]), [0.25, 0.75]).tolist() == [0.125]
    assert crps_of_samples([0.5], np.array([[0.25, 0.75]])).tolist() == [0.125]


def test_a_forecast_without_spread_scores_its_absolute_error() -> None:
    # Its quantiles are all 3: twice the mean pinball loss of 2 too high and of 4 too low.
    assert crps_of_quantiles([1, 7], np.full((2, 10), 3.0), midpoints(10)) == pytest.approx([2, 4])
    assert crps_of_samples([1, 7], np.full((2, 1), 3.0)).tolist() == [2, 4]


def test_uneven_levels_weigh_what_lies_nearest_to_them() -> None:
    # Borders 0, 0.3, 0.55, 1: weights 0.3, 0.25, 0.45. Actual 10; quantiles 0, 8, 12.
    # Pinball 0.1 · 10 = 1, 0.5 · 2 = 1, (0.6 − 1) · (−2) = 0.8: 2 · (0.3 + 0.25 + 0.36) = 1.82.
    assert crps_of_quantiles([10], np.array([[0.0, 8, 12]]), [0.1, 0.5, 0.6]) == pytest.approx([1.82])


def test_one_median_scores_the_absolute_error() -> None:
    assert crps_of_quantiles([10], np.array([[7.0]]), [0.5]) == pytest.approx([3])


@pytest.mark.parametrize("actual", [0.0, 0.2, 0.5, 1.0])
def test_the_uniform_distribution_has_its_closed_form(actual: float) -> None:
    # ∫ x² over 0 to y plus ∫ (1 − x)² over y to 1: (y³ + (1 − y)³) / 3.
    expected = (actual**3 + (1 - actual) ** 3) / 3
    found = crps_of_quantiles([actual], midpoints(1000)[np.newaxis], midpoints(1000))
    assert found == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize("actual", [-2.5, 0.0, 1.3])
def test_the_normal_distribution_has_its_closed_form(actual: float) -> None:
    levels = midpoints(2000)
    found = crps_of_quantiles([actual], normal_quantiles(levels)[np.newaxis], levels)
    assert found == pytest.approx([crps_of_normal(actual)], abs=1e-4)


@pytest.mark.parametrize("actual", [0.1, 1.0, 6.0])
def test_the_log_normal_distribution_has_its_closed_form(actual: float) -> None:
    levels = midpoints(5000)
    found = crps_of_quantiles([actual], np.exp(normal_quantiles(levels))[np.newaxis], levels)
    assert found == pytest.approx([crps_of_log_normal(actual)], abs=1e-3)
    drawn = np.exp(np.random.default_rng(1).normal(size=(1, 200_000)))
    # E|X − X'| of 200,000 draws has a standard error near 2/√200,000 = 0.005.
    assert crps_of_samples([actual], drawn) == pytest.approx([crps_of_log_normal(actual)], abs=0.02)


@pytest.mark.parametrize(
    ("levels", "most"),
    [
        (midpoints(10), 0.012),
        (midpoints(20), 0.004),
        (midpoints(99), 0.0003),
        (np.arange(1, 11) / 11, 0.045),
        (np.arange(1, 100) / 100, 0.0015),
    ],
)
def test_few_levels_cost_the_stated_share_of_a_log_normal_score(levels: FloatArray, most: float) -> None:
    # Actual amounts at 4,001 even levels of the true distribution, so that no chance is in the mean.
    actual = np.exp(normal_quantiles(midpoints(4001)))
    table = np.tile(np.exp(normal_quantiles(levels)), (len(actual), 1))
    exact = np.mean([crps_of_log_normal(each) for each in actual])
    assert 0 < crps_of_quantiles(actual, table, levels).mean() / exact - 1 < most


def test_quantiles_at_even_levels_are_samples_of_equal_weight() -> None:
    random = np.random.default_rng(2)
    actual, quantiles = random.normal(size=30), np.sort(random.normal(size=(30, 7)), axis=1)
    found = crps_of_quantiles(actual, quantiles, midpoints(7))
    assert found == pytest.approx(crps_of_samples(actual, quantiles))


def test_a_fair_score_does_not_depend_on_the_number_of_samples() -> None:
    # Both of the samples 0 and 1, actual 0: E|X − 0| = 0.5, two different ones are 1 apart: 0.5 − 0.5 = 0.
    # With the same sample allowed twice they are 0.5 apart: 0.5 − 0.25.
    assert crps_of_samples([0], np.array([[0.0, 1.0]]), fair=True).tolist() == [0]
    assert crps_of_samples([0], np.array([[0.0, 1.0]])).tolist() == [0.25]
    random = np.random.default_rng(3)
    # For a normal amount and its true distribution the mean score is 1/√π; with 3 samples, unfair: + 1/(3√π).
    actual, drawn = random.normal(size=40_000), random.normal(size=(40_000, 3))
    truth = 1 / math.sqrt(math.pi)
    assert crps_of_samples(actual, drawn, fair=True).mean() == pytest.approx(truth, abs=0.015)
    assert crps_of_samples(actual, drawn).mean() == pytest.approx(truth * 4 / 3, abs=0.015)


def test_an_amount_lies_between_the_levels_of_the_quantiles_around_it() -> None:
    quantiles = np.tile([10.0, 20, 30], (4, 1))
    found = pit_of_quantiles([5, 12, 29, 31], quantiles, [0.25, 0.5, 0.75])
    assert found.tolist() == [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]]


def test_an_amount_that_equals_quantiles_lies_anywhere_in_what_they_stand_for() -> None:
    # Half of the distribution is 0: the levels 0.2 and 0.4 stand for all up to 0.5. 7 is the quantile at 0.6.
    quantiles = np.array([[0.0, 0, 7, 9], [0.0, 0, 7, 9]])
    found = pit_of_quantiles([0, 7], quantiles, [0.2, 0.4, 0.6, 0.8])
    assert found == pytest.approx(np.array([[0, 0.5], [0.5, 0.7]]))


def test_places_are_counted_and_stretches_are_spread() -> None:
    assert pit_histogram(np.array([0.0, 0.5, 0.6, 1.0]), n_bins=2).tolist() == [0.25, 0.75]
    # [0, 0.5] is one row in the lower two quarters, a half each; [0.5, 0.5] is a place in the third.
    stretches = np.array([[0, 0.5], [0.5, 0.5], [0.25, 1.0], [0.75, 1.0]])
    # The third is spread over three quarters, a third of a row each.
    expected = np.array([1 / 2, 1 / 2 + 1 / 3, 1 + 1 / 3, 1 + 1 / 3]) / 4
    assert pit_histogram(stretches, n_bins=4) == pytest.approx(expected)


def test_true_distributions_with_many_zeros_have_a_flat_histogram() -> None:
    random = np.random.default_rng(5)
    # 30 % of the amounts are 0, the others uniform on 0 to 7: quantile at τ is max(0, 10τ − 3).
    actual = np.maximum(0, 10 * random.random(50_000) - 3)
    levels = midpoints(20)
    quantiles = np.tile(np.maximum(0, 10 * levels - 3), (len(actual), 1))
    shares = pit_histogram(pit_of_quantiles(actual, quantiles, levels))
    # A share of 0.1 of 50,000 rows has a standard error of 0.0013; where the zeros end, between the levels
    # 0.275 and 0.325, the levels do not tell, up to a share of 0.025 may stand in the part beside.
    assert shares == pytest.approx([0.1] * 10, abs=0.02)
    assert np.delete(shares, [2, 3]) == pytest.approx([0.1] * 8, abs=0.005)


@pytest.mark.parametrize(
    ("quantiles", "levels", "message"),
    [
        ([[1.0, 2.0]], [0.5, 0.2], "levels: must ascend"),
        ([[1.0, 2.0]], [0.0, 0.5], "levels: must ascend"),
        ([[2.0, 1.0]], [0.2, 0.5], "descend in 1 of 1 rows"),
        ([[1.0, math.nan]], [0.2, 0.5], "1 are not finite"),
        ([[1.0, 2.0, 3.0]], [0.2, 0.5], "levels 2, quantiles_of_a_row 3"),
        ([[1.0, 2.0], [1.0, 2.0]], [0.2, 0.5], "actual 1, quantiles 2"),
    ],
)
def test_quantiles_that_are_none_are_refused(
    quantiles: list[list[float]], levels: list[float], message: str
) -> None:
    for function in (crps_of_quantiles, pit_of_quantiles):
        with pytest.raises(ValueError, match=message):
            function([1.0], np.array(quantiles), levels)


def test_places_outside_0_to_1_and_a_single_fair_sample_are_refused() -> None:
    for places in ([], [1.2], [[0.6, 0.5]], [math.nan]):
        with pytest.raises(ValueError, match="pit: "):
            pit_histogram(np.array(places))
    with pytest.raises(ValueError, match="at least two"):
        crps_of_samples([1], np.array([[1.0]]), fair=True)
