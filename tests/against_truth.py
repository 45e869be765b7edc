"""Models beside the truth that the made-up hospital keeps, on the test rows that the models never saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from features.build import PatientLevelData, build
from features.dataset import open_dataset
from features.ingest import ingest
from features.points import Point
from training.train import Effort, train_model

RISKS = (
    ("readmission", Point.DISCHARGE, "readmission_probability"),
    ("complication", Point.ADMISSION, "complication_probability"),
)


@dataclass(frozen=True)
class Risk:
    """A risk model: its AUROC, that of the true probabilities on the same rows, and its calibration slope."""

    n_rows: int
    n_events: int
    n_expected: float
    auroc: float
    best_auroc: float
    slope: float

    @property
    def reached_share(self) -> float:
        """How much of what can be told apart at all the model tells apart."""
        return (self.auroc - 0.5) / (self.best_auroc - 0.5)


@dataclass(frozen=True)
class Cost:
    """A cost model: Σ|predicted − expected| ÷ Σ expected, coverage of its interval, predicted ÷ actual."""

    n_rows: int
    distance: float
    coverage: float
    bias: float


@dataclass(frozen=True)
class AgainstTruth:
    """The models of one made-up hospital."""

    admissions: int
    seed: int
    readmission: Risk
    complication: Risk
    cost: Cost


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
    return AgainstTruth(admissions, seed, **risks, cost=cost(data[Point.ADMISSION], truth["expected_cost"]))


def tested(
    data: PatientLevelData, target: str, label: str
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The test rows by stay with label and prediction, and the metrics of training."""
    # No interval is read here, so two resamples are enough.
    trained = train_model(data, target, effort=Effort(2))
    rows = pd.read_parquet(data.path, columns=["stay_id", label]).iloc[trained.test["row"]]
    rows = rows.reset_index(drop=True).rename(columns={label: "label"})
    return rows.join(trained.test.drop(columns="row").reset_index(drop=True)), trained.results["metrics"]


def risk(data: PatientLevelData, target: str, true_probability: pd.Series) -> Risk:
    rows, metrics = tested(data, target, f"label_{target}")
    true = true_probability.loc[rows["stay_id"]].to_numpy(dtype=float)
    assert np.isfinite(true).all(), "a test row has no truth"
    label = rows["label"].to_numpy(dtype=float)
    return Risk(
        n_rows=len(rows),
        n_events=int(label.sum()),
        n_expected=float(true.sum()),
        auroc=float(roc_auc_score(label, rows["value"])),
        best_auroc=float(roc_auc_score(label, true)),
        slope=metrics["calibration_slope"]["value"],
    )


def cost(data: PatientLevelData, expected_cost: pd.Series) -> Cost:
    rows, _ = tested(data, "cost", "label_episode_cost")
    true = expected_cost.loc[rows["stay_id"]].to_numpy(dtype=float)
    assert np.isfinite(true).all(), "a test row has no truth"
    actual, predicted = rows["label"].to_numpy(dtype=float), rows["value"].to_numpy(dtype=float)
    return Cost(
        n_rows=len(rows),
        distance=float(np.abs(predicted - true).sum() / true.sum()),
        coverage=float(((rows["low"] <= actual) & (actual <= rows["high"])).mean()),
        bias=float(predicted.sum() / actual.sum()),
    )
