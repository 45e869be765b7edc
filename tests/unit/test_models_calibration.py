"""Calibration is a line on the model's own scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.calibration import Calibration, logistic_line, recalibrate_logistic, rescale_mean


def outcomes(*shares: tuple[int, int]) -> np.ndarray:
    """`(events, rows)` after each other as 0/1 labels."""
    return np.concatenate([np.repeat([1.0, 0.0], [events, rows - events]) for events, rows in shares])


def test_the_line_is_that_of_the_observed_odds() -> None:
    raw = np.repeat([0.0, 1.0], 200)
    # Two points determine it: odds 40/160 = 1/4 at 0, odds 1 at 1, so −ln 4 and slope + ln 4.
    assert logistic_line(raw, outcomes((40, 200), (100, 200))) == pytest.approx((-math.log(4), math.log(4)))


def test_a_calibrated_model_is_left_as_it_is() -> None:
    # Odds 1/4 at −ln 4 and 4 at ln 4: the raw output is already right.
    raw = np.repeat([-math.log(4), math.log(4)], 500)
    line = recalibrate_logistic(raw, outcomes((100, 500), (400, 500)))
    assert (line.intercept, line.slope) == (pytest.approx(0, abs=1e-9), pytest.approx(1))


def test_within_the_noise_the_slope_stays_one_and_the_events_agree_in_number() -> None:
    raw = np.repeat([0.0, 1.0], 200)
    line = recalibrate_logistic(raw, outcomes((40, 200), (100, 200)))
    # Free slope ln 4 = 1.39, standard error sqrt(1/40 + 1/160 + 1/100 + 1/100) = 0.23: 1.7 of them from 1.
    assert line.slope == 1.0
    assert "does not show" in line.reason
    # 140 events: 200 sigmoid(a) + 200 sigmoid(a + 1) = 140.
    assert line.probability(raw).sum() == pytest.approx(140)


def test_a_slope_that_is_clearly_off_is_fitted() -> None:
    raw = np.repeat([0.0, 1.0], 200)
    line = recalibrate_logistic(raw, outcomes((20, 200), (100, 200)))
    # Odds 1/9 and 1: slope ln 9 = 2.20, standard error sqrt(1/20 + 1/180 + 2/100) = 0.27: 4 of them from 1.
    assert (line.intercept, line.slope) == (pytest.approx(-math.log(9)), pytest.approx(math.log(9)))
    assert line.reason == ""


def test_few_events_leave_identity_with_the_reason() -> None:
    raw = np.repeat([0.0, 1.0], 200)
    line = recalibrate_logistic(raw, outcomes((9, 200), (40, 200)))
    assert (line.intercept, line.slope) == (0.0, 1.0)
    assert "49 events among 400 rows" in line.reason


def test_few_non_events_leave_identity_too() -> None:
    line = recalibrate_logistic(np.repeat([0.0, 1.0], 200), outcomes((160, 200), (191, 200)))
    assert (line.intercept, line.slope) == (0.0, 1.0)


def test_a_line_that_falls_is_not_used() -> None:
    falling = outcomes((10_000, 20_000), (6_000, 20_000))
    line = recalibrate_logistic(np.repeat([0.0, 1.0], 20_000), falling)
    assert (line.intercept, line.slope) == (0.0, 1.0)
    assert "does not rise" in line.reason


@pytest.mark.parametrize(
    ("raw", "label"),
    [
        ([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 1.0]),  # separated: the slope has no end
        ([1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]),  # nothing varies
        ([0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]),  # no non-event
    ],
)
def test_there_is_no_line_through_separated_or_constant_data(raw: list[float], label: list[float]) -> None:
    assert logistic_line(np.array(raw), np.array(label)) is None


def test_the_line_of_a_long_tailed_count_is_found() -> None:
    # Odds 1/9 without earlier stays, 1 with 20 of them: slope ln 9 / 20 although most rows stand at 0.
    raw = np.repeat([0.0, 20.0], [10_000, 100])
    line = logistic_line(raw, outcomes((1000, 10_000), (50, 100)))
    assert line == (pytest.approx(-math.log(9)), pytest.approx(math.log(9) / 20))


def test_the_mean_of_money_is_rescaled_to_the_raw_total() -> None:
    # Predicted 100 + 300 = 400, actual 150 + 350 = 500: factor 1.25.
    line = rescale_mean(np.log([100.0, 300.0]), np.array([150.0, 350.0]))
    assert line.intercept == pytest.approx(math.log(1.25))
    assert line.amount(np.log([100.0, 300.0])) == pytest.approx([125.0, 375.0])


def test_no_cost_at_all_leaves_the_mean_with_the_reason() -> None:
    line = rescale_mean(np.array([1.0]), np.array([0.0]))
    assert line.amount(np.array([0.0])).tolist() == [1.0]
    assert line.reason


def test_the_logistic_function_holds_at_both_ends() -> None:
    assert Calibration().probability(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
