"""Curves with their intervals over resampled patients, as tables for plots."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.bootstrap import Resampling
from evaluation.calibration import smooth_calibration_band
from evaluation.decisions import net_benefit, net_benefit_band
from evaluation.evaluate import evaluate_risk

N = 3000
RANDOM = np.random.default_rng(7)
TRUTH = 1 / (1 + np.exp(-RANDOM.normal(-1.5, 1, N)))
LABEL = (RANDOM.random(N) < TRUTH).astype(int)
PATIENT = RANDOM.integers(0, 1800, N)
RESAMPLING = Resampling(3, 200)


def test_the_band_runs_along_the_smooth_curve_over_quantiles_of_the_predictions() -> None:
    band = smooth_calibration_band(LABEL, TRUTH, PATIENT, RESAMPLING, n_points=50)
    assert list(band.columns) == ["predicted", "observed", "low", "high"]
    assert len(band) == 50
    # From the first to the last hundredth: the 30th and the 2970th of 3,000 predictions.
    ascending = np.sort(TRUTH)
    assert band["predicted"].iloc[[0, -1]].tolist() == [ascending[29], ascending[2969]]
    assert (band["low"] < band["observed"]).all()
    assert (band["observed"] < band["high"]).all()
    # A calibrated model: the band holds the diagonal nearly everywhere, and is widest where rows are few.
    assert ((band["low"] <= band["predicted"]) & (band["predicted"] <= band["high"])).mean() > 0.8
    width = band["high"] - band["low"]
    assert width.iloc[-1] > 2 * width.iloc[25]


def test_the_smooth_curve_goes_through_the_observed_shares() -> None:
    # 30 of 100 and 50 of 100 rows.
    label, risk = np.repeat([1, 0, 1, 0], [30, 70, 50, 50]), np.repeat([0.2, 0.6], 100)
    band = smooth_calibration_band(label, risk, np.arange(200), Resampling(3, 5))
    assert band["observed"].tolist() == pytest.approx([0.3, 0.5], abs=1e-4)


def test_with_one_prediction_the_band_is_the_interval_of_the_prevalence() -> None:
    band = smooth_calibration_band(LABEL, np.full(N, 0.3), PATIENT, RESAMPLING)
    prevalence = evaluate_risk(LABEL, np.full(N, 0.3), PATIENT, RESAMPLING)["prevalence"]
    assert band["predicted"].tolist() == [0.3]
    for column, end in (("observed", "value"), ("low", "low"), ("high", "high")):
        assert band[column].tolist() == pytest.approx([prevalence[end]], abs=1e-5)  # type: ignore[literal-required]


def test_without_events_or_a_second_patient_the_band_is_empty() -> None:
    none = smooth_calibration_band(np.zeros(N), TRUTH, PATIENT, Resampling(1, 5))
    assert none[["observed", "low", "high"]].isna().all(axis=None)
    alone = smooth_calibration_band(LABEL, TRUTH, np.zeros(N), Resampling(1, 5))
    assert alone["observed"].notna().all()
    assert alone[["low", "high"]].isna().all(axis=None)


def test_net_benefit_has_the_intervals_of_the_evaluation() -> None:
    thresholds = (0.1, 0.25)
    band = net_benefit_band(LABEL, TRUTH, PATIENT, RESAMPLING, thresholds)
    points = net_benefit(LABEL, TRUTH, thresholds)
    for column in points:
        assert band[column].tolist() == pytest.approx(points[column].tolist()), column
    found = evaluate_risk(LABEL, TRUTH, PATIENT, RESAMPLING, thresholds=thresholds)
    for row, threshold in zip(band.to_dict("records"), thresholds, strict=True):
        model = found[f"net_benefit_at_{threshold:g}"]
        everyone = found[f"net_benefit_of_all_at_{threshold:g}"]
        assert (row["low"], row["high"]) == pytest.approx((model["low"], model["high"]))
        assert (row["treat_all_low"], row["treat_all_high"]) == pytest.approx(
            (everyone["low"], everyone["high"])
        )
        assert row["gain"] == pytest.approx(row["net_benefit"] - max(row["treat_all"], 0))
        assert row["gain_low"] < row["gain"] < row["gain_high"]


def test_the_gain_is_surer_than_the_net_benefits_that_it_compares() -> None:
    # At a low threshold nearly everyone is flagged by either: they err together.
    (row,) = net_benefit_band(LABEL, TRUTH, PATIENT, RESAMPLING, (0.05,)).to_dict("records")
    assert row["gain_high"] - row["gain_low"] < 0.5 * (row["high"] - row["low"])


def test_a_threshold_without_odds_has_no_band() -> None:
    with pytest.raises(ValueError, match="thresholds"):
        net_benefit_band(LABEL, TRUTH, PATIENT, RESAMPLING, (1.0,))
