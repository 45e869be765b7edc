"""The gate, rule by rule, on numbers small enough to check by eye."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest

from training.gate import decide
from training.gate.champion import ChampionComparison, CommonExposed
from training.gate.decision import Check, Gate
from training.gate.settings import GateSettings


def around(value: float, half_width: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half_width, "high": value + half_width}


EXPLAINED = {"n": 1000, "largest_gap": 3e-14, "rows_per_second": 2500.0}


def baseline(value: float, difference: float, half_width: float = 0.01, share: float = 1.0) -> dict[str, Any]:
    """A risk's baseline with the paired difference, model minus baseline, on its own rows."""
    return {
        "share_scored": share,
        "auroc": around(value),
        "difference": around(difference, half_width),
    }


def risk(**changes: Any) -> dict[str, Any]:
    """A readmission model that passes: better than LACE and logistic regression, and calibrated."""
    metrics = {
        "auroc": around(0.74),
        "calibration_slope": around(1.0),
        "calibration_in_the_large": around(0.0),
    }
    baselines = {"lace": baseline(0.66, 0.08, 0.02), "logistic": baseline(0.72, 0.02, 0.03)}
    return {
        "kind": "risk",
        "explanation": changes.pop("explanation", EXPLAINED),
        "groups": changes.pop("groups", []),
        "metrics": metrics | changes.pop("metrics", {}),
        "baselines": baselines | changes,
    }


def cost(**changes: Any) -> dict[str, Any]:
    """A cost model that passes: nearer than the means and gamma regression, and calibrated."""
    good = {
        "d2": around(0.60),
        "wape": around(0.40),
        "mae": around(9000.0),
        "bias": around(1.0),
        "interval_coverage": around(0.80),
    }
    baselines = {
        "overall_mean": {"share_scored": 1.0, "d2": around(0.45), "difference": around(0.15, 0.02)},
        "group_mean": {"share_scored": 1.0, "d2": around(0.50), "difference": around(0.10, 0.02)},
        "gamma": {"share_scored": 1.0, "d2": around(0.58), "difference": around(0.02, 0.01)},
    }
    return {
        "kind": "amount",
        "explanation": EXPLAINED,
        "groups": changes.pop("groups", []),
        "metrics": good | {name: value for name, value in changes.items() if name not in baselines},
        "baselines": baselines | {name: value for name, value in changes.items() if name in baselines},
    }


def failures(gate: Gate) -> list[str]:
    return [check.text for check in gate.checks if not check.passed]


def test_a_better_and_calibrated_risk_passes_with_a_sentence_for_every_rule():
    gate = decide(risk())
    assert gate.passed
    assert gate.reasons == (
        "Passed: auroc 0.740, 95 % interval 0.730 to 0.750 (must be above 0.5, which is chance).",
        "Passed: auroc 0.740 against 0.660 for lace, the strongest simple baseline: better by +0.080, "
        "95 % interval +0.060 to +0.100 (must be above 0).",
        "Passed: auroc 0.740 against 0.720 for logistic: better by +0.020, "
        "95 % interval -0.010 to +0.050 (must not be worse by more than 0.010).",
        "Passed: calibration_slope 1.000 (must be 0.80 to 1.25).",
        "Passed: calibration_in_the_large 0.000 (must be -0.20 to 0.20).",
        "Passed: contributions of 1000 rows add up to the raw output within 3e-14 (must be within 1e-06).",
        "Passed: 2,500 explained predictions a second on one thread (must be at least 100).",
    )


def test_the_document_holds_the_sentences_for_people_and_the_checks_for_programs():
    gate = Gate((Check(False, "too flat."), Check(True, "better.")))
    assert gate.document() == {
        "passed": False,
        "reasons": ["Failed: too flat.", "Passed: better."],
        "checks": [{"passed": False, "text": "too flat."}, {"passed": True, "text": "better."}],
    }
    assert not Gate(()).passed


def test_a_model_without_skill_fails_though_it_matches_the_regression():
    # 0.505 from 0.47 to 0.54, logistic 0.510; no simple baseline could be computed.
    skilless = risk(metrics={"auroc": around(0.505, 0.035)}, logistic=baseline(0.51, -0.005, 0.02))
    del skilless["baselines"]["lace"]
    assert failures(decide(skilless)) == [
        "auroc 0.505, 95 % interval 0.470 to 0.540 (must be above 0.5, which is chance)."
    ]


