"""How models made by a recipe do elsewhere: on later and later blocks of time, at a hospital never seen.

Each is fitted and calibrated anew on other rows and other patients, so that what is judged is the way a model
is made. Give a recipe without hyperparameters that were searched on the rows that are judged here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation.bootstrap import Resampling
from evaluation.groups import beside_withheld, too_small
from features.progress import Progress, silent
from training.fit import Recipe, fit_model
from training.origins import rolling_splits
from training.split import CALIBRATION_SHARE, Rows, Split, judgeable_rows, split_by_patient
from training.targets import TrainingError
from training.validation.sensitivity import Subject

N_ORIGINS = 4
MOST_HOSPITALS = 10
"""No more hospitals are judged than these, those with the most rows: each takes a model of its own."""


def back_test(
    frame: pd.DataFrame,
    recipe: Recipe,
    resampling: Resampling,
    *,
    n_origins: int = N_ORIGINS,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """`back_test` of the results: learn from all before a day, judge the block of time that follows.

    The blocks, of about the same number of settled rows, follow one another from 40 % of the rows to the
    end. Each is from, until (its first and last day), n and metrics; of too few rows, or with too few before
    it, `reason` instead of n and metrics, and then the others are rounded (`beside_withheld`). Without
    a calendar there are none.
    """
    if recipe.training.timeline != "real":
        return []
    is_usable = judgeable_rows(frame, recipe.target, has_calendar=recipe.training.timeline == "real")
    step = f"back-test of {recipe.target.name} at {recipe.point}"
    splits = rolling_splits(
        frame,
        recipe.target,
        np.flatnonzero(is_usable),
        n_origins=n_origins,
        calibration_share=CALIBRATION_SHARE,
    )
    found = []
    progress(step, 0, n_origins)
    for split in splits:
        days = {"from": split.facts["test_from"], "until": split.facts["test_until"]}
        found.append(days | _judged(frame, recipe, split, split.test, resampling))
        progress(step, len(found), n_origins)
    progress(step, n_origins, n_origins)
    return beside_withheld(found)


def by_hospital(
    frame: pd.DataFrame, recipe: Recipe, resampling: Resampling, *, progress: Progress = silent
) -> list[dict[str, Any]]:
    """`by_hospital` of the results: learn at all other hospitals, judge all settled rows of one.

    The 10 hospitals with the most rows, by `row_hospital`, the largest first. Patients who were at the one
    are not learned from. Each is hospital, n and metrics; of too few rows, or with too few elsewhere,
    `reason` instead of n and metrics, and then the others are rounded (`beside_withheld`). There are none
    where the rows tell fewer than two hospitals.
    """
    is_usable = judgeable_rows(frame, recipe.target, has_calendar=recipe.training.timeline == "real")
    hospital = frame["row_hospital"].where(is_usable)
    names = [str(name) for name in hospital.value_counts().index[:MOST_HOSPITALS]]
    if len(names) < 2:
        return []
    patient = pd.factorize(frame["patient_id"])[0]
    step = f"hospital by hospital: {recipe.target.name} at {recipe.point}"
    found = []
    for number, name in enumerate(names):
        progress(step, number, len(names))
        is_here = (hospital == name).to_numpy(dtype=bool)
        elsewhere = np.flatnonzero(is_usable & ~np.isin(patient, patient[is_here]))
        split = split_by_patient(frame, recipe.target, seed=recipe.seed, among=elsewhere)
        judged = _judged(frame, recipe, split, np.flatnonzero(is_here), resampling)
        found.append({"hospital": name} | judged)
    progress(step, len(names), len(names))
    return beside_withheld(found)


def _judged(
    frame: pd.DataFrame, recipe: Recipe, split: Split, rows: Rows, resampling: Resampling
) -> dict[str, Any]:
    """n and metrics on these rows of a model of the split's other slices, or why there are none."""
    label = recipe.target.labels(frame)[rows]
    reason = too_small(len(rows), label if recipe.target.kind == "risk" else None)
    if reason:
        return {"reason": reason}
    try:
        fitted = fit_model(frame, recipe, split.training, split.calibration)
    except TrainingError:
        return {"reason": "too few other rows to learn from"}
    subject = Subject(fitted.model, recipe.target, resampling, recipe.threads)
    return subject.judged(frame.iloc[rows], label)
