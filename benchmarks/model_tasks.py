"""Measured work: training and batch scoring, with wardcast and with LightGBM alone."""

from __future__ import annotations

import hashlib
import pickle
import time
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from benchmarks.feature_tasks import read_built
from benchmarks.measuring import Measured
from features.build import build, rows_for_scoring
from features.dataset import open_dataset
from features.points import Point
from features.settings import FeatureSettings
from models.champions import install_champion
from models.encoding import booster_names, encode
from models.storage import write_artefact
from serving.champions.loaded import ChampionSet, load_champions
from serving.nightly.score import score
from training.fit import PATIENCE_TREES
from training.hyperparameters import (
    LEARNING_TASKS,
    MOST_TREES,
    default_hyperparameters,
    lightgbm_settings,
    monotone_of,
)
from training.inputs import choose_specs
from training.report.page import report_page
from training.split import split_by_time, stopping_rows
from training.targets import target_at
from training.train import Effort, train_model

THREADS = 2
SEED = 0
FEW_REPLICATES = 20


def wardcast_training(data: Path, built: Path, replicates: int) -> Measured:
    """The whole way of readmission at discharge: features, `train_model`, report; `facts` time each phase."""
    measured = Measured()
    marks: dict[str, list[np.ndarray]] = {}

    def progress(step: str, _done: int, _total: int) -> None:
        marks.setdefault(step.split()[0], []).append(np.array([time.perf_counter(), time.process_time()]))

    with measured.timed():
        progress("features_built", 0, 1)
        made = build(open_dataset(data), Point.DISCHARGE, built)
        progress("features_built", 1, 1)
        trained = train_model(
            made, "readmission", seed=SEED, threads=THREADS, effort=Effort(replicates), progress=progress
        )
        progress("report", 0, 1)
        report_page(trained.artefact, trained.results, trained.figures)
        progress("report", 1, 1)
    built.with_suffix(".pickle").write_bytes(pickle.dumps(made))
    measured.facts = {
        "rows": trained.results["n"],
        "trees": trained.results["trees"],
        "features": trained.results["features"]["used"],
        "digest": _digest(trained.boosters["model"]),
        **{phase: (times[-1] - times[0]).tolist() for phase, times in marks.items()},
    }
    return measured


def bare_training(built: Path, *, every_row: bool) -> Measured:
    """`lightgbm.train` of the same boosters: same matrix, parameters and early-stopping rows, all ready.

    With `every_row` of all rows of the three slices, as whoever keeps none apart to judge by would train.
    """
    data = read_built(built)
    frame, target = data.read(), target_at("readmission", data.point)
    split = split_by_time(frame, target)
    rows = split.training
    if every_row:
        rows = np.sort(np.concatenate([split.training, split.calibration, split.test]))
    specs, _ = choose_specs(frame, data.features, rows)
    stops = stopping_rows(frame["patient_id"].iloc[rows], SEED)
    growing, stopping = (_ready(frame, specs, target, rows[part]) for part in (~stops, stops))
    del frame
    usual = default_hyperparameters(len(growing[1]), "binary")
    monotone = monotone_of(
        specs, {feature.name: feature.direction("readmission") for feature in data.features}
    )
    settings = lightgbm_settings(usual, seed=SEED, threads=THREADS, monotone=monotone)
    settings |= LEARNING_TASKS["binary"]
    columns: dict[str, Any] = {
        "feature_name": booster_names(specs),
        "categorical_feature": [place for place, spec in enumerate(specs) if spec.type == "category"],
        "params": settings,
    }
    measured = Measured()
    with measured.timed():
        grown = lgb.Dataset(*growing, **columns)
        watched = lgb.Dataset(*stopping, reference=grown, **columns)
        stop = lgb.early_stopping(PATIENCE_TREES, verbose=False)
        booster = lgb.train(settings, grown, MOST_TREES, valid_sets=[watched], callbacks=[stop])
    measured.facts = {
        "rows": len(rows),
        "trees": booster.best_iteration,
        "digest": _digest(booster.model_to_string(num_iteration=booster.best_iteration)),
    }
    return measured


def _ready(frame: Any, specs: Any, target: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    part = frame.iloc[rows]
    return encode(part, specs)[0], target.labels(part)


def _digest(text: str) -> str:
    """The trees' digest: the parameters at the end of the text name what the caller set, not the model."""
    return hashlib.sha256(text.split("\nparameters:")[0].encode()).hexdigest()


def make_champion(built: Path, champions: Path, target: str) -> Measured:
    """Train a model of the target and put it in force in the folder `champions`."""
    data, measured = read_built(built), Measured()
    with measured.timed():
        trained = train_model(data, target, seed=SEED, threads=THREADS, effort=Effort(FEW_REPLICATES))
        made = champions.parent / f"artefact-{trained.artefact.name}"
        digest = write_artefact(made, trained.artefact, trained.boosters)
        install_champion(champions, made, name=trained.artefact.name, version=1, digest=digest)
    measured.facts = {"trees": trained.results["trees"]}
    return measured


def wardcast_scoring(data: Path, champions: Path, out: Path) -> Measured:
    """`score` of every admission of a data set with reasons, from the records to the scored file."""
    dataset, loaded, measured = open_dataset(data), _readmission(champions), Measured()
    with measured.timed():
        scored = score(dataset, loaded, out, settings=FeatureSettings(threads=THREADS))
    measured.facts = {"rows": scored.n_rows}
    return measured


def bare_contributions(data: Path, champions: Path) -> Measured:
    """The booster's own contributions of the same admissions on the ready matrix, as one call."""
    model, measured = _readmission(champions).loaded[0].model, Measured()
    dataset, settings = open_dataset(data), FeatureSettings(threads=THREADS)
    frames = rows_for_scoring(dataset, Point.ADMISSION, settings=settings)
    matrix = np.concatenate([encode(frame, model.artefact.features)[0] for _, frame in frames])
    with measured.timed():
        model.boosters["model"].predict(matrix, pred_contrib=True, num_threads=THREADS)
    measured.facts = {"rows": len(matrix), "trees": model.boosters["model"].num_trees()}
    return measured


def _readmission(champions: Path) -> ChampionSet:
    found = load_champions(champions)
    assert not found.refused, "a champion was refused"
    return ChampionSet(tuple(one for one in found.loaded if one.model.artefact.target == "readmission"))