def test_without_any_simple_baseline_a_skilled_risk_passes_and_a_cost_does_not():
    assert decide({**risk(), "baselines": {"hospital": {"missing": "haemoglobin"}}}).passed
    gate = decide({**cost(), "baselines": {"group_mean": {"missing": "diagnoses"}}}, interval_level=0.8)
    assert failures(gate) == ["d2 0.600 is compared with no simple baseline."]


def test_a_cost_must_beat_the_mean_of_everyone_with_its_interval():
    missing = {"missing": "admitting diagnoses"}
    near = {"share_scored": 1.0, "d2": around(0.59), "difference": around(0.01, 0.02)}
    assert decide(cost(group_mean=missing), interval_level=0.8).passed
    # 0.01 nearer, but from 0.03 nearer to 0.01 further off.
    gate = decide(cost(group_mean=missing, overall_mean=near), interval_level=0.8)
    assert failures(gate) == [
        "d2 0.600 against 0.590 for overall_mean, the strongest simple baseline: better by +0.010, "
        "95 % interval -0.010 to +0.030 (must be above 0)."
    ]


def test_level_with_the_strongest_simple_baseline_is_not_better():
    gate = decide(risk(lace=baseline(0.74, 0.0)))
    assert failures(gate) == [
        "auroc 0.740 against 0.740 for lace, the strongest simple baseline: better by +0.000, "
        "95 % interval -0.010 to +0.010 (must be above 0)."
    ]


def test_a_difference_from_the_strongest_simple_baseline_that_may_be_chance_fails():
    # 0.03 better, but from -0.01 to 0.07: the interval holds 0.
    assert "lace" in failures(decide(risk(lace=baseline(0.71, 0.03, 0.04))))[0]


def test_a_difference_without_an_interval_does_not_pass():
    bare = {"share_scored": 1.0, "auroc": around(0.66), "difference": {"value": 0.08, "low": None}}
    assert "without an interval" in failures(decide(risk(lace=bare)))[0]
    unknown = {"share_scored": 1.0, "auroc": around(0.66), "difference": {"value": None}}
    assert failures(decide(risk(lace=unknown))) == ["the difference from lace could not be computed."]


def test_what_counts_is_the_difference_on_the_rows_that_have_the_score():
    # HOSPITAL reaches 0.60 where it exists, below LACE's 0.66 on all rows; but there the model is only 0.01
    # ahead, from -0.02 to 0.04: HOSPITAL is the strongest baseline, and not beaten.
    gate = decide(risk(hospital=baseline(0.60, 0.01, 0.03, share=0.25)))
    assert failures(gate) == [
        "auroc on the 25.0% of rows that have hospital, the strongest simple baseline: better by +0.010, "
        "95 % interval -0.020 to +0.040 (must be above 0)."
    ]
    # And the other way round: 0.75 on easier rows than all is no reason to fail, if the model is ahead there.
    assert decide(risk(hospital=baseline(0.75, 0.05, 0.02, share=0.25))).passed


def test_only_the_strongest_simple_baseline_needs_a_whole_interval():
    # The model is further ahead of the count than of LACE, so the value is enough.
    assert decide(risk(prior_admissions=baseline(0.65, 0.09, 0.20))).passed


def test_a_regression_on_the_same_features_may_be_level_but_not_clearly_better():
    assert decide(risk(logistic=baseline(0.75, -0.01))).passed
    assert failures(decide(risk(logistic=baseline(0.751, -0.011)))) == [
        "auroc 0.740 against 0.751 for logistic: worse by 0.011, 95 % interval -0.021 to -0.001 "
        "(must not be worse by more than 0.010)."
    ]


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


def test_for_a_cost_whoever_explains_more_is_the_better_model():
    # Gamma regression explains 0.03 more than the model.
    nearer = {"share_scored": 1.0, "d2": around(0.63), "difference": around(-0.03)}
    gate = decide(cost(gamma=nearer), interval_level=0.8)
    assert failures(gate) == [
        "d2 0.600 against 0.630 for gamma: worse by 0.030, 95 % interval -0.040 to -0.020 "
        "(must not be worse by more than 0.010)."
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
    ("low", "high", "is_better", "is_not_worse"),
    [
        (0.005, 0.030, True, True),  # clearly better
        (-0.005, 0.015, False, True),  # much the same, at most 0.005 worse: within the margin of 0.01
        (-0.030, 0.050, False, False),  # unclear: could be 0.03 worse
        (-0.040, -0.020, False, False),  # clearly worse
    ],
)
def test_a_challenger_must_be_better_than_the_champion_or_by_a_setting_not_worse(
    low: float, high: float, is_better: bool, is_not_worse: bool
):
    comparison = ChampionComparison(3, 4000, {"value": (low + high) / 2, "low": low, "high": high})
    assert decide(risk(), comparison).passed is is_better
    assert decide(risk(), comparison, settings=GateSettings(champion_rule="not_worse")).passed is is_not_worse


