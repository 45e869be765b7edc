"""Predictive distributions of amounts: what they promise, and by hand what they hold."""

from __future__ import annotations

import numpy as np
import pytest

from models.distribution import (
    LEVELS,
    Amounts,
    Distribution,
    DistributionSettings,
    Numbers,
    Shape,
    conformal_ends,
    fit_distribution,
    log_amount,
)

SMEARED, UNSMEARED = DistributionSettings(), DistributionSettings(smears=False)


def nobody(n: int) -> np.ndarray:
    """`n` rows of no known group."""
    return np.full(n, None, dtype=object)


def fit(
    raw: Numbers, spread: Numbers, actual: Numbers, settings: DistributionSettings = SMEARED
) -> Distribution:
    return fit_distribution(raw, spread, nobody(len(raw)), actual, "money", settings)


def asked(found: Distribution, raw: Numbers, spread: Numbers) -> Amounts:
    return found.of(raw, spread, nobody(len(raw)), "money")


def test_the_ends_are_the_residuals_of_the_conformal_ranks() -> None:
    # n = 19, level 0.8, a tenth on either side: ranks floor(20 * 0.1) = 2 and ceil(20 * 0.9) = 18.
    assert conformal_ends(np.arange(1.0, 20.0), 0.8) == (2.0, 18.0)


def test_too_few_rows_for_the_level_give_no_finite_end() -> None:
    # n = 8: rank floor(9 * 0.1) = 0 and rank ceil(9 * 0.9) = 9 of 8 do not exist.
    found = fit(np.zeros(8), np.ones(8), np.arange(1.0, 9.0), UNSMEARED)
    low, high = asked(found, np.zeros(2), np.ones(2)).interval
    assert low.tolist() == [0.0, 0.0]
    assert high.tolist() == [np.inf, np.inf]


def test_the_interval_moves_with_the_output_and_stretches_with_the_spread() -> None:
    found = Distribution(0.8, Shape(-1.0, 2.0, tuple(np.linspace(-3, 3, len(LEVELS)).tolist())))
    low, high = asked(found, np.array([5.0, 6.0]), np.array([1.0, 0.5])).interval
    # 5 - 1 * 1 = 4 and 5 + 1 * 2 = 7; 6 - 0.5 * 1 = 5.5 and 6 + 0.5 * 2 = 7.
    assert np.log(low) == pytest.approx([4.0, 5.5])
    assert np.log(high) == pytest.approx([7.0, 7.0])


def test_the_mean_of_two_residuals_is_the_mean_of_their_amounts() -> None:
    # Half of the rows at log amount 1, half at 3; output 2, spread 1: residuals -1 and 1.
    raw, spread = np.full(10, 2.0), np.ones(10)
    actual = np.exp(np.tile([1.0, 3.0], 5))
    found = fit(raw, spread, actual)
    # (e + e³) / 2 ÷ e² = (1/e + e) / 2 = cosh 1.
    assert found.everyone.smearing(np.array([1.0])) == pytest.approx([np.cosh(1.0)])
    assert asked(found, raw, spread).expected.sum() == pytest.approx(actual.sum())


def test_a_wider_spread_has_a_higher_mean_at_the_same_median() -> None:
    # Normal residuals: the mean is exp(spread² / 2) times the median. Spreads 0.2 and 1.0.
    random = np.random.default_rng(3)
    spread = np.tile([0.2, 1.0], 50_000)
    actual = np.exp(8 + spread * random.normal(size=100_000))
    found = fit(np.full(100_000, 8.0), spread, actual)
    assert found.everyone.smearing(np.array([0.2, 1.0])) == pytest.approx(np.exp([0.02, 0.5]), rel=0.02)


def test_a_booster_of_the_mean_itself_is_not_smeared() -> None:
    found = fit(np.zeros(9), np.ones(9), np.arange(1.0, 10.0), UNSMEARED)
    assert found.everyone.smearing(np.array([0.1, 7.0])).tolist() == [1.0, 1.0]


