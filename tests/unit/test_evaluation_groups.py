"""What a model does to groups: two predictions compared within each, and intervals that hold too seldom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.amounts import d2
from evaluation.bootstrap import Resampling
from evaluation.discrimination import auroc
from evaluation.groups import amount_by_group, coverage_apart, difference_by_group

N = 2000
RANDOM = np.random.default_rng(21)
LOG_ODDS = RANDOM.normal(-1, 1, N)
RISK = 1 / (1 + np.exp(-LOG_ODDS))
LABEL = (RANDOM.random(N) < RISK).astype(int)
PATIENT = RANDOM.integers(0, 1200, N)
IS_WOMAN = np.arange(N) < 900
SEX = pd.DataFrame({"sex": np.where(IS_WOMAN, "female", "male")})
RESAMPLING = Resampling(1, 100)
ACTUAL = RANDOM.lognormal(8, 1, N)
EXPECTED = ACTUAL * RANDOM.lognormal(0, 0.3, N)


def metrics_of(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry["metrics"] for entry in entries]


def test_a_prediction_differs_from_itself_by_nothing_in_any_group() -> None:
    entries = difference_by_group(LABEL, RISK, RISK, PATIENT, SEX, RESAMPLING, "risk")
    assert [(entry["level"], entry["n"]) for entry in entries] == [("female", 900), ("male", 1100)]
    for metrics in metrics_of(entries):
        assert set(metrics) == {"auroc", "calibration_in_the_large", "calibration_in_the_large_distance"}
        assert all(metric == {"value": 0, "low": 0, "high": 0} for metric in metrics.values())


def test_a_model_that_ranks_women_backwards_is_worse_for_women_alone() -> None:
    backwards = np.where(IS_WOMAN, 1 - RISK, RISK)
    women, men = metrics_of(difference_by_group(LABEL, backwards, RISK, PATIENT, SEX, RESAMPLING, "risk"))
    # The reversed score has the complement as AUROC: (1 − a) − a.
    before = auroc(LABEL[:900], RISK[:900])
    assert women["auroc"]["value"] == pytest.approx(1 - 2 * before)
    assert women["auroc"]["high"] < -0.2
    assert men["auroc"] == {"value": 0, "low": 0, "high": 0}


def test_risks_raised_for_men_are_that_much_too_high_for_men_in_every_resample() -> None:
    raised = np.where(IS_WOMAN, RISK, 1 / (1 + np.exp(-(LOG_ODDS + 0.5))))
    women, men = metrics_of(difference_by_group(LABEL, raised, RISK, PATIENT, SEX, RESAMPLING, "risk"))
    assert women["calibration_in_the_large"]["value"] == 0
    for end in ("value", "low", "high"):
        assert men["calibration_in_the_large"][end] == pytest.approx(-0.5, abs=1e-6)
    # They were calibrated before: all of it, but for chance, is distance from 0.
    assert men["calibration_in_the_large_distance"]["low"] > 0.2
    assert men["calibration_in_the_large_distance"]["high"] <= 0.5 + 1e-6


def test_amounts_are_compared_by_deviance_explained_and_bias() -> None:
    doubled = np.where(IS_WOMAN, 2 * EXPECTED, EXPECTED)
    arguments = (ACTUAL, doubled, EXPECTED, PATIENT, SEX, RESAMPLING, "amount")
    entries = difference_by_group(*arguments)
    assert "n_events" not in entries[0]
    women, men = metrics_of(entries)
    # Predicted ÷ actual doubles, so that the difference is what it was; its distance from 1 grows as much
    # where it was above 1.
    before = EXPECTED[:900].sum() / ACTUAL[:900].sum()
    assert women["bias"]["value"] == pytest.approx(before)
    assert women["bias_distance"]["value"] == pytest.approx(2 * before - 1 - abs(before - 1))
    before, after = (d2(ACTUAL[:900], expected[:900]) for expected in (EXPECTED, doubled))
    assert women["d2"]["value"] == pytest.approx(after - before)
    assert women["d2"]["high"] < 0
    assert set(men) == {"d2", "bias", "bias_distance"}
    assert men["d2"] == {"value": 0, "low": 0, "high": 0}


def test_differences_in_small_groups_are_withheld_and_those_beside_them_rounded() -> None:
    department = pd.DataFrame({"department": np.where(np.arange(N) < 49, "burns", "medicine")})
    burns, medicine = difference_by_group(LABEL, RISK**2, RISK, PATIENT, department, RESAMPLING, "risk")
    assert burns["suppressed"]
    assert "metrics" not in burns
    assert (medicine["n"], medicine["counts_rounded"]) == (1950, True)
    shown = medicine["metrics"]["calibration_in_the_large"]["value"]
    assert shown == float(f"{shown:.4g}")


def test_predictions_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="values_old 3"):
        difference_by_group(LABEL, RISK, [0.1, 0.2, 0.3], PATIENT, SEX, RESAMPLING, "risk")
    with pytest.raises(ValueError, match="outside 0 to 1"):
        difference_by_group(LABEL, RISK, LOG_ODDS, PATIENT, SEX, RESAMPLING, "risk")


def group(level: str, n: int, value: float, low: float | None, high: float | None) -> dict[str, Any]:
    coverage = {"value": value, "low": low, "high": high}
    metrics = {"interval_coverage": coverage}
    return {"group": "payer", "level": level, "suppressed": False, "n": n, "metrics": metrics}


def test_groups_whose_coverage_is_apart_are_listed_the_furthest_first() -> None:
    entries = [
        group("near", 5000, 0.83, 0.82, 0.84),
        group("at the margin", 5000, 0.84, 0.83, 0.85),
        group("too seldom", 5000, 0.70, 0.68, 0.72),
        group("perhaps too often", 1000, 0.85, 0.83, 0.87),
        group("small", 999, 0.50, 0.40, 0.60),
        {"group": "payer", "level": "tiny", "suppressed": True, "reason": "fewer than 50 rows"},
        group("no interval", 2000, 0.755, None, None),
    ]
    found = coverage_apart(entries, 0.8)
    assert [(each["level"], round(each["distance"], 3), each["is_sure"]) for each in found] == [
        ("too seldom", -0.10, True),  # 0.72 lies below 0.76
        ("perhaps too often", 0.05, False),  # 0.83 lies within 0.76 to 0.84
        ("no interval", -0.045, False),
    ]
    assert found[0]["interval_coverage"] == {"value": 0.70, "low": 0.68, "high": 0.72}
    assert [each["level"] for each in coverage_apart(entries, 0.8, margin=0.0, smallest_n=3000)] == [
        "too seldom",
        "at the margin",
        "near",
    ]


def test_intervals_that_are_right_overall_and_wrong_for_both_sexes_are_found() -> None:
    low = np.where(IS_WOMAN, 0.0, 1e9)  # always for women, never for men
    arguments = (ACTUAL, EXPECTED, low, np.full(N, 2e9), PATIENT, SEX, RESAMPLING)
    found = coverage_apart(amount_by_group(*arguments), 0.45, smallest_n=500)
    assert [(each["level"], each["distance"], each["is_sure"]) for each in found] == [
        ("female", pytest.approx(0.55), True),
        ("male", pytest.approx(-0.45), True),
    ]


def test_a_level_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        coverage_apart([], 80)