def test_a_cost_challenger_that_explains_less_is_the_worse_one():
    # 0.02 less than the champion, from 0.015 to 0.025: beyond the margin of 0.01.
    worse = around(-0.02, 0.005)
    better = around(0.02, 0.005)
    either = GateSettings(champion_rule="not_worse")
    assert not decide(cost(), ChampionComparison(3, 4000, worse), interval_level=0.8, settings=either).passed
    assert decide(cost(), ChampionComparison(3, 4000, better), interval_level=0.8).passed


def test_the_same_model_again_is_not_worse_than_itself_and_no_reason_to_change():
    same = ChampionComparison(3, 4000, around(0.0, 0.0))
    assert decide(risk(), same, settings=GateSettings(champion_rule="not_worse")).passed
    assert failures(decide(risk(), same)) == [
        "against champion version 3 on 4000 common later rows: auroc better by +0.000, "
        "95 % interval +0.000 to +0.000 (must be above 0)."
    ]


def test_a_comparison_on_rows_of_the_time_when_models_were_acted_upon_says_so():
    day, worse = dt.date(2025, 3, 1), around(0.0)
    since = ChampionComparison(3, 4000, around(0.03), exposed=CommonExposed(day, 3000, worse))
    assert decide(risk(), since).reasons[5] == (
        "Passed: against champion version 3 on 4000 common later rows: auroc better by +0.030, 95 % interval "
        "+0.020 to +0.040 (must be above 0). Most of these rows, 3000, lie on or after 2025-03-01, since "
        "when models are acted upon: that makes the champion look worse than it is; on the 1000 before, "
        "better by +0.000, 95 % interval -0.010 to +0.010."
    )
    # 3 of 4,000: neither they nor, by subtraction, the others are compared alone.
    few = ChampionComparison(3, 4000, around(0.03), exposed=CommonExposed(day, 3, None))
    assert decide(risk(), few).reasons[5].split("Of these rows, ")[1] == (
        "fewer than 10, lie on or after 2025-03-01, since when models are acted upon: that makes the "
        "champion look worse than it is; too few on either side to be compared alone."
    )


def group(level: str, **metrics: dict[str, float]) -> dict[str, Any]:
    return {"group": "sex", "level": level, "suppressed": False, "n": 500, "metrics": metrics}


WITHHELD = {"group": "sex", "level": "unknown", "suppressed": True, "reason": "fewer than 50 rows"}


def test_a_group_whose_risks_are_plainly_too_low_is_flagged_by_name():
    # Everyone's calibration is 0.1: a group may lie from -0.2 to 0.4. Over two looks 1.96 standard errors
    # become 2.24, so that 0.2 becomes 0.229: from 0.471 to 0.929 lies beyond.
    women, men = (group(sex, calibration_in_the_large=around(0.7, 0.2)) for sex in ("female", "male"))
    men["metrics"]["calibration_in_the_large"] = around(-0.1, 0.2)
    gate = decide(risk(metrics={"calibration_in_the_large": around(0.1)}, groups=[women, men, WITHHELD]))
    assert failures(gate) == [
        "sex female: calibration_in_the_large 0.700, 95 % interval over 2 looks 0.471 to 0.929 "
        "(everyone's is 0.100; must lie within -0.200 to 0.400, or be no further off than the champion's)."
    ]


@pytest.mark.parametrize(("further", "passes"), [(0.0, True), (-0.1, True), (0.05, False)])
def test_a_group_that_the_champion_serves_no_better_does_not_keep_a_better_model_out(
    further: float, passes: bool
):
    women = group("female", calibration_in_the_large=around(0.7, 0.2))
    as_before = group("female", auroc=around(0.0), calibration_in_the_large_distance=around(further, 0.02))
    gate = decide(risk(groups=[women]), ChampionComparison(3, 4000, around(0.03), groups=(as_before,)))
    assert gate.passed is passes
    assert any("sex female: calibration_in_the_large 0.700" in reason for reason in gate.reasons)