def test_the_chance_of_more_than_a_threshold_is_that_of_the_residuals() -> None:
    random = np.random.default_rng(4)
    actual = np.exp(8 + 0.5 * random.normal(size=50_000))
    found = fit(np.full(50_000, 8.0), np.full(50_000, 0.5), actual)
    raw, spread = np.array([8.0, 8.0, 7.5]), np.array([0.5, 0.5, 0.5])
    above = asked(found, raw, spread).probability_above(np.exp([8.0, 8.5, 8.0]))
    # Above 0, 1 and 1 of a standard normal: 0.5, 0.159, 0.159.
    assert above == pytest.approx([0.5, 0.159, 0.159], abs=0.01)
    # One threshold for all: e⁸ lies 0, 0 and 1 above.
    assert asked(found, raw, spread).probability_above(np.exp(8.0)) == pytest.approx(
        [0.5, 0.5, 0.159], abs=0.01
    )


def test_beyond_what_was_seen_a_chance_is_small_and_not_nothing() -> None:
    found = Distribution(0.8, Shape(None, None, tuple(np.linspace(-1, 1, len(LEVELS)).tolist())))
    above = asked(found, np.zeros(2), np.ones(2)).probability_above(np.exp([-50.0, 50.0]))
    assert above == pytest.approx([0.999, 0.001])


def test_nothing_counts_as_the_smallest_coin_or_half_a_day() -> None:
    assert log_amount(np.array([0.0, 1.0]), "money").tolist() == [np.log(0.01), 0.0]
    assert log_amount(np.array([0.0, 1.0]), "days").tolist() == [np.log(0.5), 0.0]


def test_new_amounts_fall_within_at_the_level_whatever_the_spread() -> None:
    random = np.random.default_rng(1)
    spread = random.choice([0.2, 1.0], 40_000)
    actual = np.exp(random.normal(8, spread))
    # An estimate of the spread that is three times too small: the calibration half stretches it.
    raw, guess = np.full(20_000, 8.0), spread / 3
    found = fit(raw, guess[:20_000], actual[:20_000])
    low, high = asked(found, raw, guess[20_000:]).interval
    covered = (actual[20_000:] >= low) & (actual[20_000:] <= high)
    # Standard error of a share of 0.8 in 10,000 rows, twice over for the calibration half: 0.006.
    for one in (0.2, 1.0):
        assert covered[spread[20_000:] == one].mean() == pytest.approx(0.8, abs=0.02)


def test_a_group_with_rows_enough_has_a_shape_of_its_own() -> None:
    # Residuals of surgery are twice as wide; the night clinic has 499 rows, too few to tell.
    random = np.random.default_rng(6)
    group = np.repeat(np.array(["medicine", "surgery", "night"], dtype=object), [20_000, 20_000, 499])
    raw, spread = np.full(len(group), 8.0), np.ones(len(group))
    actual = np.exp(8 + random.normal(size=len(group)) * np.where(group == "surgery", 2.0, 1.0))
    found = fit_distribution(raw, spread, group, actual, "money", SMEARED)
    assert set(found.groups) == {"medicine", "surgery"}
    three = np.array(["medicine", "surgery", "night"], dtype=object)
    amounts = found.of(raw[:3], spread[:3], three, "money")
    low, high = amounts.interval
    # A tenth of a normal lies 1.28 standard deviations off. Of both halves together the tail of 2 beyond 1.82
    # is 0.181 and that of 1 is 0.034, together 0.108: the ends lie near 1.86.
    assert np.log(high) - 8 == pytest.approx([1.28, 2.56, 1.86], abs=0.06)
    assert 8 - np.log(low) == pytest.approx([1.28, 2.56, 1.86], abs=0.06)
    assert (amounts.quantiles()[:, LEVELS.index(0.9)] / high) == pytest.approx(np.ones(3), rel=0.02)
    # exp(σ² / 2) for σ = 1 and 2, each rescaled by the same factor.
    assert amounts.expected[1] / amounts.expected[0] == pytest.approx(np.exp(2.0 - 0.5), rel=0.15)


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
