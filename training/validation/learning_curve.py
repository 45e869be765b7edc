"""What more patients would bring, and how much better a model looks on rows that it has learned from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.amounts import d2
from evaluation.bootstrap import Resampling, Sampled
from evaluation.discrimination import auroc
from evaluation.evaluate import sample_amount, sample_score
from evaluation.groups import too_small
from evaluation.primary import PRIMARY
from features.progress import Progress, silent
from training.fit import MOST_REGROWN_ROWS, Fitted, Recipe, fit_model
from training.split import (
    Split,
    labelled_rows,
    patient_folds,
    patient_places,
    sample_of,
    split_by_patient,
    stopping_rows,
)
from training.targets import Target, TrainingError
from training.validation.results import Judged

SHARES = (0.125, 0.25, 0.5, 1.0)
MOST_ROWS = 60_000
"""No point of the curve grows on more rows, and no step of the optimism is told of more."""


def learning_curve(
    frame: pd.DataFrame,
    recipe: Recipe,
    split: Split,
    resampling: Resampling,
    *,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """`learning_curve` of the results: AUROC (D² of an amount) by how many rows the trees were grown on.

    Models of an eighth, a quarter, half and all of the training patients (at most about 60,000 rows), each
    share within the next, with the same calibration, judged on the same rows: those of the test, or of the
    first fold of patients where there is none. Each is n_rows, n_patients, metric, and value, low and high.
    A share that is too small to learn from is left out; there are none if too few rows are judged.
    """
    if not len(split.test):
        split = _first_fold(frame, recipe)
    rows = split.test
    label = recipe.target.labels(frame)[rows]
    if too_small(len(rows), label if recipe.target.kind == "risk" else None):
        return []
    place = patient_places(frame["patient_id"].iloc[split.training], "learning curve", recipe.seed)
    largest = min(1.0, MOST_ROWS / len(split.training))
    step = f"learning curve of {recipe.target.name} at {recipe.point}"
    metric = PRIMARY[recipe.target.kind].name
    found = []
    for number, share in enumerate(SHARES):
        progress(step, number, len(SHARES))
        training = split.training[place < share * largest]
        try:
            model = fit_model(frame, recipe, training, split.calibration).model
        except TrainingError:
            continue
        judged = frame.iloc[rows]
        value = model.predict(judged, contributions=False, threads=recipe.threads).value
        sampled = _sampled(recipe.target, label, value, judged["patient_id"], resampling)
        n_patients = int(frame["patient_id"].iloc[training].nunique())
        found.append(
            {"n_rows": len(training), "n_patients": n_patients, "metric": metric} | sampled.metric(metric)
        )
    progress(step, len(SHARES), len(SHARES))
    return found


def optimism(
    frame: pd.DataFrame, recipe: Recipe, fitted: Fitted, split: Split, judged: Judged
) -> list[dict[str, Any]]:
    """`optimism` of the results: AUROC (D² of an amount) of a model at each step of its making.

    On the rows that its trees grew on (`training`), that said when to stop (`stopping`), that it was
    calibrated on, and that it is judged by (`test`). Where rows were so few that the trees were grown
    again on the stopping rows too, these count as training. Of a slice of more than 60,000 rows a sample
    of patients is told, as `n` says; a slice of too few rows is left out.
    """
    is_regrown = len(split.training) <= MOST_REGROWN_ROWS
    stops = stopping_rows(frame["patient_id"].iloc[split.training], recipe.seed) & (not is_regrown)
    slices = {
        "training": split.training[~stops],
        "stopping": split.training[stops],
        "calibration": split.calibration,
    }
    found = []
    for step, every in slices.items():
        rows = sample_of(frame, every, MOST_ROWS, recipe.seed)
        rows_of_step = frame.iloc[rows]
        value = fitted.model.predict(rows_of_step, contributions=False, threads=recipe.threads).value
        found += _step(step, recipe.target, recipe.target.labels(frame)[rows], value)
    label = recipe.target.labels(frame)[judged.rows]
    return found + _step("test", recipe.target, label, judged.value)


def _step(
    step: str, target: Target, label: NDArray[np.float64], value: NDArray[np.float64]
) -> list[dict[str, Any]]:
    if too_small(len(label), label if target.kind == "risk" else None):
        return []
    measured = auroc(label, value) if target.kind == "risk" else d2(label, value)
    return [{"step": step, "n": len(label), "metric": PRIMARY[target.kind].name, "value": measured}]


def _sampled(
    target: Target,
    label: NDArray[np.float64],
    value: NDArray[np.float64],
    patient_id: pd.Series,
    resampling: Resampling,
) -> Sampled:
    if target.kind == "risk":
        return sample_score(label, value, patient_id, resampling)
    return sample_amount(label, value, None, None, patient_id, resampling)


def _first_fold(frame: pd.DataFrame, recipe: Recipe) -> Split:
    """The first of the folds that such data are judged by, as the test of a split of the others."""
    is_usable, _ = labelled_rows(frame, recipe.target)
    is_first = patient_folds(frame["patient_id"], recipe.seed) == 0
    others = split_by_patient(
        frame, recipe.target, seed=recipe.seed, among=np.flatnonzero(is_usable & ~is_first)
    )
    return replace(others, test=np.flatnonzero(is_usable & is_first))