def test_a_challenger_that_moves_a_groups_level_further_off_is_refused():
    # Further off by 0.2 log-odds. From 0.15 to 0.25: beyond the margin of 0.1. From 0.05 to 0.35: who knows.
    # Two groups, ranking and level each: over four looks 1.96 becomes 2.498, and 0.05 becomes 0.064.
    surely = group("female", auroc=around(0.01), calibration_in_the_large_distance=around(0.2, 0.05))
    perhaps = group("male", auroc=around(0.01), calibration_in_the_large_distance=around(0.2, 0.15))
    comparison = ChampionComparison(3, 4000, around(0.03), groups=(surely, perhaps))
    assert failures(decide(risk(), comparison)) == [
        "sex female: calibration_in_the_large further off by 0.200 than under champion version 3, "
        "95 % interval over 4 looks 0.136 to 0.264 (must stay within 0.100)."
    ]
    bias = group("female", d2=around(0.0), bias_distance=around(0.2, 0.05))
    comparison = ChampionComparison(3, 4000, around(0.03), groups=(bias,))
    assert "sex female: bias further off" in failures(decide(cost(), comparison, interval_level=0.8))[0]


@pytest.mark.parametrize("half_width", [0.5, 0.01])
def test_a_group_is_held_harmed_only_where_its_whole_interval_says_so(half_width: float):
    # 0.7 from 0.2 to 1.2 reaches 0.3, which is allowed; 0.7 from 0.69 to 0.71 does not.
    found = decide(risk(groups=[group("female", calibration_in_the_large=around(0.7, half_width))]))
    assert found.passed is (half_width == 0.5)
    without = decide(risk(groups=[group("female", calibration_in_the_large={"value": 0.7, "low": None})]))
    assert without.passed


def test_of_many_groups_one_may_lie_apart_by_chance():
    # 0.7 ± 0.3 alone lies beyond 0.3. Over 20 groups 1.96 standard errors become 3.02: 0.7 ± 0.46 does not.
    apart = group("female", calibration_in_the_large=around(0.7, 0.3))
    others = [group(str(number), calibration_in_the_large=around(0.0, 0.1)) for number in range(19)]
    assert not decide(risk(groups=[apart])).passed
    assert decide(risk(groups=[apart, *others])).passed


def test_a_group_whose_costs_are_foretold_far_too_high_is_flagged():
    # Everyone's predicted ÷ actual is 1.0: a group may have 0.8 to 1.25.
    good, bad = group("male", bias=around(1.3, 0.06)), group("female", bias=around(1.5, 0.2))
    assert decide(cost(groups=[good]), interval_level=0.8).passed
    assert "sex female: bias 1.500" in failures(decide(cost(groups=[good, bad]), interval_level=0.8))[0]


def test_a_challenger_that_is_better_for_everyone_and_worse_for_a_group_is_refused():
    # 0.05 worse each. Women from 0.02 to 0.08: may be within the margin of 0.02. Men from 0.03 to 0.07: not.
    women, men = group("female", auroc=around(-0.05, 0.03)), group("male", auroc=around(-0.05, 0.02))
    better = around(0.03)
    assert decide(risk(), ChampionComparison(3, 4000, better, groups=(women, WITHHELD))).passed
    assert failures(decide(risk(), ChampionComparison(3, 4000, better, groups=(women, men)))) == [
        "sex male: auroc worse by 0.050 than champion version 3, 95 % interval over 2 looks -0.073 to "
        "-0.027 (must reach -0.020)."
    ]


def told(gate: Gate, beginning: str) -> list[str]:
    return [check.text for check in gate.checks if check.passed and check.text.startswith(beginning)]


