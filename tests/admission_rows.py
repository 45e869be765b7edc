"""Made-up rows of a patient-level data set, and small models of them, where the truth is in sight."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from features.build import PatientLevelData
from features.catalogue import CATALOGUE
from features.dataset import CodeSystems, Declaration
from features.feature import Feature
from features.points import Point
from features.settings import FeatureSettings
from models.artefact import Context, Training
from models.distribution import LEVELS, Distribution, MeanFactor, Shape, Shapes
from training.fit import Fitted, Recipe, fit_model
from training.targets import TARGETS

Timeline = Literal["real", "shifted", "none"]
NAMES = ("age_years", "n_stays_prior_365d", "admitting_diagnosis_group", "is_booked")
FACT = Feature(
    name="ward_score",
    label="Ward score",
    type="number",
    unit="points",
    available_from=Point.ADMISSION,
    description="Supplied by the extract.",
    relation="facts",
    expression="ward_score",
    tables=("facts",),
    is_fact=True,
)
FEATURES = (*(CATALOGUE[name] for name in NAMES), FACT)
CONTEXT = Context("Asia/Shanghai", "CNY", {"diagnosis": "icd10"}, "billed")
TRAINING = Training("real", {})
# Residuals of -2 to 2, an interval without upper end, a mean of exp(raw).
DISTRIBUTION = Distribution(
    0.8,
    MeanFactor(0.0),
    Shapes((), (Shape(-0.1, None, tuple(np.linspace(-2, 2, len(LEVELS)).tolist())),)),
)
GROUPS = ("Asthma", "Fracture", "Heart failure", "Pneumonia", "Stroke")


def admissions(n: int, *, seed: int = 0, stays_per_patient: int = 2, has_dates: bool = True) -> pd.DataFrame:
    """`n` rows of a data set at `admission`, where earlier stays and heart failure raise risk and cost.

    The true log-odds of a readmission are −2.2 + 0.5 × earlier stays + 0.8 for heart failure; the true
    mean of the episode cost is exp(9 + 0.2 × earlier stays + 0.6 for heart failure).
    """
    random = np.random.default_rng(seed)
    earlier = random.poisson(0.8, n).astype(float)
    group = random.choice(GROUPS, n)
    is_failing = group == "Heart failure"
    log_odds = -2.2 + 0.5 * earlier + 0.8 * is_failing
    readmitted = (random.random(n) < 1 / (1 + np.exp(-log_odds))).astype(float)
    mean_cost = np.exp(9 + 0.2 * earlier + 0.6 * is_failing)
    days = np.sort(random.integers(0, 1000, n)) if has_dates else np.zeros(n, dtype=int)
    started = pd.Timestamp("2022-01-01 10:00")
    times = pd.Series(started + pd.to_timedelta(days, unit="D"))
    return pd.DataFrame(
        {
            "stay_id": [f"S{row}" for row in range(n)],
            "patient_id": [f"P{patient}" for patient in random.integers(0, n // stays_per_patient, n)],
            "prediction_time": times if has_dates else pd.NaT,
            "age_years": random.integers(18, 95, n).astype(float),
            "n_stays_prior_365d": earlier,
            "admitting_diagnosis_group": np.where(random.random(n) < 0.05, None, group),
            "is_booked": random.integers(0, 2, n),
            "ward_score": np.where(random.random(n) < 0.3, np.nan, random.normal(size=n)),
            "label_readmission": readmitted,
            "label_complication": (random.random(n) < 0.1).astype(float),
            "label_episode_cost": random.gamma(2.0, mean_cost / 2.0),
            "row_label_end_on_readmission": (times + pd.Timedelta(days=35)).dt.date,
            "row_label_end_on_complication": (times + pd.Timedelta(days=5)).dt.date,
            "row_label_end_on_cost": (times + pd.Timedelta(days=35)).dt.date,
            "row_died_in_hospital": 0,
            "row_hospital": np.where(np.arange(n) % 2, "H1", "H2"),
            "row_group_earlier_stay": np.where(earlier > 0, "yes", "no"),
            "row_group_sex": random.choice(["female", "male"], n),
        }
    )


def data_set(folder: Path, frame: pd.DataFrame, *, timeline: Timeline = "real") -> PatientLevelData:
    """The rows as a built data set on disk."""
    path = folder / "rows.parquet"
    frame.to_parquet(path)
    declaration = Declaration(
        name="made-up",
        source="test",
        currency="CNY",
        cost_basis="billed",
        time_zone="Asia/Shanghai",
        timeline=timeline,
        observed_from=dt.date(2022, 1, 1) if timeline != "none" else None,
        observed_until=dt.date(2025, 12, 31) if timeline != "none" else None,
        complete_by="admission",
        deaths="registry",
        code_systems=CodeSystems(diagnosis="icd10"),
    )
    return PatientLevelData(
        path,
        (),
        FEATURES,
        Point.ADMISSION,
        declaration,
        FeatureSettings(),
        data_hash="0" * 64,
        complication_by="flags",
    )


def recipe(target: str, *, seed: int = 0) -> Recipe:
    """How a model of these rows is made."""
    return Recipe(
        TARGETS[target], Point.ADMISSION, FEATURES, CONTEXT, FeatureSettings(), TRAINING, seed, threads=1
    )


@cache
def fitted(target: str) -> Fitted:
    """A model of 3,000 rows, calibrated on 1,000 others."""
    return fit_model(admissions(4000), recipe(target), np.arange(3000), np.arange(3000, 4000))
