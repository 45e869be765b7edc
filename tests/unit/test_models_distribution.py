"""Predictive distributions of amounts: what they promise, and by hand what they hold."""

from __future__ import annotations

import numpy as np
import pytest

from models.distribution import (
    LEVELS,
    Amounts,
    Distribution,
    MeanFactor,
    Numbers,
    Shape,
    Shapes,
    conformal_ends,
    fit_distribution,
    log_amount,
)
from models.units import Unit


def nobody(n: int) -> np.ndarray:
    """`n` rows of no known group."""
    return np.full(n, None, dtype=object)


def fit(raw: Numbers, spread: Numbers, actual: Numbers, unit: Unit = "money") -> Distribution:
    group = nobody(len(raw))
    return fit_distribution(raw, spread, group, actual, unit, level=0.8, group_feature="ward")


def asked(found: Distribution, raw: Numbers, spread: Numbers, unit: Unit = "money") -> Amounts:
    return found.of(raw, spread, nobody(len(raw)), unit)


def one_shape(low: float | None, high: float | None, reach: float) -> Distribution:
    """Residuals evenly from -`reach` to `reach`, a mean of exp(raw)."""
    residuals = tuple(np.linspace(-reach, reach, len(LEVELS)).tolist())
    return Distribution(0.8, MeanFactor(0.0), Shapes((), (Shape(low, high, residuals),)))


def test_the_ends_are_the_residuals_of_the_conformal_ranks() -> None:
    # n = 19, level 0.8, a tenth on either side: ranks floor(20 * 0.1) = 2 and ceil(20 * 0.9) = 18.
    assert conformal_ends(np.arange(1.0, 20.0), 0.8) == (2.0, 18.0)


def test_too_few_rows_for_the_level_give_no_finite_end() -> None:
    # n = 8: rank floor(9 * 0.1) = 0 and rank ceil(9 * 0.9) = 9 of 8 do not exist.
    found = fit(np.zeros(8), np.ones(8), np.arange(1.0, 9.0))
    low, high = asked(found, np.zeros(2), np.ones(2)).interval
    assert low.tolist() == [0.0, 0.0]
    assert high.tolist() == [np.inf, np.inf]


def test_the_interval_moves_with_the_output_and_stretches_with_the_spread() -> None:
    found = one_shape(-1.0, 2.0, 3.0)
    low, high = asked(found, np.array([5.0, 6.0]), np.array([1.0, 0.5])).interval
    # 5 - 1 * 1 = 4 and 5 + 1 * 2 = 7; 6 - 0.5 * 1 = 5.5 and 6 + 0.5 * 2 = 7.
    assert np.log(low) == pytest.approx([4.0, 5.5])
    assert np.log(high) == pytest.approx([7.0, 7.0])


def test_of_few_rows_the_mean_is_one_factor_for_all() -> None:
    # Half of the rows at log amount 1, half at 3; output 2: (e + e³) / 2 ÷ e² = cosh 1.
    raw, spread = np.full(10, 2.0), np.ones(10)
    found = fit(raw, spread, np.exp(np.tile([1.0, 3.0], 5)))
    assert found.mean == MeanFactor(pytest.approx(np.log(np.cosh(1.0))))
    assert asked(found, raw, spread).expected[0] == pytest.approx((np.e + np.e**3) / 2)


def test_a_wider_spread_has_a_higher_mean_at_the_same_median() -> None:
    # Normal residuals: the mean is exp(spread² / 2) times the median. Spreads 0.2 and 1.0.
    random = np.random.default_rng(3)
    spread = np.tile([0.2, 1.0], 50_000)
    raw, actual = np.full(100_000, 8.0), np.exp(8 + spread * random.normal(size=100_000))
    found = fit(raw, spread, actual)
    assert found.mean.log(np.array([0.2, 1.0])) == pytest.approx([0.02, 0.5], abs=0.02)
    assert asked(found, raw, spread).expected.sum() == pytest.approx(actual.sum(), rel=1e-6)


