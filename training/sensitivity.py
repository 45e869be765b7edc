"""How good a model is where it is used otherwise than it was trained: asked earlier, deaths counted in."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import Metric
from evaluation.evaluate import evaluate_cost, evaluate_risk
from features.points import Point
from models.model import Model
from training.split import Split, labelled_rows
from training.targets import Target


def asked_earlier(
    model: Model,
    target: Target,
    frame: pd.DataFrame,
    hours: float,
    learned_patients: pd.Series,
    test_from: dt.date,
    *,
    seed: int,
    replicates: int,
    threads: int = 1,
) -> dict[str, Any]:
    """Metrics of the model for predictions asked for `hours` after admission, before its own landmark.

    `frame` is the data set built with that landmark: what is known by then, of everyone still in hospital
    by then. Judged are the admissions of the test period (from the day `test_from` on) of patients that
    the model has not learned from. Keys: hours_after_admission, n, metrics (empty without enough rows).
    """
    is_usable, _ = labelled_rows(frame, target)
    landmark = model.artefact.landmark_hours
    own_time = pd.to_datetime(frame["prediction_time"]) + pd.Timedelta(hours=landmark - hours)
    is_judged = is_usable & (own_time >= pd.Timestamp(test_from)).to_numpy()
    is_judged &= ~frame["patient_id"].isin(learned_patients).to_numpy()
    rows = frame[is_judged].reset_index(drop=True)
    metrics = _metrics(
        model, target, rows, target.labels(rows), seed=seed, replicates=replicates, threads=threads
    )
    return {"hours_after_admission": float(hours), "n": len(rows), "metrics": metrics}


def deaths_as_not_readmitted(
    model: Model,
    target: Target,
    frame: pd.DataFrame,
    split: Split,
    observed_until: dt.date | None,
    *,
    seed: int,
    replicates: int,
    threads: int = 1,
) -> dict[str, Any] | None:
    """Metrics of a readmission model if whoever died in hospital counts as not readmitted.

    Before discharge nobody knows who will die; the model's own evaluation leaves them out. None where the
    question does not arise: another target, the point `discharge`, a split without a test period. Keys: n,
    n_deaths, metrics.
    """
    if target.name != "readmission" or model.artefact.point == Point.DISCHARGE:
        return None
    if split.test_from is None or observed_until is None:
        return None
    is_test = pd.to_datetime(frame["prediction_time"]) >= pd.Timestamp(split.test_from)
    is_mature = pd.to_datetime(frame[target.label_end]) <= pd.Timestamp(observed_until)
    is_death = frame["row_died_in_hospital"].eq(1).fillna(False) & is_test & is_mature
    was_learned_from = np.isin(split.patient, split.patient[split.training])
    deaths = np.flatnonzero(is_death.to_numpy(dtype=bool) & ~was_learned_from)
    rows = frame.iloc[np.concatenate([split.test, deaths])].reset_index(drop=True)
    label = np.concatenate([target.labels(frame)[split.test], np.zeros(len(deaths))])
    metrics = _metrics(model, target, rows, label, seed=seed, replicates=replicates, threads=threads)
    return {"n": len(rows), "n_deaths": len(deaths), "metrics": metrics}


def _metrics(
    model: Model,
    target: Target,
    rows: pd.DataFrame,
    label: NDArray[np.float64],
    *,
    seed: int,
    replicates: int,
    threads: int,
) -> dict[str, Metric]:
    if rows.empty:
        return {}
    predicted = model.predict(rows, contributions=False, threads=threads)
    patients = rows["patient_id"]
    if target.kind == "risk":
        return evaluate_risk(label, predicted.value, patients, seed=seed, replicates=replicates)
    ends = predicted.low, predicted.high
    return evaluate_cost(label, predicted.value, *ends, patients, seed=seed, replicates=replicates)
