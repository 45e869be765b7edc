"""Every calibration is a rising map of the raw log-odds, made of plain numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.calibration import (
    MOST_KNOTS,
    BetaCalibration,
    Calibration,
    KnotsCalibration,
    LineCalibration,
    Method,
    NoMap,
    fit_calibration,
    logistic_line,
)


def outcomes(*shares: tuple[int, int]) -> np.ndarray:
    """`(events, rows)` after each other as 0/1 labels."""
    return np.concatenate([np.repeat([1.0, 0.0], [events, rows - events]) for events, rows in shares])


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Raw log-odds around -1 and outcomes that follow 0.7 of them."""
    random = np.random.default_rng(seed)
    raw = random.normal(-1, 1.2, n)
    return raw, (random.random(n) < expit(0.7 * raw)).astype(float)


def test_the_line_is_that_of_the_observed_odds() -> None:
    raw = np.repeat([0.0, 1.0], 200)
    # Two points determine it: odds 40/160 = 1/4 at 0, odds 1 at 1, so −ln 4 and slope + ln 4.
    label = outcomes((40, 200), (100, 200))
    assert logistic_line(raw, label) == pytest.approx((-math.log(4), math.log(4)))
    platt = fit_calibration("platt", raw, label)
    assert platt == LineCalibration("platt", pytest.approx(-math.log(4)), pytest.approx(math.log(4)))


def test_none_leaves_the_raw_output_and_a_shift_makes_the_events_agree_in_number() -> None:
    raw, label = np.repeat([0.0, 1.0], 200), outcomes((40, 200), (100, 200))
    assert fit_calibration("none", raw, label) == LineCalibration()
    shift = fit_calibration("shift", raw, label)
    assert isinstance(shift, LineCalibration)
    assert shift.slope == 1.0
    # 140 events: 200 sigmoid(a) + 200 sigmoid(a + 1) = 140.
    assert shift.probability(raw).sum() == pytest.approx(140)


def test_beta_goes_through_three_points_and_bends() -> None:
    # p = 1/5, 1/2, 4/5, so ln p = -ln 5, -ln 2, ln(4/5) and -ln(1 - p) = ln(5/4), ln 2, ln 5.
    raw = np.repeat(np.log([1 / 4, 1.0, 4.0]), 200)
    # Wanted: c = 0, a = 1, b = 2: log-odds -ln 5 + 2 ln(5/4) = ln(5/16), -ln 2 + 2 ln 2 = ln 2 and
    # ln(4/5) + 2 ln 5 = ln 20: shares 5/21, 2/3 and 20/21, of 210 rows 50, 140 and 200.
    raw = np.repeat(np.log([1 / 4, 1.0, 4.0]), 210)
    beta = fit_calibration("beta", raw, outcomes((50, 210), (140, 210), (200, 210)))
    assert beta == BetaCalibration(pytest.approx(0, abs=1e-9), pytest.approx(1), pytest.approx(2))
    assert beta.probability(np.array([0.0])) == pytest.approx([2 / 3])


def test_beta_with_equal_slopes_is_the_line() -> None:
    # ln p - ln(1 - p) is the raw output.
    raw = np.linspace(-5, 5, 11)
    line = LineCalibration("platt", 0.3, 0.7).probability(raw)
    assert BetaCalibration(0.3, 0.7, 0.7).probability(raw) == pytest.approx(line)


def test_betas_numbers_are_those_of_a_logistic_regression_on_both_logarithms() -> None:
    raw, label = drawn(2000)
    columns = np.column_stack([np.log(expit(raw)), -np.log(1 - expit(raw))])
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(columns, label)
    beta = fit_calibration("beta", raw, label)
    assert isinstance(beta, BetaCalibration)
    assert beta.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)
    assert (beta.low_slope, beta.high_slope) == pytest.approx(tuple(theirs.coef_[0]), abs=1e-4)


