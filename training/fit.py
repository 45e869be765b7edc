"""Fit one model on a training slice and calibrate it on its calibration slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import fingerprint
from features.feature import Feature
from features.points import Point
from features.settings import FeatureSettings
from models.artefact import Artefact, Context, Training
from models.bands import cut_points, percentile_grid
from models.calibration_choice import Compared, choose_calibration
from models.columns import PART_ROWS
from models.distribution import fit_distribution, positive_amount
from models.encoding import FeatureSpec, booster_names, encode, levels_of
from models.model import Model
from training.hyperparameters import (
    LEARNING_TASKS,
    MOST_TREES,
    USUAL_OBJECTIVE,
    Hyperparameters,
    Objective,
    default_hyperparameters,
    learned_label,
    lightgbm_settings,
    monotone_of,
)
from training.inputs import choose_specs
from training.split import FEWEST_CALIBRATION_ROWS, Rows, stopping_rows
from training.targets import Target, TrainingError

PATIENCE_TREES = 40
SHAPES_BY = "admission_department"
"""Amounts scatter about what is foreseen in ways of their own in each department, if it has rows enough."""
SMALLEST_SCATTER = 1e-3
"""On the log scale: a row that is met exactly would have no spread at all."""
MOST_REGROWN_ROWS = 30_000
"""Up to as many training rows the trees are grown again, now on the stopping rows too."""
FEWEST_TRAINING_ROWS, FEWEST_TRAINING_EVENTS = 200, 50
FEWEST_OTHER_ROWS, FEWEST_OTHER_EVENTS = FEWEST_CALIBRATION_ROWS, 10


@dataclass(frozen=True)
class Recipe:
    """What a model is made by, whatever rows it is fitted on.

    `features` are those the point knows, built with `settings`. `training` is what is known of the training
    beforehand: time line and label. Without `hyperparameters` the defaults for the number of rows are taken.
    `directions` holds 1 or -1 for features that may only raise or only lower the prediction.
    `interval_level` and `truncation_quantile` concern amounts.
    """

    target: Target
    point: Point
    features: tuple[Feature, ...]
    context: Context
    settings: FeatureSettings
    training: Training
    seed: int
    threads: int
    hyperparameters: Hyperparameters | None = None
    directions: Mapping[str, int] = field(default_factory=dict)
    interval_level: float = 0.8
    truncation_quantile: float = 0.995


@dataclass(frozen=True)
class Fitted:
    """A model, its boosters as text, LightGBM's settings, and why which features were left out.

    `truncated_at` is where training costs were truncated; None for a risk. `calibrations` are the methods
    that were compared; an amount has none.
    """

    model: Model
    boosters: dict[str, str]
    parameters: dict[str, Any]
    left_out: dict[str, str]
    truncated_at: float | None
    calibrations: tuple[Compared, ...] = ()


@dataclass(frozen=True, eq=False)
class _Table:
    """A data set's rows as the boosters see them: the columns of `specs`, and each row's label."""

    frame: pd.DataFrame
    specs: tuple[FeatureSpec, ...]
    label: NDArray[np.float64]

    def matrix(self, rows: Rows) -> NDArray[np.float64]:
        columns = self.frame[[spec.name for spec in self.specs]]
        matrix = np.empty((len(rows), len(self.specs)))
        for start in range(0, len(rows), PART_ROWS):
            part = slice(start, start + PART_ROWS)
            matrix[part], _ = encode(columns.iloc[rows[part]], self.specs)
        return matrix


@dataclass(frozen=True, eq=False)
class _Binned:
    """One slice as LightGBM holds it: the rows that trees grow on, then those that say when to stop.

    `regrown` are all of them, to grow the trees again on; None where there are rows enough. `matrix` and
    `label` are in the same order. Boosters differ in nothing but the labels.
    """

    growing: lgb.Dataset
    stopping: lgb.Dataset
    regrown: lgb.Dataset | None
    matrix: NDArray[np.float64]
    label: NDArray[np.float64]
    n_growing: int


def fit_model(frame: pd.DataFrame, recipe: Recipe, training: Rows, calibration: Rows) -> Fitted:
    """Fit and calibrate on the rows at these positions; the artefact's metrics and facts stay empty.

    How many trees is found on a sub-slice of the training patients; where rows are few, that many are
    then grown on the whole slice. Raises TrainingError if a slice holds too few rows or events, or no
    feature varies.
    """
    label = recipe.target.labels(frame)
    check_slice("training", label[training], recipe.target, FEWEST_TRAINING_ROWS, FEWEST_TRAINING_EVENTS)
    check_slice("calibration", label[calibration], recipe.target, FEWEST_OTHER_ROWS, FEWEST_OTHER_EVENTS)
    specs, left_out = choose_specs(frame, recipe.features, training)
    table = _Table(frame, specs, label)
    stops = stopping_rows(frame["patient_id"].iloc[training], recipe.seed)
    settings = _settings(recipe, specs, int((~stops).sum()))
    binned = _binned(table, training[~stops], training[stops], settings)
    truncated_at = None
    if recipe.target.kind == "risk":
        texts = {"model": _grown(binned, binned.label, settings | LEARNING_TASKS["binary"])}
    else:
        truncated_at = float(np.quantile(binned.label, recipe.truncation_quantile))
        texts = _grown_amount(binned, recipe, settings, truncated_at)
    boosters = {name: lgb.Booster(model_str=text) for name, text in texts.items()}
    artefact, compared = _calibrated(table, recipe, boosters, calibration)
    parameters = {"objective": _objective(recipe), **settings}
    return Fitted(Model(artefact, boosters), texts, parameters, left_out, truncated_at, compared)


def check_slice(
    name: str, label: NDArray[np.float64], target: Target, fewest_rows: int, fewest_events: int
) -> None:
    """Raise TrainingError if a slice holds too few rows, or a risk's slice too few events or non-events."""
    needs_events = target.kind == "risk"
    n_events = int(min(label.sum(), len(label) - label.sum())) if needs_events else fewest_events
    if len(label) < fewest_rows or n_events < fewest_events:
        found = f"{len(label)} rows" + (f", {n_events} of the rarer outcome" if needs_events else "")
        needed = f"{fewest_rows} rows" + (f", {fewest_events} of each" if needs_events else "")
        raise TrainingError(
            f"{target.name}: the {name} slice holds {found}; {needed} are needed. Give a longer extract."
        )


