"""The search for what trees are grown by, on the training rows alone.

The defaults are the first trial, and every trial is judged on the same folds. The defaults stay unless
another choice is better by more than the folds' own spread would explain.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from features.progress import Progress, silent
from models.units import Kind
from training.fit import Recipe
from training.folds import SCORE_NAMES, Fold, tuning_folds
from training.hyperparameters import (
    DEEPEST,
    MOST_LEAVES,
    USUAL_OBJECTIVE,
    Hyperparameters,
    Objective,
    default_hyperparameters,
)
from training.split import Rows, sample_of, stopping_rows

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as Asked

MOST_ROWS = 60_000
"""Of more training rows a seeded sample of the patients is searched on."""
UNPRUNED_TRIALS = 5
OBJECTIVES: dict[Kind, tuple[Objective, ...]] = {"risk": ("binary",), "amount": ("gamma", "tweedie", "log")}

State = Literal["complete", "pruned", "unfinished"]


@dataclass(frozen=True)
class Trial:
    """One choice, with its score on each fold that it was judged on.

    A pruned trial was given up after some folds; an unfinished one ran out of time.
    """

    number: int
    state: State
    fold_scores: tuple[float, ...]
    seconds: float
    hyperparameters: Hyperparameters

    @property
    def score(self) -> float | None:
        """The mean over all folds; None of a trial that lacks some."""
        return float(np.mean(self.fold_scores)) if self.state == "complete" else None

    def document(self) -> dict[str, Any]:
        """One of the `trials` in the results."""
        return {
            "number": self.number,
            "state": self.state,
            "score": self.score,
            "seconds": round(self.seconds, 2),
            "hyperparameters": asdict(self.hyperparameters),
        }


@dataclass(frozen=True)
class Tuned:
    """What to train with, and how it was found.

    `reason` says in words why it was chosen. `n_rows` were searched on, in folds of `folds`; `is_sample` if
    there were more.
    """

    hyperparameters: Hyperparameters
    reason: str
    trials: tuple[Trial, ...]
    score_name: str
    stopped_by: Literal["trials", "time"]
    seconds: float
    folds: str
    n_rows: int
    is_sample: bool

    def document(self) -> dict[str, Any]:
        """`tuning` of the results."""
        states = [trial.state for trial in self.trials]
        return {
            "n_trials": len(states) - states.count("unfinished"),
            "n_pruned": states.count("pruned"),
            "seconds": round(self.seconds, 1),
            "stopped_by": self.stopped_by,
            "score_name": self.score_name,
            "folds": self.folds,
            "n_rows": self.n_rows,
            "is_sample": self.is_sample,
            "best": asdict(self.hyperparameters),
            "reason": self.reason,
            "trials": [trial.document() for trial in self.trials],
        }

    def models_compared(self) -> list[dict[str, Any]]:
        """`models_compared` of the results: the best score of each objective, the lowest first.

        Empty where there is nothing to compare: a risk has one objective.
        """
        best: dict[Objective, float] = {}
        for trial in self.trials:
            if trial.score is not None:
                objective = trial.hyperparameters.objective
                best[objective] = min(trial.score, best.get(objective, np.inf))
        if len(best) < 2:
            return []
        chosen = self.hyperparameters.objective
        return [
            {"objective": name, "score": best[name], "chosen": name == chosen}
            for name in sorted(best, key=lambda name: best[name])
        ]


@dataclass(frozen=True)
class Search:
    """How long to search wherever a model is fitted: `n_trials` (0: not at all) within `seconds`."""

    n_trials: int = 0
    seconds: float = 600.0

    def tuned(
        self, frame: pd.DataFrame, recipe: Recipe, rows: Rows, progress: Progress = silent
    ) -> Tuned | None:
        """What `tune` finds on the rows; None without a search."""
        if self.n_trials == 0:
            return None
        return tune(frame, recipe, rows, n_trials=self.n_trials, seconds=self.seconds, progress=progress)


NO_SEARCH = Search()


def tune(
    frame: pd.DataFrame,
    recipe: Recipe,
    rows: Rows,
    *,
    n_trials: int,
    seconds: float,
    progress: Progress = silent,
) -> Tuned:
    """Search by `n_trials` trials on `rows`, the positions of the training slice.

    After `seconds` no further fold is begun. Where time does not end the search, the same rows, seed, threads
    and number of trials give the same choice. Of more than 60,000 rows a sample is searched on; the size of
    trees, which belongs to the number of rows, then stays that of the defaults. A trial that does worse than
    half of those before it is pruned. A choice is scored by the log loss of a risk, by the mean Poisson
    deviance of an amount. Raises TrainingError as `tuning_folds` does.
    """
    if n_trials < 1:
        raise ValueError(f"n_trials: {n_trials}. At least 1, the defaults.")
    started = time.monotonic()
    searched = sample_of(frame, np.sort(rows), MOST_ROWS, recipe.seed)
    is_sample = len(searched) < len(rows)
    defaults = _defaults(frame, recipe, rows)
    folds = tuning_folds(frame, recipe, searched)
    study = _study(recipe, defaults)
    trials: list[Trial] = []
    step = f"tuning {recipe.target.name} at {recipe.point}"
    progress(step, 0, n_trials)
    while len(trials) < n_trials and "unfinished" not in [trial.state for trial in trials]:
        trials.append(_trial(study, recipe, folds, defaults, trials, started + seconds, is_sample=is_sample))
        progress(step, len(trials), n_trials)
    progress(step, n_trials, n_trials)
    winner, reason = _winner(trials)
    has_calendar = recipe.training.timeline == "real"
    return Tuned(
        hyperparameters=winner.hyperparameters,
        reason=reason,
        trials=tuple(trials),
        score_name=SCORE_NAMES[recipe.target.kind],
        stopped_by="time" if trials[-1].state == "unfinished" else "trials",
        seconds=time.monotonic() - started,
        folds=f"{len(folds)} {'blocks of time' if has_calendar else 'groups of patients'}",
        n_rows=len(searched),
        is_sample=is_sample,
    )


def _defaults(frame: pd.DataFrame, recipe: Recipe, rows: Rows) -> Hyperparameters:
    """What the model of all these rows is grown by if nothing is tuned."""
    stops = stopping_rows(frame["patient_id"].iloc[rows], recipe.seed)
    return default_hyperparameters(int((~stops).sum()), USUAL_OBJECTIVE[recipe.target.kind])


def _study(recipe: Recipe, defaults: Hyperparameters) -> Study:
    """A study that tries the defaults first, of an amount with each objective."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=recipe.seed, multivariate=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
    )
    for objective in dict.fromkeys((defaults.objective, *OBJECTIVES[recipe.target.kind])):
        study.enqueue_trial(asdict(replace(defaults, objective=objective)))
    return study


