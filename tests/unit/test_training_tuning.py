"""Hyperparameters are searched on the training rows alone, the defaults first; they stay unless beaten."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import training.tuning
from tests.admission_rows import TRAINING, admissions, recipe
from training.fit import fit_model
from training.folds import log_loss, poisson_deviance, tuning_folds
from training.hyperparameters import Hyperparameters, default_hyperparameters, learned_label
from training.origins import rolling_splits
from training.targets import TARGETS, TrainingError
from training.tuning import Trial, Tuned, tune

ROWS = admissions(4000)
EVERYONE = np.arange(4000)
UNDATED = replace(TRAINING, timeline="none")


@cache
def tuned(target: str, n_trials: int = 8) -> Tuned:
    return tune(ROWS, recipe(target), EVERYONE, n_trials=n_trials, seconds=600)


# What a choice is judged on


def test_each_block_of_time_is_judged_after_what_was_before_it_and_known_by_then() -> None:
    readmission = TARGETS["readmission"]
    splits = list(rolling_splits(ROWS, readmission, EVERYONE, n_origins=4, calibration_share=0))
    times = pd.to_datetime(ROWS["prediction_time"])
    ended = pd.to_datetime(ROWS["row_label_end_on_readmission"])
    # All rows from the first origin on are judged once; 40 % of them come before it.
    judged = np.concatenate([split.test for split in splits])
    assert len(np.unique(judged)) == len(judged)
    assert len(judged) == pytest.approx(0.6 * 4000, abs=10)
    for split in splits:
        assert len(split.test) == pytest.approx(0.15 * 4000, abs=10)
        origin = pd.Timestamp(split.test_from)
        assert times.iloc[split.test].min() >= origin
        assert ended.iloc[split.training].max() < origin
        patients = [set(ROWS["patient_id"].iloc[rows]) for rows in (split.training, split.test)]
        assert not patients[0] & patients[1]
        assert not len(split.calibration)
    assert all(before.test.max() < after.test.min() for before, after in itertools.pairwise(splits))


def test_the_calibration_of_a_block_is_the_latest_of_what_was_before_it() -> None:
    cost = TARGETS["cost"]
    for split in rolling_splits(ROWS, cost, EVERYONE, n_origins=3, calibration_share=0.25):
        times = pd.to_datetime(ROWS["prediction_time"])
        assert times.iloc[split.training].max() < times.iloc[split.calibration].min()
        n_before = (times < pd.Timestamp(split.test_from)).sum()
        # A window of 35 days of the 1,000 is still open at the origin.
        assert len(split.calibration) / n_before == pytest.approx(0.25 - 140 / n_before, abs=0.01)


def test_only_the_given_rows_are_split() -> None:
    some = np.arange(0, 4000, 2)
    for split in rolling_splits(ROWS, TARGETS["cost"], some, n_origins=4, calibration_share=0):
        assert not (split.training % 2).any()
        assert not (split.test % 2).any()


def test_without_a_calendar_patients_are_judged_by_trees_of_others() -> None:
    rows = admissions(2000, has_dates=False)
    folds = tuning_folds(rows, replace(recipe("cost"), training=UNDATED), np.arange(2000))
    assert sum(len(fold.judged_label) for fold in folds) == 2000
    for fold in folds:
        assert len(fold.learned) + len(fold.judged_label) == 2000


def test_amounts_are_learned_truncated_and_judged_as_they_are() -> None:
    rows = ROWS.assign(label_episode_cost=ROWS["label_episode_cost"].where(EVERYONE % 100 > 0, 1e9))
    for fold in tuning_folds(rows, recipe("cost"), EVERYONE):
        assert fold.judged_label.max() == fold.stopping_label.max() == 1e9
        # A hundredth of the costs is a billion: more than the 0.5 % that are truncated.
        assert fold.learned.max() == 1e9
    rare = ROWS.assign(label_episode_cost=ROWS["label_episode_cost"].where(EVERYONE % 400 > 0, 1e9))
    for fold in tuning_folds(rare, recipe("cost"), EVERYONE):
        assert fold.judged_label.max() == 1e9
        assert fold.learned.max() < 1e6


def test_a_fold_with_too_few_rows_or_events_says_what_is_needed() -> None:
    # 40 % of 650 rows come before the first block; each of the 4 holds 97 or 98.
    with pytest.raises(TrainingError, match=r"the fold's judged slice holds 9\d rows; 100 rows are needed"):
        tuning_folds(ROWS, recipe("cost"), np.arange(0, 3900, 6))
    rare = ROWS.assign(label_readmission=(EVERYONE % 100 == 0).astype(float))
    with pytest.raises(TrainingError, match="the fold's training slice holds"):
        tuning_folds(rare, recipe("readmission"), EVERYONE)


@pytest.mark.parametrize(("n_days", "n_blocks"), [(1, 0), (2, 1)])
def test_fewer_than_two_folds_prove_nothing_and_are_refused(n_days: int, n_blocks: int) -> None:
    # Half of the rows on each of two days: only the second has a day before it to learn from.
    day = pd.Timestamp("2024-03-01") + pd.to_timedelta(EVERYONE * n_days // 4000, unit="D")
    rows = ROWS.assign(prediction_time=day, row_label_end_on_cost=day)
    with pytest.raises(TrainingError, match=rf"cost: the training rows fall into {n_blocks} blocks of time"):
        tuning_folds(rows, recipe("cost"), EVERYONE)


def test_the_scores_are_those_of_their_definition() -> None:
    # Log-odds ln 3 are a probability of 3/4: −ln(3/4) = 0.2877 for an event, −ln(1/4) = 1.3863 for none.
    assert log_loss(np.array([1.0, 0.0]), np.log([3.0, 3.0])) == pytest.approx(
        (0.28768 + 1.38629) / 2, abs=1e-5
    )
    # 2 × (4 ln(4/2) − 4 + 2) = 1.5452 and 2 × (0 − 0 + 2) = 4, the term of an amount of nothing.
    assert poisson_deviance(np.array([4.0, 0.0]), np.array([2.0, 2.0])) == pytest.approx(
        (1.54518 + 4) / 2, abs=1e-5
    )
    assert poisson_deviance(np.array([4.0]), np.array([4.0])) == 0


def test_the_scores_of_the_truth_are_the_lowest() -> None:
    random = np.random.default_rng(0)
    mean = random.gamma(2, 500, 200_000)
    actual = random.gamma(2, mean / 2)
    best = poisson_deviance(actual, mean)
    assert all(poisson_deviance(actual, mean * wrong) > best for wrong in (0.9, 1.1))
    log_odds = random.normal(-2, 1, 200_000)
    event = (random.random(200_000) < 1 / (1 + np.exp(-log_odds))).astype(float)
    assert all(log_loss(event, log_odds + wrong) > log_loss(event, log_odds) for wrong in (-0.2, 0.2))


def test_trees_of_the_logarithm_learn_it_and_others_the_amount() -> None:
    amounts = np.array([1.0, np.e])
    assert learned_label(amounts, "log").tolist() == [0, 1]
    assert learned_label(amounts, "gamma") is amounts


# The search


def test_the_defaults_are_the_first_trial_of_amounts_with_every_objective() -> None:
    first, *_ = tuned("readmission").trials
    # As the untuned model of these rows: about 3,400 of the 4,000 rows grow trees.
    fitted = fit_model(ROWS, recipe("readmission"), EVERYONE[:3000], EVERYONE[3000:])
    assert first.hyperparameters == default_hyperparameters(3400, "binary")
    assert (fitted.parameters["max_depth"], fitted.parameters["min_data_in_leaf"]) == (3, 20)
    for trial, objective in zip(tuned("cost").trials, ("log", "gamma", "tweedie"), strict=False):
        assert trial.hyperparameters == default_hyperparameters(3400, objective)


def test_all_trials_keep_within_what_can_be_explained_in_time() -> None:
    for trial in (*tuned("readmission").trials, *tuned("cost").trials):
        chosen = trial.hyperparameters
        assert 2 <= chosen.max_depth <= 6
        assert chosen.num_leaves <= min(31, 2**chosen.max_depth)


@pytest.mark.parametrize("target", ["readmission", "cost"])
def test_the_same_rows_seed_and_number_of_trials_give_the_same_search(target: str) -> None:
    again = tune(admissions(4000), recipe(target), EVERYONE, n_trials=8, seconds=600)
    for first, second in zip(tuned(target).trials, again.trials, strict=True):
        assert replace(first, seconds=0.0) == replace(second, seconds=0.0)
    assert again.hyperparameters == tuned(target).hyperparameters
    other = tune(ROWS, recipe(target, seed=1), EVERYONE, n_trials=4, seconds=600)
    assert other.trials[3].hyperparameters != again.trials[3].hyperparameters


def test_rows_that_are_not_given_move_nothing() -> None:
    training = EVERYONE[:3000]
    upside_down = ROWS.assign(
        label_readmission=np.where(EVERYONE < 3000, ROWS["label_readmission"], 1 - ROWS["label_readmission"])
    )
    one, other = (
        tune(rows, recipe("readmission"), training, n_trials=3, seconds=600) for rows in (ROWS, upside_down)
    )
    assert [trial.fold_scores for trial in one.trials] == [trial.fold_scores for trial in other.trials]


def test_a_choice_that_is_clearly_worse_is_given_up_after_the_first_folds() -> None:
    trials = tuned("readmission", 12).trials
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.number >= training.tuning.UNPRUNED_TRIALS
        assert len(trial.fold_scores) < 4
        assert trial.score is None
    document = tuned("readmission", 12).document()
    assert (document["n_trials"], document["n_pruned"]) == (12, len(pruned))


def test_time_ends_the_search_and_no_half_done_trial_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock is read at the start, at the start and end of a trial, and before each of the 4 folds.
    clock = itertools.count()
    monkeypatch.setattr(training.tuning.time, "monotonic", lambda: float(next(clock)))
    # Trial 0 reads 1 to 6, trial 1 reads 7 to 12, trial 2 begins at 13 and has 2 folds, at 14 and 15.
    found = tune(ROWS, recipe("readmission"), EVERYONE, n_trials=50, seconds=16)
    assert [trial.state for trial in found.trials] == ["complete", "complete", "unfinished"]
    assert len(found.trials[2].fold_scores) == 2
    assert found.stopped_by == "time"
    document = found.document()
    assert (document["n_trials"], document["stopped_by"]) == (2, "time")
    assert document["trials"][2]["score"] is None


def test_with_no_time_at_all_the_defaults_stay_and_the_reason_is_told() -> None:
    found = tune(ROWS, recipe("cost"), EVERYONE, n_trials=5, seconds=0)
    assert found.hyperparameters == default_hyperparameters(3400, "log")
    assert found.reason == "time ran out before the defaults were judged: they stay"
    assert found.document()["n_trials"] == 0
    assert found.models_compared() == []


def test_of_many_rows_a_sample_of_patients_is_searched_with_trees_of_the_usual_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training.tuning, "MOST_ROWS", 3000)
    found = tune(ROWS, recipe("cost"), EVERYONE, n_trials=5, seconds=600)
    assert found.is_sample
    assert found.n_rows == pytest.approx(3000, abs=150)
    usual = default_hyperparameters(3400, "log")
    for trial in found.trials:
        chosen = trial.hyperparameters
        assert (chosen.max_depth, chosen.num_leaves) == (usual.max_depth, usual.num_leaves)
        assert chosen.min_data_in_leaf == usual.min_data_in_leaf


def test_progress_is_told_trial_by_trial() -> None:
    told: list[tuple[str, int, int]] = []
    tune(ROWS, recipe("cost"), EVERYONE, n_trials=2, seconds=600, progress=lambda *each: told.append(each))
    step = "tuning cost at admission"
    assert told == [(step, 0, 2), (step, 1, 2), (step, 2, 2), (step, 2, 2)]


# What is chosen


DEFAULTS = default_hyperparameters(10_000, "gamma")


def found_in(*trials: tuple[str, tuple[float, ...]]) -> tuple[int, str]:
    made = [
        Trial(number, state, scores, 1.0, replace(DEFAULTS, learning_rate=0.05 + number / 100))  # type: ignore[arg-type]
        for number, (state, scores) in enumerate(trials)
    ]
    winner, reason = training.tuning._winner(made)
    return winner.number, reason


def test_the_best_trial_wins_if_it_is_better_by_more_than_a_standard_error() -> None:
    # Gains 0.1, 0.2, 0.3, 0.2: mean 0.2, standard deviation √(0.02 / 3) = 0.0816, its error 0.0408.
    number, reason = found_in(
        ("complete", (1.0, 1.0, 1.0, 1.0)),
        ("complete", (0.95, 0.95, 0.95, 0.95)),
        ("complete", (0.9, 0.8, 0.7, 0.8)),
    )
    assert number == 2
    assert reason == "trial 2 is better than the defaults by 0.2 (standard error 0.0408)"


def test_the_defaults_stay_against_what_chance_could_explain() -> None:
    # Gains 0.5, −0.4, 0.1, 0: mean 0.05, deviation √(0.41 / 3) = 0.3697, its standard error 0.1848.
    number, reason = found_in(("complete", (1.0, 1.0, 1.0, 1.0)), ("complete", (0.5, 1.4, 0.9, 1.0)))
    assert number == 0
    assert reason == (
        "trial 1 is better than the defaults by 0.05 (standard error 0.185), "
        "no more than one standard error: the defaults stay"
    )


def test_pruned_and_unfinished_trials_never_win() -> None:
    number, reason = found_in(
        ("complete", (1.0, 1.0, 1.0, 1.0)), ("pruned", (0.1,)), ("unfinished", (0.1, 0.1, 0.1))
    )
    assert (number, reason) == (0, "no trial was better than the defaults: they stay")


def test_where_the_defaults_stay_the_model_is_the_untuned_one() -> None:
    rows = EVERYONE[:3000]
    found = tune(ROWS, recipe("readmission"), rows, n_trials=1, seconds=600)
    untuned, after = (
        fit_model(ROWS, replace(recipe("readmission"), hyperparameters=chosen), rows, EVERYONE[3000:])
        for chosen in (None, found.hyperparameters)
    )
    assert after.boosters == untuned.boosters


def test_a_search_finds_what_the_defaults_lack() -> None:
    # The default trees are 3 levels deep and lean on half of the features: too few for an effect of
    # four flags together, each of which tells nothing alone.
    random = np.random.default_rng(1)
    flags = random.integers(0, 2, (6000, 3))
    parity = flags.sum(axis=1) % 2
    rows = admissions(6000, has_dates=False).assign(
        age_years=flags[:, 0].astype(float),
        n_stays_prior_365d=flags[:, 1].astype(float),
        is_booked=flags[:, 2],
        label_readmission=(random.random(6000) < np.where(parity, 0.45, 0.05)).astype(float),
    )
    chosen = replace(recipe("readmission"), training=UNDATED)
    found = tune(rows, chosen, np.arange(6000), n_trials=15, seconds=600)
    assert found.hyperparameters != found.trials[0].hyperparameters
    assert found.reason.startswith("trial ")
    assert found.folds == "4 groups of patients"


def test_the_document_of_a_search_holds_what_the_results_promise() -> None:
    document = tuned("cost").document()
    assert set(document) >= {
        "n_trials", "n_pruned", "seconds", "stopped_by", "score_name", "best", "trials"
    }  # fmt: skip
    assert (document["score_name"], document["stopped_by"]) == ("poisson_deviance", "trials")
    assert document["folds"] == "4 blocks of time"
    assert set(document["trials"][0]) == {"number", "state", "score", "seconds", "hyperparameters"}
    json.dumps(document, allow_nan=False)


def test_objectives_of_amounts_are_compared_by_their_best_trial() -> None:
    compared = tuned("cost").models_compared()
    assert {each["objective"] for each in compared} == {"gamma", "tweedie", "log"}
    assert [each["score"] for each in compared] == sorted(each["score"] for each in compared)
    assert sum(each["chosen"] for each in compared) == 1
    assert tuned("readmission").models_compared() == []


def test_a_search_says_nothing_and_training_without_one_does_not_load_optuna() -> None:
    code = "import sys, training.train, training.tuning; assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_search_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    tune(ROWS, recipe("readmission"), EVERYONE, n_trials=2, seconds=600)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_hyperparameters_beyond_what_can_be_explained_are_refused() -> None:
    with pytest.raises(ValueError, match="explained in time"):
        Hyperparameters("binary", max_depth=7, num_leaves=31, min_data_in_leaf=20)