def _settings(recipe: Recipe, specs: Sequence[FeatureSpec], n_growing: int) -> dict[str, Any]:
    chosen = recipe.hyperparameters or default_hyperparameters(n_growing, _objective(recipe))
    monotone = monotone_of(specs, recipe.directions)
    return lightgbm_settings(chosen, seed=recipe.seed, threads=recipe.threads, monotone=monotone)


def _binned(table: _Table, growing: Rows, stopping: Rows, settings: dict[str, Any]) -> _Binned:
    # The rows that trees grow on stand first, so that both parts are views of one matrix.
    rows, n_growing = np.concatenate([growing, stopping]), len(growing)
    matrix, label = table.matrix(rows), table.label[rows]
    columns: dict[str, Any] = {
        "feature_name": booster_names(table.specs),
        "categorical_feature": [place for place, spec in enumerate(table.specs) if spec.type == "category"],
        "params": settings,
    }
    first = lgb.Dataset(matrix[:n_growing], label[:n_growing], **columns).construct()
    second = lgb.Dataset(matrix[n_growing:], label[n_growing:], reference=first, **columns).construct()
    regrown = lgb.Dataset(matrix, label, **columns).construct() if len(label) <= MOST_REGROWN_ROWS else None
    return _Binned(first, second, regrown, matrix, label, n_growing)