def test_where_betas_curve_would_fall_it_stays_level() -> None:
    # Odds 1/4 at 0 and 4 at ln 4, but as low as 1/4 at -ln 4 too, and higher again at -ln 16.
    raw = np.repeat(np.log([1 / 16, 1 / 4, 1.0, 4.0]), 200)
    label = outcomes((60, 200), (40, 200), (40, 200), (160, 200))
    beta = fit_calibration("beta", raw, label)
    assert isinstance(beta, BetaCalibration)
    assert beta.low_slope == 0.0
    # What is left is a line in -ln(1 - p) alone.
    alone = logistic_line(np.log1p(np.exp(raw)), label)
    assert (beta.intercept, beta.high_slope) == pytest.approx(alone)
    assert (np.diff(beta.probability(np.linspace(-20, 20, 400))) >= 0).all()


def test_isotonic_pools_neighbours_that_fall() -> None:
    raw = np.repeat([0.0, 1.0, 2.0, 3.0], 10)
    isotonic = fit_calibration("isotonic", raw, outcomes((1, 10), (4, 10), (2, 10), (8, 10)))
    assert isinstance(isotonic, KnotsCalibration)
    # 4/10 and 2/10 fall: together 6/20.
    assert isotonic.probability(np.array([0.0, 1.0, 1.5, 2.0, 3.0])) == pytest.approx(
        [0.1, 0.3, 0.3, 0.3, 0.8]
    )
    # Halfway in log-odds: ln(1/9) and ln(3/7). Beyond the outer knots the curve is level.
    halfway = expit((math.log(1 / 9) + math.log(3 / 7)) / 2)
    assert isotonic.probability(np.array([-9.0, 0.5, 9.0])) == pytest.approx([0.1, halfway, 0.8])


def test_isotonic_stays_half_an_event_away_from_certainty_and_drops_knots_on_a_level() -> None:
    raw = np.repeat([0.0, 1.0, 2.0, 3.0], 10)
    isotonic = fit_calibration("isotonic", raw, outcomes((0, 10), (0, 10), (0, 10), (10, 10)))
    # Half an event among 40 rows: 1/80. The knot at 1 lies on the level from 0 to 2.
    assert isinstance(isotonic, KnotsCalibration)
    assert [place for place, _ in isotonic.knots] == [0.0, 2.0, 3.0]
    assert isotonic.probability(np.array([0.0, 3.0])) == pytest.approx([1 / 80, 79 / 80])


def test_isotonic_is_scikit_learns_at_the_rows() -> None:
    raw, label = drawn(MOST_KNOTS)
    half = 0.5 / len(raw)
    theirs = IsotonicRegression(y_min=half, y_max=1 - half).fit(raw, label).predict(raw)
    assert fit_calibration("isotonic", raw, label).probability(raw) == pytest.approx(theirs, abs=1e-9)


def test_venn_abers_asks_what_one_more_row_would_change() -> None:
    raw = np.repeat([0.0, 1.0], 4)
    venn_abers = fit_calibration("venn_abers", raw, outcomes((1, 4), (3, 4)))
    # One more row at 0: shares 1/5 and 3/4 without its event, 2/5 and 3/4 with it:
    # 0.4 / (1 - 0.2 + 0.4) = 1/3.
    # At 1: 1/4 and 3/5, or 1/4 and 4/5: 0.8 / (1 - 0.6 + 0.8) = 2/3.
    assert venn_abers.probability(np.array([0.0, 1.0])) == pytest.approx([1 / 3, 2 / 3])


def test_venn_abers_is_never_certain_though_no_row_of_a_group_has_the_event() -> None:
    raw = np.repeat([0.0, 1.0], 10)
    venn_abers = fit_calibration("venn_abers", raw, outcomes((0, 10), (10, 10)))
    # At 0: p0 = 0, p1 = 1/11: (1/11) / (12/11) = 1/12.
    assert venn_abers.probability(np.array([0.0, 1.0])) == pytest.approx([1 / 12, 11 / 12])


class _Given:
    """A classifier whose log-odds are the number it is asked for."""

    classes_ = np.array([0, 1])

    def __init__(self) -> None:
        self.fitted_ = True

    def fit(self, _rows: np.ndarray, _label: np.ndarray) -> _Given:
        return self

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return np.column_stack([expit(-rows[:, 0]), expit(rows[:, 0])])


