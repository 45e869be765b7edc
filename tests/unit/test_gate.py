"""The gate, rule by rule, on numbers small enough to check by eye."""

from __future__ import annotations

import math
from typing import Any

import pytest

from training.gate import ChampionComparison, GateSettings, decide


def around(value: float, half_width: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half_width, "high": value + half_width}


def risk(**changes: Any) -> dict[str, Any]:
    """A readmission model that passes: better than LACE and logistic regression, and calibrated."""
    metrics = {
        "auroc": around(0.74),
        "calibration_slope": around(1.0),
        "calibration_in_the_large": around(0.0),
    }
    baselines = {
        "lace": {"auroc": around(0.66), "difference": around(0.08, 0.02)},
        "logistic": {"auroc": around(0.72), "difference": around(0.02, 0.03)},
    }
    return {"metrics": metrics | changes.pop("metrics", {}), "baselines": baselines | changes}


def cost(**metrics: Any) -> dict[str, Any]:
    """A cost model that passes: nearer than the group mean and gamma regression, and calibrated."""
    good = {
        "wape": around(0.40),
        "mae": around(9000.0),
        "bias": around(1.0),
        "interval_coverage": around(0.80),
    }
    baselines = {
        "group_mean": {"wape": around(0.50), "difference": around(-0.10, 0.02)},
        "gamma": {"wape": around(0.42)},
    }
    return {"metrics": good | metrics, "baselines": baselines}


def failures(gate_reasons: tuple[str, ...]) -> list[str]:
    return [reason for reason in gate_reasons if reason.startswith("Failed: ")]


def test_a_better_and_calibrated_risk_passes_with_a_sentence_for_every_rule():
    gate = decide(risk())
    assert gate.passed
    # Two baselines, slope, calibration-in-the-large.
    assert len(gate.reasons) == 4
    assert gate.reasons[0] == (
        "Passed: auroc 0.740 against 0.660 for lace, the strongest simple baseline: better by +0.080, "
        "95 % interval +0.060 to +0.100 (must be above 0)."
    )


def test_the_same_point_as_the_strongest_simple_baseline_is_not_better():
    gate = decide(risk(lace={"auroc": around(0.74)}))
    assert not gate.passed
    assert failures(gate.reasons) == ["Failed: auroc 0.740 against 0.740 for lace (must be better)."]


def test_a_difference_from_the_strongest_simple_baseline_that_may_be_chance_fails():
    # 0.03 better, but from -0.01 to 0.07: the interval holds 0.
    gate = decide(risk(lace={"auroc": around(0.71), "difference": around(0.03, 0.04)}))
    assert not gate.passed
    assert "lace" in failures(gate.reasons)[0]


def test_only_the_strongest_simple_baseline_needs_a_whole_interval():
    # The count is weaker than LACE, so its point is enough; logistic regression is no simple baseline.
    gate = decide(risk(prior_admissions={"auroc": around(0.65), "difference": around(0.09, 0.20)}))
    assert gate.passed


def test_a_regression_on_the_same_features_may_be_level_but_not_clearly_better():
    assert decide(risk(logistic={"auroc": around(0.75)})).passed
    gate = decide(risk(logistic={"auroc": around(0.751)}))
    assert failures(gate.reasons) == [
        "Failed: auroc 0.740 against 0.751 for logistic (must not be worse by more than 0.010)."
    ]


def test_a_baseline_without_its_inputs_is_left_out_but_one_must_remain():
    assert decide(risk(hospital={"missing": "haemoglobin"})).passed
    assert not decide({**risk(), "baselines": {"hospital": {"missing": "haemoglobin"}}}).passed


@pytest.mark.parametrize(
    ("metric", "value", "passes"),
    [
        ("calibration_slope", 0.80, True),
        ("calibration_slope", 0.79, False),
        ("calibration_slope", 1.25, True),
        ("calibration_slope", 1.26, False),
        ("calibration_in_the_large", 0.20, True),
        ("calibration_in_the_large", -0.21, False),
    ],
)
def test_a_risk_is_calibrated_within_the_ends_of_the_range(metric: str, value: float, passes: bool):
    assert decide(risk(metrics={metric: around(value)})).passed is passes


@pytest.mark.parametrize(
    ("metric", "value", "passes"),
    [
        ("bias", 0.90, True),
        ("bias", 0.89, False),
        ("bias", 1.11, False),
        ("interval_coverage", 0.75, True),  # 0.80 - 0.05
        ("interval_coverage", 0.85, True),
        ("interval_coverage", 0.74, False),
        ("interval_coverage", 0.86, False),
    ],
)
def test_a_cost_is_calibrated_within_the_ends_of_the_range(metric: str, value: float, passes: bool):
    assert decide(cost(**{metric: around(value)}), interval_level=0.8).passed is passes


def test_for_a_cost_the_smaller_error_is_the_better_model():
    gate = decide(cost(wape=around(0.45)), interval_level=0.8)
    # 0.45 is nearer than the group mean's 0.50 and further off than gamma regression's 0.42.
    assert failures(gate.reasons) == [
        "Failed: wape 0.450 against 0.420 for gamma (must not be worse by more than 0.010)."
    ]


def test_a_cost_whose_interval_level_is_unknown_fails():
    assert not decide(cost()).passed


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
@pytest.mark.parametrize("metric", ["auroc", "calibration_slope", "calibration_in_the_large"])
def test_a_number_that_could_not_be_computed_never_passes(metric: str, value: float | None):
    gate = decide(risk(metrics={metric: {"value": value, "low": None, "high": None}}))
    assert not gate.passed
    assert f"{metric} could not be computed" in gate.reasons[0]


@pytest.mark.parametrize(
    ("low", "high", "passes"),
    [
        (0.005, 0.030, True),  # clearly better
        (-0.005, 0.015, True),  # much the same, at most 0.005 worse: within the margin of 0.01
        (-0.030, 0.050, False),  # unclear: could be 0.03 worse
        (-0.040, -0.020, False),  # clearly worse
    ],
)
def test_a_challenger_must_not_be_worse_than_the_champion(low: float, high: float, passes: bool):
    difference = {"value": (low + high) / 2, "low": low, "high": high}
    assert decide(risk(), ChampionComparison(3, 4000, difference)).passed is passes


def test_a_cost_challenger_with_the_larger_error_is_the_worse_one():
    # WAPE 0.02 higher than the champion's, from 0.015 to 0.025: beyond the margin of 0.01.
    worse = around(0.02, 0.005)
    better = around(-0.02, 0.005)
    assert not decide(cost(), ChampionComparison(3, 4000, worse), interval_level=0.8).passed
    assert decide(cost(), ChampionComparison(3, 4000, better), interval_level=0.8).passed


def test_the_same_model_again_is_not_worse_than_itself():
    assert decide(risk(), ChampionComparison(3, 4000, around(0.0, 0.0))).passed


def test_without_common_later_rows_a_champion_is_not_replaced():
    gate = decide(risk(), ChampionComparison(3, 0, None))
    assert failures(gate.reasons) == [
        "Failed: against champion version 3 there are no rows later than both calibration slices."
    ]


def test_a_hospital_may_set_the_thresholds():
    strict = GateSettings(slope=(0.95, 1.05))
    assert not decide(risk(metrics={"calibration_slope": around(1.1)}), settings=strict).passed
    assert decide(risk(metrics={"calibration_slope": around(1.1)})).passed


def test_results_without_a_primary_metric_are_refused():
    with pytest.raises(ValueError, match="neither auroc nor wape"):
        decide({"metrics": {"brier": around(0.1)}, "baselines": {}})
