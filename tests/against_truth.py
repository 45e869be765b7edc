"""Models beside the truth that the made-up hospital keeps, on the test rows that the models never saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.metrics import roc_auc_score

from evaluation.distribution import crps_of_samples
from features.build import PatientLevelData, build
from features.dataset import open_dataset
from features.ingest import ingest
from features.points import Point
from features.sources.synthetic.costs import (
    COMPLICATION_SURCHARGE,
    TRANSFERRED_FIRST_PART,
    cost_noise,
    stay_days,
)
from models.encoding import encode
from training.inputs import choose_specs
from training.split import split_by_time
from training.targets import target_at
from training.train import Effort, train_model

DRAWS = 200
"""Of each stay's true charges."""
SMALLEST_GROUP = 1_000
RISKS = (
    ("readmission", Point.DISCHARGE, "readmission_probability"),
    ("complication", Point.ADMISSION, "complication_probability"),
)


@dataclass(frozen=True)
class Risk:
    """A risk model: its AUROC, that of the true probabilities on the same rows, its calibration."""

    n_rows: int
    n_events: int
    n_expected: float
    auroc: float
    best_auroc: float
    slope: float
    ici: float

    @property
    def reached_share(self) -> float:
        """How much of what can be told apart at all the model tells apart."""
        return (self.auroc - 0.5) / (self.best_auroc - 0.5)


@dataclass(frozen=True)
class Cost:
    """A cost model: Σ|predicted − expected| ÷ Σ expected, coverage of its interval, predicted ÷ actual.

    `group_coverage` is the coverage in the groups of at least 1,000 rows.
    """

    n_rows: int
    distance: float
    coverage: float
    group_coverage: tuple[float, ...]
    bias: float


@dataclass(frozen=True)
class Scored:
    """A model of an amount: the score of its distributions, and that of the true ones.

    `told_crps` is that of the true distributions about expectations that trees learned from the features and
    the true expectations themselves: what the records tell. The rest hangs on what no record holds.
    """

    n_rows: int
    crps: float
    true_crps: float
    told_crps: float

    @property
    def ratio(self) -> float:
        """How many times the score of the true distribution."""
        return self.crps / self.true_crps

    @property
    def ratio_to_told(self) -> float:
        """How many times the score of what the records tell."""
        return self.crps / self.told_crps


@dataclass(frozen=True)
class AgainstTruth:
    """The models of one made-up hospital."""

    admissions: int
    seed: int
    readmission: Risk
    complication: Risk
    cost: Cost
    charges: Scored
    stay_days: Scored


def against_truth(folder: Path, admissions: int, seed: int) -> AgainstTruth:
    """Make up a hospital, train its models and hold them against the truth."""
    ingest("synthetic", None, folder / "data", options={"admissions": admissions, "seed": seed})
    dataset = open_dataset(folder / "data")
    truth = pd.read_parquet(dataset.path / "truth" / "admissions.parquet").set_index("stay_id")
    data = {
        point: build(dataset, point, folder / f"{point}.parquet")
        for point in (Point.DISCHARGE, Point.ADMISSION)
    }
    risks = {name: risk(data[point], name, truth[column]) for name, point, column in RISKS}
    at_admission = data[Point.ADMISSION]
    return AgainstTruth(
        admissions,
        seed,
        **risks,
        cost=cost(at_admission, truth["expected_cost"]),
        charges=scored(at_admission, truth, "charges", "label_index_charges"),
        stay_days=scored(at_admission, truth, "stay_days", "label_stay_days"),
    )


