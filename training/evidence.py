"""Everything that is found out about a model beside its own numbers: the evidence of the results."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.groups import coverage_apart
from features.build import PatientLevelData
from features.progress import Progress
from training.backtest import back_test, by_hospital
from training.describe import describe
from training.explaining import check_explanation
from training.exposure import exposure
from training.leaks import find_leaks
from training.learning_curve import learning_curve, optimism
from training.made import Made
from training.results import assess
from training.sensitivity import Subject, other_uses


def evidence_of(
    made: Made,
    contributions: NDArray[np.float64],
    earlier: Sequence[PatientLevelData],
    acted_on_from: dt.date | None,
) -> dict[str, Any]:
    """Metrics, baselines, groups and every other key of the results that the judged rows tell.

    `contributions` are those of some judged rows [rows, features]; `earlier` and `acted_on_from` as in
    `train_model`.
    """
    frame, recipe, split, judged = made.frame, made.recipe, made.split, made.judged
    model, target, resampling = made.fitted.model, recipe.target, made.resampling
    has_calendar = made.data.declaration.has_calendar
    found = assess(frame, target, judged, resampling, has_calendar=has_calendar)
    if model.artefact.distribution is not None:
        apart = coverage_apart(found["groups"], model.artefact.distribution.level)
        found["distribution"]["coverage_apart"] = apart
    found["explanation"] = check_explanation(model, frame, judged.rows)
    suspects = find_leaks(
        frame, target, recipe.features, recipe.point, has_calendar=has_calendar, seed=recipe.seed
    )
    found["leaks"] = [leak.document() for leak in suspects]
    found |= describe(made.data.flow, frame, target, split, model.artefact.features, contributions)
    found["optimism"] = optimism(frame, recipe, made.fitted, split, judged)
    learned = np.concatenate([split.training, split.calibration])
    since = acted_on_from if has_calendar else None
    found |= exposure(frame, target, judged, learned, since, resampling)
    found |= other_uses(Subject(model, target, resampling, recipe.threads), made.data, earlier, frame, split)
    if made.tuned is not None:
        found["tuning"] = made.tuned.document()
        compared = made.tuned.models_compared()
        found |= {"models_compared": compared} if compared else {}
    return found


def validation_of(made: Made, progress: Progress) -> dict[str, Any]:
    """How models made by the defaults do at rolling origins, at hospitals left out, and on fewer rows.

    What a search found, it found with rows that are judged here.
    """
    frame, resampling = made.frame, made.resampling
    recipe = replace(made.recipe, hyperparameters=None)
    return {
        "back_test": back_test(frame, recipe, resampling, progress=progress),
        "by_hospital": by_hospital(frame, recipe, resampling, progress=progress),
        "learning_curve": learning_curve(frame, recipe, made.split, resampling, progress=progress),
    }
