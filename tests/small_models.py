"""A small risk and a small cost model as training hands them over, made in no time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from models.artefact import Artefact, Context, Training
from models.bands import cut_points, percentile_grid
from models.calibration import LineCalibration
from models.encoding import FeatureSpec, encode
from tests.admission_rows import DISTRIBUTION
from training.gate.decision import Check, Gate

PASSED = Gate((Check(True, "auroc 0.740 against 0.660 for lace (must be better)."),))
FAILED = Gate((Check(False, "calibration_slope 0.700 (must be 0.80 to 1.25)."),))
NAME = "readmission-discharge"


@dataclass(frozen=True)
class TrainedModel:
    """What training hands over."""

    artefact: Artefact
    boosters: dict[str, str]
    results: dict[str, Any]
    figures: dict[str, Any]


FEATURES = (
    FeatureSpec("age_years", "Age", "number", "years", "admission", False),
    FeatureSpec("has_diabetes", "Diabetes", "flag", "", "admission", False),
    FeatureSpec("sex", "Sex", "category", "", "admission", False, ("female", "male")),
    FeatureSpec("supplied_score", "Supplied score", "number", "", "admission", True),
)


def admissions(n: int = 300) -> pd.DataFrame:
    random = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age_years": random.uniform(18, 95, n),
            "has_diabetes": random.integers(0, 2, n).astype(float),
            "sex": random.choice(["female", "male"], n),
            "supplied_score": random.normal(size=n),
        }
    )


def trained_risk(seed: int = 1) -> TrainedModel:
    from matplotlib.figure import Figure

    rows = admissions()
    label = (np.random.default_rng(seed).uniform(size=len(rows)) < rows["age_years"] / 200).astype(float)
    booster = boost(rows, label, "binary", seed)
    raw = booster.predict(encode(rows, FEATURES)[0], raw_score=True)
    value = 1 / (1 + np.exp(-raw))
    artefact = Artefact(
        name=NAME,
        target="readmission",
        point="discharge",
        unit="probability",
        context=Context("Asia/Shanghai", "CNY", {"diagnosis": "icd10"}, "charges"),
        landmark_hours=24.0,
        coding_lag_hours=48.0,
        cost_lag_hours=0.0,
        features=FEATURES,
        fingerprint="f" * 64,
        calibration=LineCalibration(),
        distribution=None,
        bands=cut_points(value),
        percentiles=percentile_grid(value),
        base_value=float(booster.predict(encode(rows, FEATURES)[0], pred_contrib=True)[0, -1]),
        training=Training(
            "real",
            {"kind": "derived", "window_days": 30},
            dt.date(2024, 6, 1),
            {"rows": {"train": 300}, "data_hash": "a" * 64, "seed": seed, "params": {"num_leaves": 7}},
        ),
        metrics={"auroc": {"value": 0.74, "low": 0.72, "high": 0.76}},
        intended_use="Planning of follow-up after discharge.",
    )
    return TrainedModel(artefact, {"model": booster.model_to_string()}, results(), {"calibration": Figure()})


def trained_cost() -> TrainedModel:
    risk, rows = trained_risk(), admissions()
    cost = np.log(1000 + 50 * rows["age_years"])
    boosters = {name: boost(rows, cost, "regression", seed) for seed, name in enumerate(("model", "spread"))}
    artefact = replace(
        risk.artefact,
        name="cost-admission",
        target="cost",
        point="admission",
        unit="money",
        calibration=None,
        distribution=DISTRIBUTION,
    )
    document = {**results(), "metrics": {"wape": {"value": 0.4, "low": 0.3, "high": 0.5}}, "baselines": {}}
    return TrainedModel(artefact, {name: b.model_to_string() for name, b in boosters.items()}, document, {})


def boost(rows: pd.DataFrame, label: Any, objective: str, seed: int) -> lgb.Booster:
    matrix, _ = encode(rows, FEATURES)
    data = lgb.Dataset(matrix, label=label, feature_name=[spec.name for spec in FEATURES])
    params = {"objective": objective, "num_leaves": 7, "verbosity": -1, "num_threads": 1, "seed": seed}
    return lgb.train(params, data, num_boost_round=5)


def results() -> dict[str, Any]:
    return {
        "target": "readmission",
        "prediction_point": "discharge",
        "kind": "risk",
        "n": {"train": 300, "calibration": 100, "test": 100},
        "metrics": {
            "auroc": {"value": 0.74, "low": 0.72, "high": 0.76},
            "calibration_slope": {"value": None, "low": None, "high": None, "reason": "too few"},
        },
        "baselines": {
            "lace": {
                "n": 90,
                "share_scored": 0.9,
                "auroc": {"value": 0.66, "low": 0.64, "high": 0.68},
                "difference": {"value": 0.07, "low": 0.05, "high": 0.09},
            },
            "hospital": {"missing": "haemoglobin"},
        },
        "groups": [],
    }
