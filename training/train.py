"""From a patient-level data set to a calibrated model with its evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evaluation.bootstrap import Resampling
from evaluation.groups import coverage_apart
from features.build import PatientLevelData
from features.progress import Progress, silent
from models.artefact import Artefact, Context, Training
from training.backtest import back_test, by_hospital
from training.cross_validate import judge, out_of_fold
from training.describe import describe
from training.explaining import check_explanation
from training.exposure import exposure
from training.fit import (
    FEWEST_OTHER_EVENTS,
    FEWEST_OTHER_ROWS,
    Fitted,
    Recipe,
    check_slice,
    fit_model,
)
from training.inputs import read_rows
from training.leaks import find_leaks
from training.learning_curve import learning_curve, optimism
from training.report.figures import contributions_of, explained, figures
from training.results import assess
from training.sensitivity import Subject, other_uses
from training.split import N_FOLDS, Split, split_by_patient, split_by_time
from training.targets import Target, target_at
from training.tuning import Search

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LATER_IN_TIME = "later-in-time test"
OUT_OF_FOLD = "pooled patient-grouped out-of-fold"
VERSIONED = ("wardcast", "lightgbm", "numpy", "pandas")


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
    recipe = _recipe(data, chosen, seed, threads)
    has_calendar = data.declaration.has_calendar
    estimate, split = _split(frame, chosen, seed, has_calendar=has_calendar)
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
    progress(f"evaluating {step}", 0, 1)
    resampling = Resampling(seed, effort.replicates)
    evidence = assess(frame, chosen, judged, resampling, has_calendar=has_calendar)
    evidence |= _distribution(fitted, evidence)
    evidence["explanation"] = check_explanation(fitted.model, frame, judged.rows)
    suspects = find_leaks(frame, chosen, recipe.features, data.point, has_calendar=has_calendar, seed=seed)
    evidence["leaks"] = [leak.document() for leak in suspects]
    features = explained(fitted.model, frame, judged.rows, seed=seed, threads=threads)
    specs = fitted.model.artefact.features
    evidence |= describe(data.flow, frame, chosen, split, specs, contributions_of(features))
    evidence["optimism"] = optimism(frame, recipe, fitted, split, judged)
    learned = np.concatenate([split.training, split.calibration])
    evidence |= exposure(frame, chosen, judged, learned, acted_on_from, resampling)
    evidence |= other_uses(Subject(fitted.model, chosen, resampling, threads), data, earlier, frame, split)
    if tuned is not None:
        evidence |= {"tuning": tuned.document(), "models_compared": tuned.models_compared()}
    progress(f"evaluating {step}", 1, 1)
    if effort.validates:
        evidence |= {
            "back_test": back_test(frame, recipe, resampling, progress=progress),
            "by_hospital": by_hospital(frame, recipe, resampling, progress=progress),
            "learning_curve": learning_curve(frame, recipe, split, resampling, progress=progress),
        }
    n_rows = {**split.n, "test": len(judged.rows)}
    artefact = replace(
        fitted.model.artefact,
        training=replace(
            recipe.training,
            test_from=split.test_from,
            facts=_facts(data, recipe, fitted, split, n_rows, estimate),
        ),
        metrics=evidence["metrics"],
    )
    results = _results(artefact, fitted, split, n_rows, estimate, evidence)
    pictures = figures(fitted.model, chosen, frame, judged, features, results, resampling)
    return Trained(artefact, fitted.boosters, results, judged.table(), pictures)


def _split(frame: pd.DataFrame, target: Target, seed: int, *, has_calendar: bool) -> tuple[str, Split]:
    """The slices, and in words what they are judged by."""
    if not has_calendar:
        return OUT_OF_FOLD, split_by_patient(frame, target, seed=seed)
    split = split_by_time(frame, target)
    check_slice("test", target.labels(frame)[split.test], target, FEWEST_OTHER_ROWS, FEWEST_OTHER_EVENTS)
    return LATER_IN_TIME, split


def _distribution(fitted: Fitted, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The results' `distribution` with the groups whose interval covers too much or too little."""
    distribution = fitted.model.artefact.distribution
    if distribution is None:
        return {}
    apart = coverage_apart(evidence["groups"], distribution.level)
    return {"distribution": {**evidence["distribution"], "coverage_apart": apart}}


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


def _facts(
    data: PatientLevelData,
    recipe: Recipe,
    fitted: Fitted,
    split: Split,
    n_rows: dict[str, int],
    estimate: str,
) -> dict[str, Any]:
    dates = ("training_from", "calibration_from", "test_until")
    return {
        "data_set": data.declaration.name,
        "data_hash": data.data_hash,
        "window": {name: split.facts[name] for name in dates if name in split.facts},
        "rows": n_rows,
        "estimate": estimate,
        "seed": recipe.seed,
        "parameters": fitted.parameters,
        "versions": {name: version(name) for name in VERSIONED},
    }


def label_rule(data: PatientLevelData, target: Target) -> dict[str, Any]:
    """The rule by which the data set's labels of this target came about."""
    if target.name == "readmission":
        rule = data.declaration.labels.readmission.model_dump(exclude_none=True)
        return rule | {"window_days": data.settings.readmission_window_days}
    if target.name == "complication":
        return {"rests_on": data.complication_by}
    basis = {"currency": data.declaration.currency, "cost_basis": data.declaration.cost_basis}
    # What costs an extract without dates counts in is for the extract to say.
    window: dict[str, Any] = {"kind": "given"}
    if data.declaration.has_timeline:
        window = {"window_days": data.settings.cost_window_days}
    prices = {} if data.settings.price_year is None else {"prices_of": data.settings.price_year}
    return basis | window | prices


def _results(
    artefact: Artefact,
    fitted: Fitted,
    split: Split,
    n_rows: dict[str, int],
    estimate: str,
    evidence: dict[str, Any],
) -> dict[str, Any]:
    return {
        "target": artefact.target,
        "prediction_point": artefact.point,
        "model": artefact.name,
        "n": n_rows,
        "estimate": estimate,
        **evidence,
        "split": dict(split.facts),
        **_calibration(artefact, fitted),
        "features": {"used": len(artefact.features), "left_out": fitted.left_out},
        "trees": {name: booster.num_trees() for name, booster in fitted.model.boosters.items()},
    }


def _calibration(artefact: Artefact, fitted: Fitted) -> dict[str, Any]:
    """The map of a risk, beside the methods that were compared; an amount has none."""
    if artefact.calibration is None:
        return {}
    numbers = {name: value for name, value in asdict(artefact.calibration).items() if value != ""}
    return {"calibration": {**numbers, "compared": [each.document() for each in fitted.calibrations]}}
