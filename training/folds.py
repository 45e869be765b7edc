"""The folds that hyperparameters are judged on, as LightGBM holds them: binned once for all trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import xlogy

from models.distribution import positive_amount
from models.encoding import encode
from models.units import Kind
from training.fit import (
    FEWEST_OTHER_EVENTS,
    FEWEST_OTHER_ROWS,
    FEWEST_TRAINING_EVENTS,
    FEWEST_TRAINING_ROWS,
    PATIENCE_TREES,
    Recipe,
    check_slice,
)
from training.hyperparameters import (
    DATASET_SETTINGS,
    LEARNING_TASKS,
    MOST_TREES,
    Hyperparameters,
    learned_label,
    lightgbm_settings,
    monotone_of,
)
from training.inputs import choose_specs
from training.origins import rolling_splits
from training.split import Rows, patient_places, stopping_rows
from training.targets import TrainingError

N_FOLDS = 4
SCORE_NAMES: dict[Kind, str] = {"risk": "log_loss", "amount": "poisson_deviance"}
"""Both are proper, for a probability and for a mean: the truth has the lowest, whatever the objective was."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows that trees grow on, of other patients rows that say when to stop, and rows that judge them.

    `learned` are the labels of the growing and then the stopping rows, extreme amounts truncated. The
    matrices and `stopping_label` are of the rows that are predicted.
    """

    growing: lgb.Dataset
    stopping: lgb.Dataset
    learned: Numbers
    stopping_matrix: Numbers
    stopping_label: Numbers
    judged_matrix: Numbers
    judged_label: Numbers
    monotone: list[int]

    def score(self, chosen: Hyperparameters, recipe: Recipe) -> float:
        """How badly trees that grow like this predict the judged rows, by the score of the target's kind.

        The mean of an amount is first given back on the stopping rows, by one factor. The model's own follows
        the spread, which takes trees of its own: least squares of the logarithm are judged a little hard.
        """
        label = learned_label(self.learned, chosen.objective)
        n_growing = self.growing.num_data()
        settings = lightgbm_settings(chosen, seed=recipe.seed, threads=recipe.threads, monotone=self.monotone)
        booster = lgb.train(
            settings | LEARNING_TASKS[chosen.objective],
            self.growing.set_label(label[:n_growing]),
            MOST_TREES,
            valid_sets=[self.stopping.set_label(label[n_growing:])],
            callbacks=[lgb.early_stopping(PATIENCE_TREES, verbose=False)],
        )

        def raw(matrix: Numbers) -> Numbers:
            return np.asarray(booster.predict(matrix, raw_score=True, num_threads=recipe.threads))

        if recipe.target.kind == "risk":
            return log_loss(self.judged_label, raw(self.judged_matrix))
        scale = self.stopping_label.sum() / np.exp(raw(self.stopping_matrix)).sum()
        return poisson_deviance(self.judged_label, scale * np.exp(raw(self.judged_matrix)))


def log_loss(label: Numbers, log_odds: Numbers) -> float:
    """Mean log loss of predicted log-odds; the label is 0 or 1."""
    return float(np.mean(np.logaddexp(0, log_odds) - label * log_odds))


def poisson_deviance(actual: Numbers, mean: Numbers) -> float:
    """Mean Poisson deviance of predicted means above 0, in the unit of the amount; 0 where all are right."""
    return float(2 * np.mean(xlogy(actual, actual / mean) - actual + mean))


def tuning_folds(frame: pd.DataFrame, recipe: Recipe, rows: Rows) -> tuple[Fold, ...]:
    """The folds of these training rows, given by rising positions.

    With a calendar 4 blocks of time, each judged after what was before it, purged as slices are; otherwise 4
    groups of patients, each judged after the others. What varies and which levels are frequent is told by all
    rows: no label is looked at for that. Raises TrainingError if there are fewer than 2 folds, which prove
    nothing, or if one holds too few rows or events.
    """
    specs, _ = choose_specs(frame, recipe.features, rows)
    matrix, _ = encode(frame[[spec.name for spec in specs]].iloc[rows], specs)
    label = recipe.target.labels(frame)[rows]
    if recipe.target.kind == "amount":
        label = positive_amount(label, recipe.target.unit)
    stops = stopping_rows(frame["patient_id"].iloc[rows], recipe.seed)
    monotone = monotone_of(specs, recipe.directions)
    categories = [place for place, spec in enumerate(specs) if spec.type == "category"]

    def fold(learned: Rows, judged: Rows) -> Fold:
        check_slice(
            "fold's training",
            label[learned],
            recipe.target,
            FEWEST_TRAINING_ROWS,
            FEWEST_TRAINING_EVENTS,
        )
        check_slice("fold's judged", label[judged], recipe.target, FEWEST_OTHER_ROWS, FEWEST_OTHER_EVENTS)
        growing, stopping = learned[~stops[learned]], learned[stops[learned]]
        known = label[np.concatenate([growing, stopping])]
        if recipe.target.kind == "amount":
            q = recipe.truncation_quantile
            known = np.clip(known, *np.quantile(known, [1 - q, q]))
        columns = {"categorical_feature": categories, "params": DATASET_SETTINGS}
        first = lgb.Dataset(matrix[growing], known[: len(growing)], **columns).construct()
        second = lgb.Dataset(matrix[stopping], known[len(growing) :], reference=first, **columns).construct()
        return Fold(
            growing=first,
            stopping=second,
            learned=known,
            stopping_matrix=matrix[stopping],
            stopping_label=label[stopping],
            judged_matrix=matrix[judged],
            judged_label=label[judged],
            monotone=monotone,
        )

    parts = list(_parts(frame, recipe, rows))
    if len(parts) < 2:
        raise TrainingError(
            f"{recipe.target.name}: the training rows fall into {len(parts)} blocks of time, each of its own "
            "days, and a search needs at least 2. Give an extract of more days, or train without a search."
        )
    return tuple(fold(learned, judged) for learned, judged in parts)


def _parts(frame: pd.DataFrame, recipe: Recipe, rows: Rows) -> Iterator[tuple[Rows, Rows]]:
    """What is learned from and what is judged, fold by fold, as places among `rows`."""
    if recipe.training.timeline == "real":
        splits = rolling_splits(frame, recipe.target, rows, n_origins=N_FOLDS, calibration_share=0)
        # The latest first: most like the model itself, it tells best which trials to give up.
        for split in reversed(list(splits)):
            yield np.searchsorted(rows, split.training), np.searchsorted(rows, split.test)
        return
    group = np.floor(patient_places(frame["patient_id"].iloc[rows], "tuning", recipe.seed) * N_FOLDS)
    for number in range(N_FOLDS):
        yield np.flatnonzero(group != number), np.flatnonzero(group == number)