def test_a_maintained_package_gives_the_same_venn_abers() -> None:
    from mapie.calibration import VennAbersCalibrator

    raw, label = drawn(400)
    # It divides by nothing at the first row, and leaves that out.
    with np.errstate(all="ignore"):
        peer = VennAbersCalibrator(_Given(), cv="prefit").fit(raw[:, None], label.astype(int))
    theirs = peer.predict_proba(raw[:, None])[:, 1]
    ours = fit_calibration("venn_abers", raw, label).probability(raw)
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_many_rows_make_500_knots_at_most() -> None:
    raw, label = drawn(20_000)
    for method in ("isotonic", "venn_abers"):
        fitted = fit_calibration(method, raw, label)  # type: ignore[arg-type]
        assert isinstance(fitted, KnotsCalibration)
        assert len(fitted.knots) <= MOST_KNOTS
        # The truth is 0.7 of the raw log-odds. A curve's error is about 0.01 with 7,000 events.
        assert np.abs(fitted.probability(raw) - expit(0.7 * raw)).mean() < 0.02


@pytest.mark.parametrize("method", ["shift", "platt", "beta", "isotonic", "venn_abers"])
def test_there_is_no_map_without_both_outcomes(method: Method) -> None:
    with pytest.raises(NoMap, match="same outcome"):
        fit_calibration(method, np.array([0.0, 1.0]), np.array([1.0, 1.0]))


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        ("platt", "does not rise"),
        ("beta", "does not rise"),
        ("isotonic", "do not have more events"),
        ("venn_abers", "do not have more events"),
    ],
)
def test_a_map_that_would_fall_is_none(method: Method, complaint: str) -> None:
    # Three raw outputs with ever fewer events.
    raw, label = np.repeat([-1.0, 0.0, 1.0], 1000), outcomes((600, 1000), (400, 1000), (200, 1000))
    with pytest.raises(NoMap, match=complaint):
        fit_calibration(method, raw, label)


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


@pytest.mark.parametrize(
    "calibration",
    [
        LineCalibration(),
        BetaCalibration(0.0, 1.0, 1.0),
        KnotsCalibration("isotonic", ((-50.0, -50.0), (50.0, 50.0))),
    ],
)
def test_no_risk_is_certain(calibration: Calibration) -> None:
    # Held within log-odds of 20: 1 / (1 + exp(20)) is 2.06e-9.
    low, middle, high = calibration.probability(np.array([-1000.0, 0.0, 1000.0]))
    assert low == pytest.approx(2.0611536e-9)
    assert middle == pytest.approx(0.5)
    assert 1 - high == pytest.approx(2.0611536e-9)


@pytest.mark.parametrize(
    ("calibration", "fault"),
    [
        (LineCalibration("platt", 0.0, 0.0), "does not rise"),
        (LineCalibration("platt", 0.0, math.nan), "does not rise"),
        (LineCalibration("none", 0.1, 1.0), "is called none and does more"),
        (LineCalibration("shift", 0.1, 1.1), "is called shift and does more"),
        (BetaCalibration(0.0, 0.0, 0.0), "does not rise"),
        (BetaCalibration(0.0, -0.1, 1.0), "does not rise"),
        (KnotsCalibration("isotonic", ((0.0, 0.0),)), "does not rise"),
        (KnotsCalibration("isotonic", ((0.0, 0.5), (1.0, 0.5))), "does not rise"),
        (KnotsCalibration("isotonic", ((0.0, 0.0), (0.0, 1.0))), "has knots that do not follow each other"),
        (KnotsCalibration("venn_abers", ((0.0, 0.0), (1.0, 2.0), (2.0, 1.0))), "falls between knots"),
    ],
)
def test_what_falls_or_contradicts_itself_is_at_fault(calibration: Calibration, fault: str) -> None:
    assert calibration.fault == fault


def test_a_knots_value_is_that_of_the_straight_line() -> None:
    knots = KnotsCalibration("isotonic", ((0.0, -1.0), (2.0, 0.0), (4.0, 4.0)))
    # -1 + 0.5 * 1, 0, 0 + 0.25 * 4.
    assert logit(knots.probability(np.array([1.0, 2.0, 2.5]))) == pytest.approx([-0.5, 0.0, 1.0])
