"""The whole evaluation: names, refusals, reasons, groups and pictures."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from evaluation.bootstrap import Resampling
from evaluation.calibration import calibration_slope, ici
from evaluation.discrimination import auroc
from evaluation.evaluate import (
    evaluate_amount,
    evaluate_risk,
    sample_amount,
    sample_risk,
    sample_score,
)
from evaluation.groups import amount_by_group, risk_by_group

N = 2000
RANDOM = np.random.default_rng(11)
LOG_ODDS = RANDOM.normal(-1.5, 1, N)
PROBABILITY = 1 / (1 + np.exp(-LOG_ODDS))
LABEL = (RANDOM.random(N) < PROBABILITY).astype(int)
PATIENT = [f"P{i}" for i in RANDOM.integers(0, 1200, N)]
ACTUAL = RANDOM.lognormal(9, 0.8, N)
EXPECTED = np.full(N, ACTUAL.mean())


def test_a_risk_has_every_promised_measure_within_its_interval() -> None:
    found = evaluate_risk(LABEL, PROBABILITY, PATIENT, Resampling(1, 100))
    assert set(found) == {
        "auroc",
        "auprc",
        "prevalence",
        "brier",
        "scaled_brier",
        "calibration_in_the_large",
        "calibration_slope",
        "ici",
        "observed_expected_ratio",
    }
    for name, metric in found.items():
        assert set(metric) == {"value", "low", "high"}
        # The ICI of a calibrated model lies at the lower end of its resamples, which add their own noise.
        assert metric["low"] < metric["high"], name
        assert metric["low"] <= metric["value"] <= metric["high"] or name == "ici", name
    assert found["auroc"]["value"] == pytest.approx(auroc(LABEL, PROBABILITY))
    assert found["calibration_slope"]["value"] == pytest.approx(calibration_slope(LABEL, PROBABILITY))
    assert found["ici"]["value"] == pytest.approx(ici(LABEL, PROBABILITY))
    # The outcomes were drawn from these very probabilities.
    assert found["calibration_slope"]["low"] < 1 < found["calibration_slope"]["high"]
    assert found["calibration_in_the_large"]["low"] < 0 < found["calibration_in_the_large"]["high"]


def test_a_resample_is_evaluated_as_if_its_rows_were_repeated() -> None:
    from evaluation.calibration import calibration_measures

    weights = RANDOM.integers(0, 3, (4, N)).astype(float)
    found = calibration_measures(LABEL.astype(float), PROBABILITY)(weights)
    for row in range(4):
        repeated = np.repeat(np.arange(N), weights[row].astype(int))
        assert found["calibration_slope"][row] == pytest.approx(
            calibration_slope(LABEL[repeated], PROBABILITY[repeated]), abs=1e-6
        )


def test_the_same_seed_gives_the_same_document() -> None:
    documents = [
        json.dumps(evaluate_risk(LABEL, PROBABILITY, PATIENT, Resampling(seed, 20))) for seed in (1, 1, 2)
    ]
    assert documents[0] == documents[1]
    assert documents[0] != documents[2]


def test_capacity_and_thresholds_add_their_measures() -> None:
    week = np.arange(N) // 100
    found = evaluate_risk(
        LABEL,
        PROBABILITY,
        PATIENT,
        Resampling(1, 20),
        week=week,
        capacity_per_week=10,
        thresholds=(0.3, 0.99),
    )
    assert found["alerts_per_week_at_capacity"]["value"] == pytest.approx(10)
    assert found["ppv_at_capacity"]["value"] > found["prevalence"]["value"]
    flagged = PROBABILITY >= 0.3
    assert found["ppv_at_0.3"]["value"] == pytest.approx(LABEL[flagged].mean())
    assert found["net_benefit_at_0.3"]["value"] > max(0, found["net_benefit_of_all_at_0.3"]["value"])
    assert found["ppv_at_0.99"]["reason"] == "undefined: nobody reaches the threshold"


def test_a_capacity_without_weeks_is_refused() -> None:
    with pytest.raises(ValueError, match="week, capacity_per_week"):
        evaluate_risk(LABEL, PROBABILITY, PATIENT, Resampling(), capacity_per_week=10)


def test_missing_labels_are_refused_with_their_count() -> None:
    label = pd.Series(LABEL, dtype="Int64").mask(pd.Series(np.arange(N) < 3))
    with pytest.raises(ValueError, match="label: 3 of 2000 values are missing"):
        evaluate_risk(label, PROBABILITY, PATIENT, Resampling())


def test_a_slice_without_events_is_reported_and_does_not_crash() -> None:
    found = evaluate_risk([0] * 60, np.linspace(0.01, 0.2, 60), range(60), Resampling(1, 20))
    for name in ("auroc", "auprc", "scaled_brier", "calibration_in_the_large", "calibration_slope", "ici"):
        assert found[name]["value"] is None
        assert found[name]["reason"].startswith("undefined: needs")
    assert found["prevalence"]["value"] == 0
    assert found["brier"]["value"] > 0
    json.dumps(found, allow_nan=False)


def test_a_single_event_gives_values_without_intervals() -> None:
    label = [1] + [0] * 59
    found = evaluate_risk(label, np.linspace(0.2, 0.01, 60), range(60), Resampling(1, 50))
    assert found["auroc"]["value"] == 1.0
    assert found["auroc"]["low"] is None
    json.dumps(found, allow_nan=False)


def test_a_score_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="lie outside 0 to 1"):
        evaluate_risk(LABEL, np.round(LOG_ODDS * 3), PATIENT, Resampling())


def test_a_better_model_beats_a_noisier_one_by_an_interval_above_zero() -> None:
    noisy = 1 / (1 + np.exp(-(LOG_ODDS + np.random.default_rng(1).normal(size=N))))
    resampling = Resampling(1, 100)
    better, worse = (sample_score(LABEL, score, PATIENT, resampling) for score in (PROBABILITY, noisy))
    found = better.minus(worse).metrics()
    assert found["auroc"]["low"] > 0
    assert found["auprc"]["low"] > 0


def test_a_model_against_itself_differs_by_nothing() -> None:
    model = sample_risk(LABEL, PROBABILITY, PATIENT, Resampling(1, 20))
    found = model.minus(sample_risk(LABEL, PROBABILITY, PATIENT, Resampling(1, 20))).metrics()
    assert {"auroc", "brier", "ici"} <= set(found)
    assert all(metric == {"value": 0.0, "low": 0.0, "high": 0.0} for metric in found.values())


def test_a_cost_has_every_promised_measure() -> None:
    low, high = np.quantile(ACTUAL, [0.1, 0.9])
    found = evaluate_amount(ACTUAL, EXPECTED, [low] * N, [high] * N, PATIENT, Resampling(1, 50))
    assert {
        "mae",
        "mdae",
        "wape",
        "r2",
        "d2",
        "bias",
        "interval_coverage",
        "interval_width",
        "interval_width_median",
        "interval_open_share",
    } == set(found)
    # The mean for everyone explains nothing and is unbiased; 10–90 % quantiles hold four fifths.
    assert found["r2"]["value"] == pytest.approx(0)
    assert found["d2"]["value"] == pytest.approx(0)
    assert found["bias"]["value"] == pytest.approx(1)
    assert found["interval_coverage"]["value"] == pytest.approx(0.8, abs=0.001)
    assert found["interval_width"]["value"] == pytest.approx(high - low)


def test_a_cost_without_interval_or_bound_says_so() -> None:
    without = evaluate_amount(ACTUAL, EXPECTED, None, None, PATIENT, Resampling(1, 20))
    assert without["interval_coverage"]["reason"] == "undefined: no interval was given"
    assert without["mae"]["low"] < without["mae"]["high"]
    unbounded = evaluate_amount(ACTUAL, EXPECTED, [0] * N, [math.inf] * N, PATIENT, Resampling(1, 20))
    assert unbounded["interval_width"]["value"] is None
    assert unbounded["interval_width_median"]["value"] is None
    assert unbounded["interval_open_share"]["value"] == 1
    assert unbounded["interval_coverage"]["value"] == 1
    json.dumps(unbounded, allow_nan=False)


def test_costs_are_compared_on_the_same_resamples() -> None:
    better, worse = (
        sample_amount(ACTUAL, expected, None, None, PATIENT, Resampling(1, 50))
        for expected in (ACTUAL * 1.1, EXPECTED)
    )
    found = better.minus(worse).metrics()
    assert found["mae"]["high"] < 0
    assert found["r2"]["low"] > 0


def test_the_score_of_distributions_is_the_mean_of_its_rows_also_in_groups() -> None:
    score = np.abs(ACTUAL - EXPECTED) / 3
    arguments = (ACTUAL, EXPECTED, None, None, PATIENT)
    found = evaluate_amount(*arguments, Resampling(1, 50), crps=score)
    # A third of the error in every row is a third of the mean absolute error, in every resample.
    for end in ("value", "low", "high"):
        assert found["crps"][end] == pytest.approx(found["mae"][end] / 3)  # type: ignore[literal-required]
    assert "crps" not in evaluate_amount(*arguments, Resampling(1, 5))
    female, male = amount_by_group(*arguments, pd.DataFrame({"sex": SEX}), Resampling(1, 5), crps=score)
    assert female["metrics"]["crps"]["value"] == pytest.approx(score[:900].mean())
    assert male["metrics"]["crps"]["value"] == pytest.approx(score[900:].mean())


def test_a_score_for_other_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="actual 2000, crps 3"):
        evaluate_amount(ACTUAL, EXPECTED, None, None, PATIENT, Resampling(1, 5), crps=[1, 2, 3])


SEX = np.where(np.arange(N) < 900, "female", "male")


def test_groups_of_sufficient_size_are_shown_with_exact_counts() -> None:
    entries = risk_by_group(LABEL, PROBABILITY, PATIENT, pd.DataFrame({"sex": SEX}), Resampling(1, 20))
    female, male = entries
    assert (female["group"], female["level"], female["suppressed"]) == ("sex", "female", False)
    assert (female["n"], female["n_events"]) == (900, int(LABEL[:900].sum()))
    assert male["metrics"]["auroc"]["value"] == pytest.approx(auroc(LABEL[900:], PROBABILITY[900:]))


def test_a_group_below_50_rows_is_suppressed_and_cannot_be_had_by_subtraction() -> None:
    department = np.where(np.arange(N) < 37, "burns", "medicine")
    groups = pd.DataFrame({"department": department})
    entries = risk_by_group(LABEL, PROBABILITY, PATIENT, groups, Resampling(1, 200))
    burns, medicine = entries
    assert burns == {
        "group": "department",
        "level": "burns",
        "suppressed": True,
        "reason": "fewer than 50 rows, or than 10 with or without the outcome",
    }
    # 1963 rows, shown as 1950.
    assert medicine["n"] == 1950
    assert medicine["n_events"] % 10 == 0
    assert medicine["counts_rounded"] is True
    shown = medicine["metrics"]["prevalence"]["value"]
    assert shown == float(f"{LABEL[37:].mean():.4g}")


@pytest.mark.parametrize(("n_events", "is_suppressed"), [(9, True), (10, False), (50, False), (51, True)])
def test_a_group_below_10_events_or_10_rows_without_is_suppressed(n_events: int, is_suppressed: bool) -> None:
    label = np.arange(60) < n_events
    groups = pd.DataFrame({"payer": ["self"] * 60})
    (entry,) = risk_by_group(label, np.full(60, 0.5), range(60), groups, Resampling(1, 5))
    assert entry["suppressed"] is is_suppressed


def test_a_missing_group_is_a_level_of_its_own() -> None:
    payer = pd.Series(["public"] * 1000 + [None] * 1000)
    entries = risk_by_group(LABEL, PROBABILITY, PATIENT, pd.DataFrame({"payer": payer}), Resampling(1, 5))
    assert [(entry["level"], entry["n"]) for entry in entries] == [("public", 1000), ("unknown", 1000)]


@pytest.mark.parametrize(("n", "is_suppressed"), [(49, True), (50, False)])
def test_cost_groups_are_suppressed_by_rows_alone(n: int, is_suppressed: bool) -> None:
    groups = pd.DataFrame({"age_band": ["80+"] * n})
    (entry,) = amount_by_group(ACTUAL[:n], EXPECTED[:n], None, None, PATIENT[:n], groups, Resampling(1, 5))
    assert entry["suppressed"] is is_suppressed
    assert ("metrics" in entry) is not is_suppressed


def test_evaluation_loads_no_plotting_until_asked_and_never_its_global_state() -> None:
    script = (
        "import sys, evaluation.evaluate, evaluation.groups, evaluation.plots as plots\n"
        "assert not {'matplotlib', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "plots.roc_plot([0, 1], {'model': [0.1, 0.2]})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
