"""Everything that is found out about a model beside its own numbers: the evidence of the results."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.groups import coverage_apart
from features.build import PatientLevelData
from features.progress import Progress
from training.description import describe
from training.leaks import find_leaks
from training.made import Made
from training.validation.backtest import back_test, by_hospital
from training.validation.explaining import Explained, check_explanation
from training.validation.exposure import exposure
from training.validation.learning_curve import learning_curve, optimism
from training.validation.results import assess
from training.validation.sensitivity import Subject, other_uses


def evidence_of(
    made: Made,
    explained: Explained,
    earlier: Sequence[PatientLevelData],
    acted_on_from: dt.date | None,
) -> dict[str, Any]:
    """Metrics, baselines, groups and every other key of the results that the judged rows tell.

    `explained` are some of the judged rows; `earlier` and `acted_on_from` as in `train_model`. What does not
    depend on each other is found out side by side, on as many threads as the model was made with.
    """
    frame, recipe, split, judged = made.frame, made.recipe, made.split, made.judged
    model, target, resampling = made.fitted.model, recipe.target, made.resampling
    has_calendar = made.data.declaration.has_calendar
    learned = np.concatenate([split.training, split.calibration])
    since = acted_on_from if has_calendar else None
    subject = Subject(model, target, resampling, recipe.threads)
    found = _side_by_side(
        recipe.threads,
        lambda: _performance(made),
        lambda: {"explanation": check_explanation(model, explained)},
        lambda: {"leaks": _leaks(made)},
        lambda: describe(
            made.data.flow, frame, target, split, model.artefact.features, explained.contributions
        ),
        lambda: {"optimism": optimism(frame, recipe, made.fitted, split, judged)},
        lambda: exposure(frame, target, judged, learned, since, resampling),
        lambda: other_uses(subject, made.data, earlier, frame, split),
    )
    if made.tuned is not None:
        found["tuning"] = made.tuned.document()
        compared = made.tuned.models_compared()
        found |= {"models_compared": compared} if compared else {}
    return found


def _side_by_side(threads: int, *tasks: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The parts that the tasks make, as one document in the order of the tasks."""
    # Set once for all: side by side, each task would take back what the other has set.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(task) for task in tasks]
        return {key: value for task in running for key, value in task.result().items()}


def _performance(made: Made) -> dict[str, Any]:
    has_calendar = made.data.declaration.has_calendar
    found = assess(made.frame, made.recipe.target, made.judged, made.resampling, has_calendar=has_calendar)
    distribution = made.fitted.model.artefact.distribution
    if distribution is not None:
        found["distribution"]["level"] = distribution.level
        found["distribution"]["coverage_apart"] = coverage_apart(found["groups"], distribution.level)
    return found


def _leaks(made: Made) -> list[dict[str, Any]]:
    recipe, has_calendar = made.recipe, made.data.declaration.has_calendar
    suspects = find_leaks(
        made.frame,
        recipe.target,
        recipe.features,
        recipe.point,
        has_calendar=has_calendar,
        seed=recipe.seed,
    )
    return [leak.document() for leak in suspects]


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
