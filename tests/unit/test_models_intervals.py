"""Cost intervals hold their promise: conformalized quantile regression on log money."""

from __future__ import annotations

import numpy as np
import pytest

from models.intervals import Interval, conformal_offset, conformalize, log_amount


def test_the_offset_is_the_score_of_the_conformal_rank() -> None:
    # n = 9, level 0.8: rank ceil(10 * 0.8) = 8, the 8th smallest of 1 … 9.
    assert conformal_offset(np.arange(9, 0, -1.0), 0.8) == 8.0


def test_too_few_rows_for_the_level_give_no_finite_end() -> None:
    # n = 3, level 0.8: rank ceil(4 * 0.8) = 4 of 3 does not exist.
    assert conformal_offset(np.array([1.0, 2.0, 3.0]), 0.8) is None
    interval = conformalize(np.zeros(3), np.ones(3), np.ones(3), "money", level=0.8)
    low, high = interval.ends(np.zeros(2), np.ones(2))
    assert low.tolist() == [0.0, 0.0]
    assert high.tolist() == [np.inf, np.inf]


def test_the_ends_move_by_the_worst_miss_that_the_level_must_hold() -> None:
    # Ends 0 and 2 on log money. Actual logs 1, 1, 2.5, −0.2: misses −1, −1, 0.5, 0.2.
    # n = 4, level 0.8: rank ceil(5 * 0.8) = 4, offset 0.5 on both sides.
    cost = np.exp([1.0, 1.0, 2.5, -0.2])
    interval = conformalize(np.zeros(4), np.full(4, 2.0), cost, "money", level=0.8)
    assert (interval.low_offset, interval.high_offset) == (pytest.approx(0.5), pytest.approx(0.5))
    low, high = interval.ends(np.array([0.0]), np.array([2.0]))
    assert np.log([low[0], high[0]]) == pytest.approx([-0.5, 2.5])


def test_ends_that_cross_are_sorted() -> None:
    # 1.0 − (−0.4) = 1.4 below 1.2 + (−0.4) = 0.8: crossed, so 0.8 is the low end.
    low, high = Interval(0.8, -0.4, -0.4).ends(np.array([1.0]), np.array([1.2]))
    assert np.log([low[0], high[0]]) == pytest.approx([0.8, 1.4])


def test_the_boosters_estimate_the_outer_quantiles() -> None:
    assert Interval(0.8, 0.0, 0.0).quantiles == (pytest.approx(0.1), pytest.approx(0.9))


def test_a_cost_of_nothing_counts_as_the_smallest_coin() -> None:
    assert log_amount(np.array([0.0, 1.0]), "money").tolist() == [np.log(0.01), 0.0]


def test_new_costs_fall_within_at_the_level() -> None:
    random = np.random.default_rng(1)
    cost = np.exp(random.normal(8, 1, 40_000))
    # Quantile estimates that are far too narrow: the calibration half widens them.
    low, high = np.full(20_000, 7.9), np.full(20_000, 8.1)
    low_end, high_end = conformalize(low, high, cost[:20_000], "money", level=0.8).ends(low, high)
    covered = (cost[20_000:] >= low_end) & (cost[20_000:] <= high_end)
    # Standard error of a share of 0.8 in 20,000 rows, twice over for the calibration half: 0.004.
    assert covered.mean() == pytest.approx(0.8, abs=0.015)


class _Given:
    """A regressor that answers with the number it is asked for."""

    def __init__(self, shift: float) -> None:
        self.shift = shift
        self.fitted_ = True

    def fit(self, _rows: np.ndarray, _actual: np.ndarray) -> _Given:
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] + self.shift


def test_a_maintained_package_gives_the_same_interval() -> None:
    from mapie.regression import ConformalizedQuantileRegressor

    random = np.random.default_rng(2)
    centre = random.normal(8, 1, 199)
    actual = centre + random.normal(0, 1, 199)
    peer = ConformalizedQuantileRegressor(
        estimator=[_Given(-0.5), _Given(0.5), _Given(0.0)], confidence_level=0.8, prefit=True
    )
    peer.conformalize(centre[:, None], actual)
    _, theirs = peer.predict_interval(np.array([[8.0]]), symmetric_correction=True)

    interval = conformalize(centre - 0.5, centre + 0.5, np.exp(actual), "money", level=0.8)
    low, high = interval.ends(np.array([7.5]), np.array([8.5]))
    assert np.log([low[0], high[0]]) == pytest.approx(theirs[0, :, 0], abs=1e-9)
