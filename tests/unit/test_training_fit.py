"""A model is fitted the same way every time, on features that say something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.points import Point
from tests.admission_rows import FEATURES, admissions, fitted, recipe
from training.fit import fit_model
from training.hyperparameters import Objective, default_hyperparameters
from training.inputs import choose_specs
from training.targets import TARGETS, TrainingError

ROWS = admissions(4000)
TRAINING, CALIBRATION = np.arange(3000), np.arange(3000, 4000)


@pytest.mark.parametrize("target", ["readmission", "cost"])
def test_the_same_rows_and_seed_give_the_same_model_text(target: str) -> None:
    again = fit_model(admissions(4000), recipe(target), TRAINING, CALIBRATION)
    assert again.boosters == fitted(target).boosters
    assert again.model.artefact == fitted(target).model.artefact


def test_another_seed_gives_another_model() -> None:
    other = fit_model(ROWS, recipe("readmission", seed=1), TRAINING, CALIBRATION)
    assert other.boosters != fitted("readmission").boosters


def test_nothing_outside_the_slices_moves_the_model() -> None:
    more = admissions(4000).assign(noise=1.0)
    more = more.loc[[*range(4000), 0, 1, 2]].reset_index(drop=True)
    more.loc[4000:, "label_readmission"] = 1.0
    assert (
        fit_model(more, recipe("readmission"), TRAINING, CALIBRATION).boosters
        == fitted("readmission").boosters
    )


def test_levels_are_those_of_enough_training_rows_by_name() -> None:
    groups = ROWS["admitting_diagnosis_group"].copy()
    groups.iloc[:19], groups.iloc[19:39], groups.iloc[3500:] = "Rare", "Enough", "Only in calibration"
    specs, _ = choose_specs(ROWS.assign(admitting_diagnosis_group=groups), FEATURES, TRAINING)
    levels = {spec.name: spec.levels for spec in specs}["admitting_diagnosis_group"]
    # 19 rows are too few, 20 are enough; calibration rows do not count.
    assert levels == ("Asthma", "Enough", "Fracture", "Heart failure", "Pneumonia", "Stroke")


def test_features_that_say_nothing_are_left_out_with_the_reason() -> None:
    rows = ROWS.assign(age_years=np.nan, is_booked=1)
    specs, left_out = choose_specs(rows, FEATURES, TRAINING)
    assert [spec.name for spec in specs] == ["n_stays_prior_365d", "admitting_diagnosis_group", "ward_score"]
    assert left_out == {
        "age_years": "missing in every training row",
        "is_booked": "the same in every training row",
    }


def test_a_feature_that_is_sometimes_missing_and_otherwise_the_same_stays() -> None:
    rows = ROWS.assign(ward_score=np.where(np.arange(4000) % 2, 1.0, np.nan))
    specs, _ = choose_specs(rows, FEATURES, TRAINING)
    assert "ward_score" in [spec.name for spec in specs]


def test_a_category_of_one_level_or_of_rare_levels_only_says_nothing() -> None:
    rare = [f"Group {row // 10}" for row in range(4000)]
    for groups, reason in ((["Stroke"] * 4000, "the same in every"), (rare, "missing in every")):
        _, left_out = choose_specs(ROWS.assign(admitting_diagnosis_group=groups), FEATURES, TRAINING)
        assert left_out["admitting_diagnosis_group"] == f"{reason} training row"


def test_no_feature_at_all_is_an_error() -> None:
    rows = ROWS.assign(age_years=1.0)
    with pytest.raises(TrainingError, match="none of 1 varies"):
        choose_specs(rows, FEATURES[:1], TRAINING)


@pytest.mark.parametrize(
    ("training", "calibration", "complaint"),
    [
        (np.arange(199), CALIBRATION, r"training slice holds 199 rows, \d+ of the rarer outcome"),
        (
            np.flatnonzero(ROWS["label_readmission"] == 0)[:2000],
            CALIBRATION,
            "2000 rows, 0 of the rarer outcome",
        ),
        (TRAINING, np.arange(3000, 3099), "calibration slice holds 99 rows"),
    ],
)
def test_too_few_rows_or_events_say_what_is_needed(
    training: np.ndarray, calibration: np.ndarray, complaint: str
) -> None:
    with pytest.raises(TrainingError, match=complaint):
        fit_model(ROWS, recipe("readmission"), training, calibration)


def test_the_probabilities_are_those_of_the_truth() -> None:
    later = admissions(20_000, seed=9)
    value = fitted("readmission").model.predict(later, contributions=False).value
    # Overall 0.8 × E[sigmoid(−2.2 + 0.5 k)] + 0.2 × E[sigmoid(−1.4 + 0.5 k)], k ~ Poisson(0.8): 0.174.
    assert value.mean() == pytest.approx(0.174, abs=0.02)


def test_the_cost_is_right_in_sum_though_extreme_costs_were_truncated() -> None:
    model = fitted("cost")
    rows = ROWS.iloc[CALIBRATION]
    value = model.model.predict(rows, contributions=False).value
    # By construction on the calibration slice: Σ predicted = Σ raw cost.
    assert value.sum() == pytest.approx(rows["label_episode_cost"].sum())
    cut = np.quantile(ROWS["label_episode_cost"].iloc[TRAINING], 0.995)
    assert model.truncated_at == pytest.approx(cut)


@pytest.mark.parametrize("objective", ["gamma", "tweedie", "log"])
def test_whatever_the_objective_the_mean_of_costs_is_given_back(objective: Objective) -> None:
    chosen = default_hyperparameters(2500, objective)
    made_by = replace(recipe("cost"), hyperparameters=chosen)
    model = fit_model(ROWS, made_by, TRAINING, CALIBRATION)
    later = admissions(20_000, seed=9)
    value = model.model.predict(later, contributions=False).value
    # E[exp(9 + 0.2 k + 0.6 f)], k ~ Poisson(0.8), f in a fifth of the rows:
    # e⁹ × e^(0.8 (e^0.2 − 1)) × (0.8 + 0.2 e^0.6) = 8103 × 1.194 × 1.164 = 11,264.
    assert value.mean() == pytest.approx(11_264, rel=0.08)
    assert (model.boosters == fitted("cost").boosters) == (objective == "log")


def test_costs_of_nothing_can_be_learned_from() -> None:
    rows = ROWS.assign(label_episode_cost=np.where(np.arange(4000) % 10, ROWS["label_episode_cost"], 0.0))
    model = fit_model(rows, recipe("cost"), TRAINING, CALIBRATION).model
    assert np.isfinite(model.predict(rows, contributions=False).value).all()


def test_bands_and_percentiles_are_those_of_the_calibration_slice() -> None:
    model = fitted("readmission").model
    prediction = model.predict(ROWS.iloc[CALIBRATION], contributions=False)
    shares = [prediction.band.count(band) / 1000 for band in ("low", "medium", "high")]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    assert np.mean(prediction.percentile) == pytest.approx(0.5, abs=0.01)


def test_few_events_in_calibration_leave_the_raw_probability_with_the_reason() -> None:
    events = CALIBRATION[ROWS["label_readmission"].iloc[CALIBRATION] == 1][:20]
    others = CALIBRATION[ROWS["label_readmission"].iloc[CALIBRATION] == 0][:200]
    few = np.sort(np.concatenate([events, others]))
    calibration = fit_model(ROWS, recipe("readmission"), TRAINING, few).model.artefact.calibration
    assert (calibration.intercept, calibration.slope) == (0.0, 1.0)
    assert "20 events among 220 rows" in calibration.reason


def test_the_artefact_remembers_the_point_the_context_and_the_catalogue() -> None:
    artefact = fitted("cost").model.artefact
    assert (artefact.name, artefact.scale, artefact.landmark_hours) == ("cost-admission", "log_money", 24.0)
    assert artefact.context == recipe("cost").context
    assert len(artefact.fingerprint) == 64
    without_fact = replace(recipe("cost"), features=FEATURES[:-1])
    # An extract's own facts are no part of the fingerprint of the catalogue.
    again = fit_model(ROWS, without_fact, TRAINING, CALIBRATION).model.artefact
    assert again.fingerprint == artefact.fingerprint


def test_the_card_does_not_call_a_readmission_unplanned_that_the_extract_defines_otherwise() -> None:
    readmission = TARGETS["readmission"]
    given = {"kind": "given", "definition": "all-cause within 30 days"}
    assert readmission.intended_use(Point.DISCHARGE, given) == (
        "Estimates the probability of a readmission (all-cause within 30 days), at discharge, to help "
        "clinicians and planners set priorities."
    )
    assert "an unplanned readmission" in readmission.intended_use(Point.DISCHARGE, {"kind": "derived"})


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("stay_days", "ends early by death or transfer"),
        ("charges", "ends early by death or transfer"),
        ("cost", "costs of a patient who dies end there"),
    ],
)
def test_the_card_says_that_a_low_amount_may_be_a_death(target: str, words: str) -> None:
    use = TARGETS[target].intended_use(Point.ADMISSION, {})
    assert words in use
    assert use.endswith("a low number does not say that a patient does well.")