def _trial(
    study: Study,
    recipe: Recipe,
    folds: Sequence[Fold],
    defaults: Hyperparameters,
    before: Sequence[Trial],
    deadline: float,
    *,
    is_sample: bool,
) -> Trial:
    from optuna.trial import TrialState

    started = time.monotonic()
    asked = study.ask()
    chosen = _suggested(asked, OBJECTIVES[recipe.target.kind], defaults if is_sample else None)
    scores: list[float] = []
    state: State = "complete"
    for fold in folds:
        if time.monotonic() >= deadline:
            state = "unfinished"
            break
        scores.append(fold.score(chosen, recipe))
        asked.report(_behind(scores, before), step=len(scores))
        if len(scores) < len(folds) and asked.should_prune():
            state = "pruned"
            break
    if state == "complete":
        study.tell(asked, _behind(scores, before))
    else:
        study.tell(asked, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)
    return Trial(len(before), state, tuple(scores), time.monotonic() - started, chosen)


def _behind(scores: Sequence[float], before: Sequence[Trial]) -> float:
    """How much worse than the defaults, on the same folds: folds differ in how hard they are."""
    defaults = before[0].fold_scores if before else scores
    return float(np.mean(np.subtract(scores, defaults[: len(scores)])))


def _suggested(
    asked: Asked, objectives: Sequence[Objective], size_of: Hyperparameters | None
) -> Hyperparameters:
    """The next choice, within what can be explained in time; with `size_of` trees are as large as its."""
    objective = cast(Objective, asked.suggest_categorical("objective", objectives))
    if size_of is None:
        max_depth = asked.suggest_int("max_depth", 2, DEEPEST)
        num_leaves = min(asked.suggest_int("num_leaves", 4, MOST_LEAVES), 2**max_depth)
        min_data_in_leaf = asked.suggest_int("min_data_in_leaf", 10, 500, log=True)
    else:
        max_depth, num_leaves = size_of.max_depth, size_of.num_leaves
        min_data_in_leaf = size_of.min_data_in_leaf
    return Hyperparameters(
        objective=objective,
        max_depth=max_depth,
        num_leaves=num_leaves,
        min_data_in_leaf=min_data_in_leaf,
        learning_rate=asked.suggest_float("learning_rate", 0.02, 0.15, log=True),
        lambda_l2=asked.suggest_float("lambda_l2", 0.1, 100, log=True),
        feature_fraction=asked.suggest_float("feature_fraction", 0.15, 1),
        bagging_fraction=asked.suggest_float("bagging_fraction", 0.5, 1),
        cat_smooth=asked.suggest_float("cat_smooth", 2, 200, log=True),
    )


def _winner(trials: Sequence[Trial]) -> tuple[Trial, str]:
    """The trial to train with, and why: the best one if it is better than the first beyond chance."""
    first, complete = trials[0], [trial for trial in trials if trial.score is not None]
    if not complete:
        return first, "time ran out before the defaults were judged: they stay"
    best = min(complete, key=lambda trial: np.mean(trial.fold_scores))
    if best is first:
        return first, "no trial was better than the defaults: they stay"
    gains = np.subtract(first.fold_scores, best.fold_scores)
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    told = f"trial {best.number} is better than the defaults by {gain:.3g} (standard error {error:.3g})"
    if gain <= error:
        return first, f"{told}, no more than one standard error: the defaults stay"
    return best, told