def test_one_odd_bill_does_not_move_the_expected_amounts_of_others() -> None:
    # Packages at a fixed price (spread 0.04) beside intensive care (spread 0.5); one package costs five times
    # as much: log 5 ÷ 0.04 = 40 spreads off. Its kind's mean rises by 4 ÷ 3,000, nobody else's by anything.
    random = np.random.default_rng(5)
    spread = np.repeat([0.04, 0.5], 3_000)
    raw = np.full(6_000, 8.0)
    actual = np.exp(raw + spread * random.normal(size=6_000))
    actual[0] *= 5
    amounts = asked(fit(raw, spread, actual), raw, spread)
    for rows in (spread == 0.04, spread == 0.5):
        assert amounts.expected[rows].mean() == pytest.approx(actual[rows].mean(), rel=0.01)
    # exp(0.5 * 10) at the most: no quantile runs away.
    assert amounts.quantiles().max() <= np.exp(8 + 0.5 * 10)


def test_kinds_of_stays_that_scatter_otherwise_are_covered_alike() -> None:
    # Nearly exact packages with heavy tails beside evenly spread ones: one shape would cover 95 % and 65 %.
    random = np.random.default_rng(8)
    spread = np.repeat([0.05, 0.5], 20_000)
    residual = np.where(spread < 0.1, random.standard_t(2, 40_000) * 0.4, random.uniform(-3, 3, 40_000))
    raw, actual = np.full(40_000, 8.0), np.exp(8 + spread * residual)
    low, high = asked(fit(raw[::2], spread[::2], actual[::2]), raw, spread).interval
    covered = (low <= actual) & (actual <= high)
    for one in (0.05, 0.5):
        assert covered[spread == one].mean() == pytest.approx(0.8, abs=0.015)


def test_the_chance_of_more_than_a_threshold_is_that_of_the_residuals() -> None:
    random = np.random.default_rng(4)
    actual = np.exp(8 + 0.5 * random.normal(size=50_000))
    found = fit(np.full(50_000, 8.0), np.full(50_000, 0.5), actual)
    raw, spread = np.array([8.0, 8.0, 7.5]), np.array([0.5, 0.5, 0.5])
    above = asked(found, raw, spread).probability_above(np.exp([8.0, 8.5, 8.0]))
    # Above 0, 1 and 1 of a standard normal: 0.5, 0.159, 0.159.
    assert above == pytest.approx([0.5, 0.159, 0.159], abs=0.01)
    # One threshold for all: e⁸ lies 0, 0 and 1 above.
    assert asked(found, raw, spread).probability_above(np.exp(8.0)) == pytest.approx(above[[0, 0, 2]])


def test_beyond_what_was_seen_a_chance_is_small_and_not_nothing() -> None:
    found = one_shape(None, None, 1.0)
    above = asked(found, np.zeros(2), np.ones(2)).probability_above(np.exp([-50.0, 50.0]))
    assert above == pytest.approx([0.999, 0.001])


def test_whole_days_are_foreseen_as_often_as_they_come() -> None:
    # A quarter leaves on the same day; of the others half after 1 night, the rest after 2 to 9 alike.
    random = np.random.default_rng(9)
    nights = np.where(random.random(40_000) < 0.5, 1.0, random.integers(2, 10, 40_000))
    days = np.where(random.random(40_000) < 0.25, 0.0, nights)
    raw, spread = np.full(40_000, 0.5), np.full(40_000, 0.8)
    amounts = asked(fit(raw, spread, days, "days"), raw, spread, "days")
    for threshold in (0.0, 1.0, 4.0):
        assert amounts.probability_above(threshold)[0] == pytest.approx((days > threshold).mean(), abs=0.02)
    assert amounts.probability_above(1.7)[0] == amounts.probability_above(1.0)[0]
    assert amounts.expected.mean() == pytest.approx(days.mean(), rel=1e-6)
    low, high = amounts.interval
    # A same-day stay lies within: a tenth of all would have to be shorter.
    assert low[0] == 0.0
    assert ((low <= days) & (days <= high)).mean() >= 0.8


