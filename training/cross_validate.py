"""Out-of-fold predictions, for extracts without a calendar: no patient is judged by a model that saw them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.progress import Progress, silent
from training.baselines import predict_baselines
from training.fit import Fitted, Recipe, fit_model
from training.results import Judged, pooled
from training.split import N_FOLDS, Rows, Split, labelled_rows, patient_folds, split_by_patient


def judge(frame: pd.DataFrame, recipe: Recipe, fitted: Fitted, split: Split, rows: Rows) -> Judged:
    """Predict `rows` by a fitted model and by baselines fitted on its training and calibration rows."""
    learned = np.sort(np.concatenate([split.training, split.calibration]))
    specs = fitted.model.artefact.features
    columns = frame[[spec.name for spec in specs]].iloc[rows]
    predicted = fitted.model.predict(columns, contributions=False, threads=recipe.threads)
    return Judged(
        rows,
        predicted.value,
        predicted.low,
        predicted.high,
        predict_baselines(frame, recipe, specs, learned, rows),
        fitted.truncated_at,
    )


def out_of_fold(
    frame: pd.DataFrame, recipe: Recipe, *, n_folds: int = N_FOLDS, progress: Progress = silent
) -> Judged:
    """Pooled predictions of all labelled rows, patient-grouped over `n_folds` folds.

    Within a fold, trees, stopping and calibration use patients apart from each other and from those who
    are judged; the baselines are fitted on the same rows. Raises TrainingError if a fold is too small.
    """
    is_usable, _ = labelled_rows(frame, recipe.target)
    fold = patient_folds(frame["patient_id"], recipe.seed, n_folds)
    parts = []
    for number in range(n_folds):
        progress(f"out-of-fold {recipe.target.name} at {recipe.point}", number, n_folds)
        among = np.flatnonzero(is_usable & (fold != number))
        split = split_by_patient(frame, recipe.target, seed=recipe.seed, among=among)
        fitted = fit_model(frame, recipe, split.training, split.calibration)
        parts.append(judge(frame, recipe, fitted, split, np.flatnonzero(is_usable & (fold == number))))
    progress(f"out-of-fold {recipe.target.name} at {recipe.point}", n_folds, n_folds)
    return pooled(parts)
