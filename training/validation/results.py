"""How good a model was on rows that it did not learn from: metrics, baselines, groups, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import Resampling
from evaluation.distribution import pit_histogram
from evaluation.evaluate import evaluate_amount, sample_amount, sample_risk, sample_score
from evaluation.groups import amount_by_group, risk_by_group, too_small
from evaluation.primary import PRIMARY
from training.baselines import Baselines
from training.inputs import GROUP_PREFIX
from training.split import Rows
from training.targets import Target

GROUP_REPLICATES = 200
THRESHOLDS = (0.1, 0.2)
CAPACITY_SHARE = 0.10
"""A week's capacity where none is set: this share of its mean number of admissions."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions of the rows at these positions, and the baselines' for the same rows.

    What follows from the distribution of an amount is None for a risk: the ends `low` and `high`, the score
    `crps` of each row's distribution, and `pit`, the two levels between which the actual amount lies in it.
    `truncated_at` is where the amounts were truncated that the trees grew on.
    """

    rows: Rows
    value: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None
    crps: NDArray[np.float64] | None
    pit: NDArray[np.float64] | None
    baselines: Baselines
    truncated_at: float | None

    def table(self) -> pd.DataFrame:
        """Row position in the data set, value, and for a cost the interval: no identifiers."""
        ends = {} if self.low is None else {"low": self.low, "high": self.high}
        return pd.DataFrame({"row": self.rows, "value": self.value, **ends})


def pooled(parts: list[Judged]) -> Judged:
    """The folds' predictions as one; a baseline counts only if every fold has it."""
    missing = {name: reason for part in parts for name, reason in part.baselines.missing.items()}
    names = [name for name in parts[0].baselines.predictions if name not in missing]
    predictions = {
        name: np.concatenate([part.baselines.predictions[name] for part in parts]) for name in names
    }
    return Judged(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.value for part in parts]),
        _joined([part.low for part in parts]),
        _joined([part.high for part in parts]),
        _joined([part.crps for part in parts]),
        _joined([part.pit for part in parts]),
        Baselines(predictions, missing),
        parts[0].truncated_at,
    )


def _joined(parts: list[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def assess(
    frame: pd.DataFrame, target: Target, judged: Judged, resampling: Resampling, *, has_calendar: bool
) -> dict[str, Any]:
    """Kind, metrics, baselines and groups of the results of training, with 95 % intervals by patient.

    A baseline is measured on the rows that it has predicted: `n`, as a share `share_scored`. Its `difference`
    is the model's AUROC (D² for an amount) minus the baseline's on these same rows. One that could not be
    computed, or on too few rows to be judged, is `{"missing": reason}`. Groups hold the patients with and
    without earlier stays too. Without a calendar there are no weeks, and no capacity of a week.
    """
    rows = frame.iloc[judged.rows]
    actual = target.labels(rows)
    if target.kind == "risk":
        week, capacity = _weeks(rows) if has_calendar else (None, None)
        found = _assess_risk(rows, actual, judged, week, capacity, resampling)
    else:
        found = _assess_amount(rows, actual, judged, resampling)
    document = {"kind": target.kind} | found
    document["baselines"] |= {name: {"missing": reason} for name, reason in judged.baselines.missing.items()}
    return document


def _assess_risk(
    rows: pd.DataFrame,
    label: NDArray[np.float64],
    judged: Judged,
    week: pd.Series | None,
    capacity: int | None,
    resampling: Resampling,
) -> dict[str, Any]:
    patients = rows["patient_id"]
    model = sample_risk(
        label,
        judged.value,
        patients,
        resampling,
        week=week,
        capacity_per_week=capacity,
        thresholds=THRESHOLDS,
    )

    ranked = PRIMARY["risk"].name

    def baseline(probability: NDArray[np.float64]) -> dict[str, Any]:
        has = ~np.isnan(probability)
        reason = too_small(int(has.sum()), label[has])
        if reason:
            return {"missing": f"rows that have it ({reason})"}
        found = sample_risk(label[has], probability[has], patients[has], resampling)
        # The model is measured anew only where the rows are others.
        same = model if has.all() else sample_score(label[has], judged.value[has], patients[has], resampling)
        return {
            **_scored(has),
            **found.metrics(),
            "difference": same.minus(found).metric(ranked),
        }

    return {
        "metrics": model.metrics(),
        "capacity_per_week": capacity,
        "baselines": {name: baseline(values) for name, values in judged.baselines.predictions.items()},
        "groups": risk_by_group(
            label, judged.value, patients, group_levels(rows), resampling.at_most(GROUP_REPLICATES)
        ),
    }


def _assess_amount(
    rows: pd.DataFrame, cost: NDArray[np.float64], judged: Judged, resampling: Resampling
) -> dict[str, Any]:
    patients = rows["patient_id"]
    ends = (judged.low, judged.high)
    truncated = np.minimum(cost, np.inf if judged.truncated_at is None else judged.truncated_at)
    model = sample_amount(cost, judged.value, *ends, patients, resampling, crps=judged.crps)

    ranked = PRIMARY["amount"].name

    def baseline(expected: NDArray[np.float64]) -> dict[str, Any]:
        found = sample_amount(cost, expected, None, None, patients, resampling)
        everyone = _scored(np.ones(len(cost), dtype=bool))
        return {
            **everyone,
            **found.metrics(),
            "difference": model.minus(found).metric(ranked),
        }

    return {
        "metrics": model.metrics(),
        "metrics_truncated": evaluate_amount(truncated, judged.value, *ends, patients, resampling),
        "truncated_at": judged.truncated_at,
        "baselines": {name: baseline(values) for name, values in judged.baselines.predictions.items()},
        "groups": amount_by_group(
            cost,
            judged.value,
            *ends,
            patients,
            group_levels(rows),
            resampling.at_most(GROUP_REPLICATES),
            crps=judged.crps,
        ),
        "distribution": {} if judged.pit is None else {"pit": pit_histogram(judged.pit).tolist()},
    }


def _scored(has: NDArray[np.bool_]) -> dict[str, Any]:
    return {"n": int(has.sum()), "share_scored": float(has.mean())}


def _weeks(rows: pd.DataFrame) -> tuple[pd.Series, int]:
    """The Monday of each row's week, and how many admissions of a week can be followed up."""
    days = pd.to_datetime(rows["prediction_time"]).dt.normalize()
    week = days - pd.to_timedelta(days.dt.day_of_week, unit="D")
    return week, max(1, round(CAPACITY_SHARE * len(week) / week.nunique()))


def group_levels(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows' groups of the report, by their names."""
    # A group that no row tells has nothing to compare.
    names = [name for name in rows.columns if name.startswith(GROUP_PREFIX) and rows[name].notna().any()]
    return rows[names].rename(columns=lambda name: name.removeprefix(GROUP_PREFIX))
