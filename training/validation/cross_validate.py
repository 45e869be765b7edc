"""Out-of-fold predictions, for extracts without a calendar: no patient is judged by a model that saw them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.distribution import crps_of_quantiles, pit_of_quantiles
from features.progress import Progress, silent
from models.columns import PART_ROWS
from models.distribution import LEVELS
from models.model import Prediction
from training.baselines import predict_baselines
from training.fit import Fitted, Recipe, fit_model
from training.split import N_FOLDS, Rows, Split, labelled_rows, patient_folds, split_by_patient
from training.tuning import NO_SEARCH, Search
from training.validation.results import Judged, pooled


def judge(frame: pd.DataFrame, recipe: Recipe, fitted: Fitted, split: Split, rows: Rows) -> Judged:
    """Predict `rows` by a fitted model and by baselines fitted on its training and calibration rows."""
    learned = np.sort(np.concatenate([split.training, split.calibration]))
    specs = fitted.model.artefact.features
    columns = frame[[spec.name for spec in specs]].iloc[rows]
    predicted = fitted.model.predict(columns, contributions=False, threads=recipe.threads)
    crps, pit = distribution_scores(predicted, recipe.target.labels(frame)[rows])
    return Judged(
        rows,
        predicted.value,
        predicted.low,
        predicted.high,
        crps,
        pit,
        predict_baselines(frame, recipe, specs, learned, rows),
        fitted.truncated_at,
    )


def distribution_scores(
    predicted: Prediction, actual: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]:
    """The score of each row's distribution, and where in it the actual amount lies; None twice for a risk."""
    if predicted.amounts is None:
        return None, None
    crps, pit = np.empty(len(actual)), np.empty((len(actual), 2))
    for start in range(0, len(actual), PART_ROWS):
        part = slice(start, start + PART_ROWS)
        quantiles = predicted.amounts.quantiles(part)
        crps[part] = crps_of_quantiles(actual[part], quantiles, LEVELS)
        pit[part] = pit_of_quantiles(actual[part], quantiles, LEVELS)
    return crps, pit


def out_of_fold(
    frame: pd.DataFrame,
    recipe: Recipe,
    *,
    n_folds: int = N_FOLDS,
    search: Search = NO_SEARCH,
    progress: Progress = silent,
) -> Judged:
    """Pooled predictions of all labelled rows, patient-grouped over `n_folds` folds.

    Within a fold, trees, stopping and calibration use patients apart from each other and from those who
    are judged; the baselines are fitted on the same rows. Hyperparameters are searched in each fold anew:
    what was chosen with the judged patients would flatter the estimate. Raises TrainingError if a fold is too
    small.
    """
    is_usable, _ = labelled_rows(frame, recipe.target)
    fold = patient_folds(frame["patient_id"], recipe.seed, n_folds)
    parts = []
    for number in range(n_folds):
        progress(f"out-of-fold {recipe.target.name} at {recipe.point}", number, n_folds)
        among = np.flatnonzero(is_usable & (fold != number))
        split = split_by_patient(frame, recipe.target, seed=recipe.seed, among=among)
        tuned = search.tuned(frame, recipe, split.training, progress)
        made_by = recipe if tuned is None else replace(recipe, hyperparameters=tuned.hyperparameters)
        fitted = fit_model(frame, made_by, split.training, split.calibration)
        parts.append(judge(frame, made_by, fitted, split, np.flatnonzero(is_usable & (fold == number))))
    progress(f"out-of-fold {recipe.target.name} at {recipe.point}", n_folds, n_folds)
    return pooled(parts)