def tested(data: PatientLevelData, target: str, label: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The test rows by stay with label and prediction, and the results of training."""
    # No interval is read here, so two resamples are enough.
    trained = train_model(data, target, effort=Effort(2))
    columns = ["stay_id", "prediction_time", label]
    rows = pd.read_parquet(data.path, columns=columns).iloc[trained.test["row"]]
    rows = rows.reset_index(drop=True).rename(columns={label: "label"})
    return rows.join(trained.test.drop(columns="row").reset_index(drop=True)), trained.results


def risk(data: PatientLevelData, target: str, true_probability: pd.Series) -> Risk:
    rows, results = tested(data, target, f"label_{target}")
    true = true_probability.loc[rows["stay_id"]].to_numpy(dtype=float)
    assert np.isfinite(true).all(), "a test row has no truth"
    label = rows["label"].to_numpy(dtype=float)
    return Risk(
        n_rows=len(rows),
        n_events=int(label.sum()),
        n_expected=float(true.sum()),
        auroc=float(roc_auc_score(label, rows["value"])),
        best_auroc=float(roc_auc_score(label, true)),
        slope=results["metrics"]["calibration_slope"]["value"],
        ici=results["metrics"]["ici"]["value"],
    )


def cost(data: PatientLevelData, expected_cost: pd.Series) -> Cost:
    rows, results = tested(data, "cost", "label_episode_cost")
    true = expected_cost.loc[rows["stay_id"]].to_numpy(dtype=float)
    assert np.isfinite(true).all(), "a test row has no truth"
    actual, predicted = rows["label"].to_numpy(dtype=float), rows["value"].to_numpy(dtype=float)
    return Cost(
        n_rows=len(rows),
        distance=float(np.abs(predicted - true).sum() / true.sum()),
        coverage=float(((rows["low"] <= actual) & (actual <= rows["high"])).mean()),
        group_coverage=tuple(
            group["metrics"]["interval_coverage"]["value"]
            for group in results["groups"]
            if not group["suppressed"] and group["n"] >= SMALLEST_GROUP
        ),
        bias=float(predicted.sum() / actual.sum()),
    )


def scored(data: PatientLevelData, truth: pd.DataFrame, target: str, label: str) -> Scored:
    rows, results = tested(data, target, label)
    true = truth.loc[rows["stay_id"]]
    admitted = rows["prediction_time"] - pd.Timedelta(hours=data.settings.landmark_hours)
    hour = ((admitted - admitted.dt.normalize()) / pd.Timedelta(days=1)).to_numpy(dtype=float)
    actual = rows["label"].to_numpy(dtype=float)
    usual = {"charges": "usual_charges", "stay_days": "usual_days"}[target]
    told = true.assign(**{usual: learned(data, target, truth[usual], rows["stay_id"])})
    return Scored(
        len(rows),
        results["metrics"]["crps"]["value"],
        crps_of_courses(true, hour, actual, target),
        crps_of_courses(told, hour, actual, target),
    )


def crps_of_courses(truth: pd.DataFrame, hour: np.ndarray, actual: np.ndarray, target: str) -> float:
    """The mean score of the distributions that 200 draws of every stay's course make."""
    rng, scores = np.random.default_rng(1), []
    for start in range(0, len(truth), 5_000):
        part = slice(start, start + 5_000)
        drawn = np.column_stack(
            [true_course(truth.iloc[part], hour[part], rng)[target] for _ in range(DRAWS)]
        )
        scores.append(crps_of_samples(actual[part], drawn, fair=True))
    return float(np.concatenate(scores).mean())


def learned(data: PatientLevelData, target: str, true: pd.Series, tested: pd.Series) -> np.ndarray:
    """The true expectation as far as the features tell it: by trees that learned it without any noise."""
    frame = data.read()
    rows = split_by_time(frame, target_at(target, data.point)).training
    specs, _ = choose_specs(frame, data.features, rows)
    matrix, _ = encode(frame[[spec.name for spec in specs]], specs)
    places = pd.Index(frame["stay_id"]).get_indexer(tested)
    trees = LGBMRegressor(
        n_estimators=600, learning_rate=0.05, colsample_bytree=0.5, random_state=0, n_jobs=2, verbosity=-1
    )
    trees.fit(matrix[rows], np.log(true.loc[frame["stay_id"].iloc[rows]].to_numpy()))
    return np.exp(np.asarray(trees.predict(matrix[places])))


def true_course(truth: pd.DataFrame, hour: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One draw of every stay's charges and nights, given that it lasts 24 h from `hour` of its first day on.

    As the hospital is made up; that those who die keep no hours is left out.
    """
    found = {target: np.full(len(truth), np.nan) for target in ("charges", "stay_days")}
    usual_days, usual_charges = truth["usual_days"].to_numpy(), truth["usual_charges"].to_numpy()
    open_rows = np.arange(len(truth))
    while len(open_rows):
        count = len(open_rows)
        normal = rng.normal(size=count)
        is_complicated = rng.random(count) < truth["complication_probability"].to_numpy()[open_rows]
        is_part = rng.random(count) < truth["part_probability"].to_numpy()[open_rows]
        part = np.where(is_part, TRANSFERRED_FIRST_PART, 1.0)
        days = stay_days(usual_days[open_rows], normal, is_complicated.astype(float)) * part
        leaves = np.floor(hour[open_rows] + days) + rng.uniform(9, 17, count) / 24
        drawn = usual_charges[open_rows] * cost_noise(normal, rng) * part
        drawn *= 1 + COMPLICATION_SURCHARGE * is_complicated
        lasts = leaves > hour[open_rows] + 1
        found["charges"][open_rows[lasts]] = drawn[lasts]
        found["stay_days"][open_rows[lasts]] = np.floor(leaves)[lasts]
        open_rows = open_rows[~lasts]
    return found