def test_harm_that_may_be_chance_among_many_is_told_as_such_and_never_denied():
    # 20 groups, two looks each: 1.96 standard errors become 3.227, by 1.646. Of the women -0.07 ± 0.045 lies
    # below -0.02, and with ± 0.074 reaches it; 0.25 ± 0.12 lies above 0.1, and with ± 0.198 reaches it.
    women = group("female", auroc=around(-0.07, 0.045), calibration_in_the_large_distance=around(0.25, 0.12))
    same = {"auroc": around(0.0), "calibration_in_the_large_distance": around(0.0)}
    others = [group(str(number), **same) for number in range(19)]
    gate = decide(risk(), ChampionComparison(3, 4000, around(0.03), groups=(women, *others)))
    assert gate.passed
    ranked = (
        "sex female: auroc worse by 0.070 than champion version 3, 95 % interval -0.115 to -0.025 "
        "(must reach -0.020)"
    )
    level = (
        "sex female: calibration_in_the_large further off by 0.250 than under champion version 3, 95 % "
        "interval 0.130 to 0.370 (must stay within 0.100)"
    )
    assert told(gate, "look at") == [
        f"look at {ranked}, which over 40 looks may be chance.",
        f"look at {level}, which over 40 looks may be chance.",
    ]
    not_shown = "harm to a group is not shown by"
    assert told(gate, not_shown) == [
        f"{not_shown} auroc against champion version 3, allowing for 40 looks; the worst is {ranked}.",
        f"{not_shown} calibration_in_the_large against champion version 3, allowing for 40 looks; the worst "
        f"is {level}.",
    ]
    # Alone, with two looks, it is shown.
    assert not decide(risk(), ChampionComparison(3, 4000, around(0.03), groups=(women,))).passed


def test_a_group_that_could_not_be_looked_at_is_named():
    bare = group("male", auroc={"value": 0.7, "low": None}, calibration_in_the_large={"value": None})
    women = group("female", auroc=around(0.7), calibration_in_the_large=around(0.0))
    small = ChampionComparison(3, 4000, around(0.03), groups=(WITHHELD,))
    gate = decide(risk(groups=[women, bare, WITHHELD]), small)
    assert told(gate, "without") == [
        "without an interval of auroc, not looked at: sex male.",
        "without an interval of calibration_in_the_large, not looked at: sex male.",
    ]
    assert told(gate, "too small") == [
        "too small to be looked at: sex unknown.",
        "too small to be compared with the champion: sex unknown.",
    ]


def test_a_group_that_is_ranked_all_but_by_chance_is_refused_without_a_champion():
    # Everyone's AUROC is 0.74, 0.24 above chance; a quarter of that lead is 0.56. Below it is a group from
    # 0.52 to 0.54; one from 0.54 to 0.60 reaches it.
    blind, poor = group("female", auroc=around(0.53)), group("male", auroc=around(0.57, 0.03))
    assert decide(risk(groups=[poor])).passed
    assert failures(decide(risk(groups=[blind]))) == [
        "sex female: auroc 0.530, 95 % interval 0.520 to 0.540 (everyone's is 0.740; must reach 0.560, or be "
        "no worse than the champion's)."
    ]
    # The champion ranked its patients no better.
    before = group("female", auroc=around(0.0))
    assert decide(risk(groups=[blind]), ChampionComparison(3, 4000, around(0.03), groups=(before,))).passed
    # Everyone's WAPE is 0.40, 0.60 nearer than nothing for all; a quarter of that lead is 0.85.
    far, near = group("female", wape=around(0.9)), group("male", wape=around(0.85))
    assert decide(cost(groups=[near]), interval_level=0.8).passed
    assert "sex female: wape 0.900" in failures(decide(cost(groups=[far]), interval_level=0.8))[0]


@pytest.mark.parametrize(
    ("explanation", "reason"),
    [
        (
            {**EXPLAINED, "largest_gap": 2e-6},
            "contributions of 1000 rows add up to the raw output within 2e-06",
        ),
        ({**EXPLAINED, "largest_gap": math.nan}, "whether contributions add up"),
        ({**EXPLAINED, "rows_per_second": 99.0}, "99 explained predictions a second on one thread"),
        ({"n": 1000, "largest_gap": 0.0}, "the speed of explained predictions could not be measured"),
    ],
)
def test_explanations_must_add_up_and_come_fast_enough(explanation: dict[str, Any], reason: str):
    assert [text.startswith(reason) for text in failures(decide(risk(explanation=explanation)))] == [True]


def test_without_common_later_rows_a_champion_is_not_replaced():
    gate = decide(
        risk(), ChampionComparison(3, 0, None, "there are no rows later than both calibration slices")
    )
    assert failures(gate) == [
        "against champion version 3: there are no rows later than both calibration slices."
    ]


def test_other_thresholds_may_be_given():
    strict = GateSettings(slope=(0.95, 1.05))
    assert not decide(risk(metrics={"calibration_slope": around(1.1)}), settings=strict).passed
    assert decide(risk(metrics={"calibration_slope": around(1.1)})).passed