def test_nobody_stays_less_long_than_anybody_has() -> None:
    found = fit(np.zeros(600), np.ones(600), np.tile([1.0, 2.0, 3.0], 200), "days")
    low, _ = asked(found, np.array([-5.0]), np.ones(1), "days").interval
    assert low.tolist() == [1.0]


def test_nothing_counts_as_the_smallest_coin_and_a_same_day_stay_as_half_a_day() -> None:
    assert log_amount(np.array([0.0, 1.0]), "money").tolist() == [np.log(0.01), 0.0]
    assert log_amount(np.array([0.0, 1.0]), "days").tolist() == [np.log(0.5), np.log(1.5)]


def test_new_amounts_fall_within_at_the_level_whatever_the_spread() -> None:
    random = np.random.default_rng(1)
    spread = random.choice([0.2, 1.0], 40_000)
    actual = np.exp(random.normal(8, spread))
    # An estimate of the spread that is three times too small: the calibration half stretches it.
    raw, guess = np.full(20_000, 8.0), spread / 3
    low, high = asked(fit(raw, guess[:20_000], actual[:20_000]), raw, guess[20_000:]).interval
    covered = (actual[20_000:] >= low) & (actual[20_000:] <= high)
    # Standard error of a share of 0.8 in 10,000 rows, twice over for the calibration half: 0.006.
    for one in (0.2, 1.0):
        assert covered[spread[20_000:] == one].mean() == pytest.approx(0.8, abs=0.02)


def test_a_group_with_rows_enough_has_shapes_of_its_own_and_the_others_theirs() -> None:
    # Residuals of surgery are twice as wide, those of two small clinics, of 600 rows together, as wide again.
    random = np.random.default_rng(6)
    names = ["medicine", "surgery", "night", "day"]
    group = np.repeat(np.array(names, dtype=object), [20_000, 20_000, 300, 300])
    width = np.select([group == "medicine", group == "surgery"], [1.0, 2.0], 4.0)
    raw, spread = np.full(len(group), 8.0), np.ones(len(group))
    actual = np.exp(8 + random.normal(size=len(group)) * width)
    found = fit_distribution(raw, spread, group, actual, "money", level=0.8, group_feature="ward")
    assert set(found.groups) == {"medicine", "surgery"}
    four = found.of(raw[:4], spread[:4], np.array(names, dtype=object), "money")
    low, high = four.interval
    # A tenth of a normal lies 1.28 standard deviations off: 1.28, 2.56, and of the 600 others 5.13.
    assert np.log(high) - 8 == pytest.approx([1.28, 2.56, 5.13, 5.13], rel=0.12)
    assert 8 - np.log(low) == pytest.approx([1.28, 2.56, 5.13, 5.13], rel=0.12)
    assert four.quantiles()[:, LEVELS.index(0.9)] == pytest.approx(high, rel=0.05)


class _Nothing:
    """A regressor that answers 0."""

    fitted_ = True

    def fit(self, _rows: np.ndarray, _actual: np.ndarray) -> _Nothing:
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.zeros(len(rows))


def test_a_maintained_package_gives_the_same_interval() -> None:
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import SplitConformalRegressor

    residual = np.random.default_rng(2).normal(0, 1, 199)
    peer = SplitConformalRegressor(
        estimator=_Nothing(),
        confidence_level=0.8,
        conformity_score=AbsoluteConformityScore(sym=False),
        prefit=True,
    )
    peer.conformalize(np.zeros((199, 1)), residual)
    _, theirs = peer.predict_interval(np.zeros((1, 1)))
    assert conformal_ends(np.sort(residual), 0.8) == pytest.approx(theirs[0, :, 0], abs=1e-9)