def _grown(binned: _Binned, learned: NDArray[np.float64], settings: dict[str, Any]) -> str:
    """A booster that has learned these labels, as LightGBM's text."""
    booster = lgb.train(
        settings,
        binned.growing.set_label(learned[: binned.n_growing]),
        MOST_TREES,
        valid_sets=[binned.stopping.set_label(learned[binned.n_growing :])],
        callbacks=[lgb.early_stopping(PATIENCE_TREES, verbose=False)],
    )
    n_trees = booster.best_iteration
    if binned.regrown is not None:
        booster = lgb.train(settings, binned.regrown.set_label(learned), n_trees)
    return str(booster.model_to_string(num_iteration=n_trees))


def _grown_amount(
    binned: _Binned, recipe: Recipe, settings: dict[str, Any], truncated_at: float
) -> dict[str, str]:
    """The booster of the amount, then that of how far the logarithm scatters about it."""
    # A few extreme amounts would rule the trees, the smallest ones on the log scale as much as the largest.
    # The calibration gives their mean back.
    ends = np.array([np.quantile(binned.label, 1 - recipe.truncation_quantile), truncated_at])
    amount = np.clip(
        positive_amount(binned.label, recipe.target.unit), *positive_amount(ends, recipe.target.unit)
    )
    objective = _objective(recipe)
    text = _grown(binned, learned_label(amount, objective), settings | LEARNING_TASKS[objective])
    raw = lgb.Booster(model_str=text).predict(binned.matrix, raw_score=True, num_threads=recipe.threads)
    scatter = np.maximum(np.abs(np.log(amount) - np.asarray(raw)), SMALLEST_SCATTER)
    # What raises an amount need not make it less certain: directions are the amount's alone.
    undirected = {name: value for name, value in settings.items() if name != "monotone_constraints"}
    return {"model": text, "spread": _grown(binned, scatter, undirected | LEARNING_TASKS["gamma"])}


def _objective(recipe: Recipe) -> Objective:
    return recipe.hyperparameters.objective if recipe.hyperparameters else USUAL_OBJECTIVE[recipe.target.kind]


def _calibrated(
    table: _Table, recipe: Recipe, boosters: dict[str, lgb.Booster], calibration: Rows
) -> tuple[Artefact, tuple[Compared, ...]]:
    """The artefact of these boosters, with all that the calibration slice tells, and the methods compared."""
    matrix, actual = table.matrix(calibration), table.label[calibration]
    raw = {
        name: np.asarray(booster.predict(matrix, raw_score=True, num_threads=recipe.threads))
        for name, booster in boosters.items()
    }
    calibration_map, distribution = None, None
    compared: tuple[Compared, ...] = ()
    if recipe.target.kind == "risk":
        patient = table.frame["patient_id"].iloc[calibration].to_numpy()
        chosen = choose_calibration(raw["model"], actual, patient, seed=recipe.seed)
        calibration_map, compared = chosen.calibration, chosen.compared
        values = calibration_map.probability(raw["model"])
    else:
        spread, group = np.exp(raw["spread"]), levels_of(matrix, table.specs, SHAPES_BY)
        level, unit = recipe.interval_level, recipe.target.unit
        distribution = fit_distribution(
            raw["model"], spread, group, actual, unit, level=level, group_feature=SHAPES_BY
        )
        values = distribution.of(raw["model"], spread, group, unit).expected
    contributions = np.asarray(boosters["model"].predict(matrix[:1], pred_contrib=True))
    artefact = Artefact(
        name=f"{recipe.target.name}-{recipe.point}",
        target=recipe.target.name,
        point=str(recipe.point),
        unit=recipe.target.unit,
        context=recipe.context,
        landmark_hours=float(recipe.settings.landmark_hours),
        coding_lag_hours=float(recipe.settings.coding_lag_hours),
        cost_lag_hours=float(recipe.settings.cost_lag_hours),
        features=table.specs,
        fingerprint=fingerprint(spec.name for spec in table.specs if not spec.is_fact),
        calibration=calibration_map,
        distribution=distribution,
        bands=cut_points(values),
        percentiles=percentile_grid(values),
        base_value=float(contributions[0, -1]),
        training=recipe.training,
        metrics={},
        intended_use=recipe.target.intended_use(recipe.point, recipe.training.label),
    )
    return artefact, compared
