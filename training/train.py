"""From a patient-level data set to a calibrated model with its evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from evaluation.bootstrap import Resampling
from features.build import PatientLevelData
from features.progress import Progress, silent
from models.artefact import Artefact, Context, Training
from training.document import facts_of, label_rule, results_of
from training.evidence import evidence_of, validation_of
from training.fit import FEWEST_OTHER_EVENTS, FEWEST_OTHER_ROWS, Recipe, check_slice, fit_model
from training.inputs import read_rows
from training.made import Made
from training.report.figures import figures
from training.split import N_FOLDS, Split, split_by_patient, split_by_time
from training.targets import Target, target_at
from training.tuning import Search
from training.validation.cross_validate import judge, out_of_fold
from training.validation.explaining import explain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LATER_IN_TIME = "later-in-time test"
OUT_OF_FOLD = "pooled patient-grouped out-of-fold"


@dataclass(frozen=True, eq=False)
class Trained:
    """A model with its evidence: what is logged, registered and decided on.

    `boosters` are LightGBM's texts by name. `results` is the document of results without `version` and
    `gate`. `test` holds row position, value and interval of the judged rows, without identifiers.
    """

    artefact: Artefact
    boosters: dict[str, str]
    results: dict[str, Any]
    test: pd.DataFrame
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Effort:
    """How much is done beside fitting a model and judging it.

    `replicates` of the bootstrap; `n_trials` of the search for hyperparameters (0: the defaults), within
    `tuning_seconds` in all; `validates`: models made the same way are judged at rolling origins, at hospitals
    left out, and by how many rows they learned from.
    """

    replicates: int = 500
    n_trials: int = 0
    tuning_seconds: float = 600.0
    validates: bool = False


def train_model(
    data: PatientLevelData,
    target: str,
    *,
    seed: int = 0,
    threads: int = 2,
    effort: Effort = Effort(),
    earlier: Sequence[PatientLevelData] = (),
    acted_on_from: dt.date | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train, calibrate and judge a model of `target` at the data set's prediction point.

    `earlier` are the same records built at earlier landmarks, to show how good it is when it is asked then.
    Rows from the day `acted_on_from` on are measured apart, since acting on a model changes its labels.

    With a calendar, the latest admissions are the test. Without one (`timeline` none or shifted), every
    patient is judged out of fold, and the model itself is fitted on all patients but the calibration's; no
    row is later than another's, and `earlier` is not used. Hyperparameters are searched on training rows
    alone, for each fold anew. The same data, seed, versions and machine give the same model text, unless time
    ended a search. Raises TrainingError if the target is not predicted at this point, or a slice is too
    small.
    """
    chosen = target_at(target, data.point)
    step = f"{target} at {data.point}"
    progress(f"reading {step}", 0, 1)
    frame = read_rows(data, chosen)
    progress(f"reading {step}", 1, 1)
    made = _made(data, frame, _recipe(data, chosen, seed, threads), effort, progress)
    progress(f"evaluating {step}", 0, 1)
    model, judged = made.fitted.model, made.judged
    explained = explain(model, frame, judged.rows, seed=seed, threads=threads)
    evidence = evidence_of(made, explained, earlier, acted_on_from)
    progress(f"evaluating {step}", 1, 1)
    if effort.validates:
        evidence |= validation_of(made, progress)
    training = replace(made.recipe.training, test_from=made.split.test_from, facts=facts_of(made, evidence))
    artefact = replace(model.artefact, training=training, metrics=evidence["metrics"])
    results = results_of(made, artefact, evidence)
    pictures = figures(model, chosen, frame, judged, explained, results, made.resampling)
    return Trained(artefact, made.fitted.boosters, results, judged.table(), pictures)


def _made(
    data: PatientLevelData, frame: pd.DataFrame, recipe: Recipe, effort: Effort, progress: Progress
) -> Made:
    """Slices, hyperparameters, the fitted model, and predictions of the rows that it is judged by."""
    has_calendar, step = data.declaration.has_calendar, f"{recipe.target.name} at {recipe.point}"
    estimate, split = _split(frame, recipe.target, recipe.seed, has_calendar=has_calendar)
    # Without a calendar every fold has a search of its own.
    search = Search(effort.n_trials, effort.tuning_seconds / (1 if has_calendar else 1 + N_FOLDS))
    tuned = search.tuned(frame, recipe, split.training, progress)
    recipe = recipe if tuned is None else replace(recipe, hyperparameters=tuned.hyperparameters)
    progress(f"training {step}", 0, 1)
    fitted = fit_model(frame, recipe, split.training, split.calibration)
    progress(f"training {step}", 1, 1)
    progress(f"judging {step}", 0, 1)
    if has_calendar:
        judged = judge(frame, recipe, fitted, split, split.test)
    else:
        judged = out_of_fold(frame, recipe, search=search, progress=progress)
    progress(f"judging {step}", 1, 1)
    resampling = Resampling(recipe.seed, effort.replicates)
    return Made(data, frame, recipe, split, estimate, tuned, fitted, judged, resampling)


def _split(frame: pd.DataFrame, target: Target, seed: int, *, has_calendar: bool) -> tuple[str, Split]:
    """The slices, and in words what they are judged by."""
    if not has_calendar:
        return OUT_OF_FOLD, split_by_patient(frame, target, seed=seed)
    split = split_by_time(frame, target)
    check_slice("test", target.labels(frame)[split.test], target, FEWEST_OTHER_ROWS, FEWEST_OTHER_EVENTS)
    return LATER_IN_TIME, split


def _recipe(data: PatientLevelData, target: Target, seed: int, threads: int) -> Recipe:
    declaration = data.declaration
    known = tuple(feature for feature in data.features if data.point.knows(feature.available_from))
    return Recipe(
        target=target,
        point=data.point,
        features=known,
        context=Context(
            time_zone=declaration.time_zone,
            currency=declaration.currency,
            code_systems=declaration.code_systems.model_dump(exclude_none=True),
            cost_basis=declaration.cost_basis,
        ),
        settings=data.settings,
        training=Training(declaration.timeline, label_rule(data, target)),
        seed=seed,
        threads=threads,
        directions={f.name: f.direction(target.name) for f in known if f.direction(target.name)},
    )
