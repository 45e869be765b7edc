"""Baselines are fitted on the same rows; one whose input is missing is listed, not forgotten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.points import Point
from tests.admission_rows import admissions, fitted, recipe
from training.baselines import predict_baselines

ROWS = admissions(10_000)
FITTED, JUDGED = np.arange(9000), np.arange(9000, 10_000)
SPECS = fitted("readmission").model.artefact.features


def test_the_count_of_earlier_admissions_becomes_a_calibrated_probability() -> None:
    rows = ROWS.assign(n_stays_prior_365d=np.arange(10_000) % 2.0)
    # Without earlier stays 1 in 10 returns, with them 3 in 10.
    rows["label_readmission"] = np.where(
        rows["n_stays_prior_365d"] == 1, np.arange(10_000) // 2 % 10 < 3, np.arange(10_000) // 2 % 10 < 1
    ).astype(float)
    found = predict_baselines(rows, recipe("readmission"), SPECS, FITTED, JUDGED).predictions
    assert found["prior_admissions"][:2] == pytest.approx([0.1, 0.3])


def test_a_row_without_the_score_is_not_predicted_and_teaches_the_line_nothing() -> None:
    rows = ROWS.copy()
    rows.loc[9000, "n_stays_prior_365d"] = np.nan
    # If these counted as the median, the line would lie far above.
    rows.loc[:999, "n_stays_prior_365d"], rows.loc[:999, "label_readmission"] = np.nan, 1.0
    found = predict_baselines(rows, recipe("readmission"), SPECS, FITTED, JUDGED).predictions
    whole = predict_baselines(ROWS, recipe("readmission"), SPECS, FITTED[1000:], JUDGED).predictions
    assert np.isnan(found["prior_admissions"][0])
    np.testing.assert_allclose(found["prior_admissions"][1:], whole["prior_admissions"][1:], rtol=1e-9)


def test_a_score_that_no_judged_row_has_is_missing() -> None:
    rows = ROWS.assign(n_stays_prior_365d=ROWS["n_stays_prior_365d"].where(ROWS.index < 9000))
    found = predict_baselines(rows, recipe("readmission"), SPECS, FITTED, JUDGED)
    assert found.missing == {"prior_admissions": "admissions in the year before"}


@pytest.mark.parametrize("point", [Point.PREADMISSION, Point.ADMISSION])
@pytest.mark.parametrize("target", ["readmission", "complication"])
def test_earlier_admissions_are_a_baseline_of_every_risk_at_every_point(target: str, point: Point) -> None:
    found = predict_baselines(ROWS, replace(recipe(target), point=point), SPECS, FITTED, JUDGED)
    assert set(found.predictions) == {"prior_admissions", "logistic"}
    assert found.missing == {}


def test_a_cost_is_always_held_against_the_mean_of_everyone() -> None:
    rows = ROWS.assign(admitting_diagnosis_group=None)
    specs = tuple(spec for spec in SPECS if spec.type != "category")
    found = predict_baselines(rows, recipe("cost"), specs, FITTED, JUDGED)
    mean = rows["label_episode_cost"].iloc[FITTED].mean()
    assert found.predictions["overall_mean"].tolist() == [pytest.approx(mean)] * 1000
    assert found.missing == {"group_mean": "admitting diagnoses"}


def test_scores_are_listed_as_missing_with_their_input() -> None:
    at_discharge = replace(recipe("readmission"), point=Point.DISCHARGE)
    rows = ROWS.assign(n_stays_prior_365d=np.nan)
    specs = tuple(spec for spec in SPECS if spec.name != "n_stays_prior_365d")
    found = predict_baselines(rows, at_discharge, specs, FITTED, JUDGED)
    assert set(found.missing) == {"prior_admissions", "lace", "hospital"}
    assert "haemoglobin" in found.missing["hospital"]
    assert set(found.predictions) == {"logistic"}


def test_lace_is_judged_where_it_exists() -> None:
    at_discharge = replace(recipe("readmission"), point=Point.DISCHARGE)
    rows = ROWS.assign(lace_index=ROWS["n_stays_prior_365d"] * 2)
    found = predict_baselines(rows, at_discharge, SPECS, FITTED, JUDGED).predictions
    # The same ranking as the count it was made from.
    np.testing.assert_allclose(found["lace"], found["prior_admissions"], rtol=1e-6)


def test_the_group_mean_is_that_of_the_fitted_rows_and_the_overall_mean_elsewhere() -> None:
    rows = ROWS.copy()
    rows.loc[9000, "admitting_diagnosis_group"] = "Stroke"
    rows.loc[9001, "admitting_diagnosis_group"] = "Never seen"
    found = predict_baselines(rows, recipe("cost"), SPECS, FITTED, JUDGED).predictions["group_mean"]
    learned = rows.iloc[FITTED]
    stroke = learned.loc[learned["admitting_diagnosis_group"] == "Stroke", "label_episode_cost"]
    assert found[:2] == pytest.approx([stroke.mean(), learned["label_episode_cost"].mean()])


def test_regressions_find_the_made_up_truth() -> None:
    frame = ROWS.copy()
    # The last two rows differ in nothing but what matters.
    frame.loc[9999] = frame.loc[9998]
    frame.loc[[9998, 9999], "admitting_diagnosis_group"] = ["Asthma", "Heart failure"]
    frame.loc[[9998, 9999], "n_stays_prior_365d"] = [0.0, 2.0]
    risk = predict_baselines(frame, recipe("readmission"), SPECS, FITTED, JUDGED).predictions["logistic"]
    cost = predict_baselines(frame, recipe("cost"), SPECS, FITTED, JUDGED).predictions["gamma"]
    odds = risk / (1 - risk)
    # True odds ratio exp(0.8 + 2 × 0.5) = 6.0; true cost ratio exp(0.6 + 2 × 0.2) = 2.7.
    assert odds[-1] / odds[-2] == pytest.approx(6.0, rel=0.25)
    assert cost[-1] / cost[-2] == pytest.approx(2.7, rel=0.1)


def test_a_regression_on_more_rows_than_it_needs_takes_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = predict_baselines(ROWS, recipe("readmission"), SPECS, FITTED, JUDGED).predictions
    monkeypatch.setattr("training.baselines.MOST_REGRESSION_ROWS", 2000)
    sampled = predict_baselines(ROWS, recipe("readmission"), SPECS, FITTED, JUDGED).predictions
    again = predict_baselines(ROWS, recipe("readmission"), SPECS, FITTED, JUDGED).predictions
    assert (sampled["logistic"] != everything["logistic"]).any()
    np.testing.assert_array_equal(sampled["logistic"], again["logistic"])
    np.testing.assert_array_equal(sampled["prior_admissions"], everything["prior_admissions"])
