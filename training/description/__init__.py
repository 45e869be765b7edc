"""What the rows of a model are like: flow, table 1, missing values, base rates, importance.

Pure functions that make parts of the results document. No count in them is of 1 to 9 rows: rare levels are
put together or withheld, in every column alike, and where another small count is withheld, the counts beside
it are rounded (`training.counts`), so that subtraction finds it only roughly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.flow import FlowStep
from models.encoding import FeatureSpec
from training.counts import FEWEST_ROWS, digits, is_few, rounded
from training.description.base_rate import base_rate
from training.description.missingness import missingness
from training.description.table_one import table_one
from training.split import Split
from training.targets import Target

__all__ = ["describe", "flow", "importance"]


def describe(
    steps: Sequence[FlowStep],
    frame: pd.DataFrame,
    target: Target,
    split: Split,
    specs: Sequence[FeatureSpec],
    contributions: NDArray[np.float64],
) -> dict[str, Any]:
    """`flow`, `table_one`, `missingness`, `base_rate` and `importance` of the results of training.

    `contributions` [rows, features] are of some judged rows, in the order of `specs`.
    """
    strongest = importance(specs, contributions)
    by_name = {spec.name: spec for spec in specs}
    return {
        "flow": flow(steps),
        "table_one": table_one(frame, target, split, [by_name[entry["feature"]] for entry in strongest]),
        "missingness": missingness(frame, split, specs),
        "base_rate": base_rate(frame, target, split),
        "importance": strongest,
    }


def flow(steps: Sequence[FlowStep]) -> list[dict[str, Any]]:
    """The cohort flow as plain values: step, meaning, n; who leaves counts below zero.

    Where a step is of 1 to 9, every count is rounded to full tens and `is_rounded`; those few are told as
    "at most" 10.
    """
    if not any(is_few(step.n) for step in steps):
        return [asdict(step) for step in steps]
    return [
        {
            "step": step.step,
            "meaning": f"{step.meaning} (at most)" if is_few(step.n) else step.meaning,
            "n": int(math.copysign(FEWEST_ROWS, step.n)) if is_few(step.n) else rounded(step.n),
            "is_rounded": True,
        }
        for step in steps
    ]


def importance(specs: Sequence[FeatureSpec], contributions: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Mean absolute contribution of each feature over some rows [rows, features], largest first.

    On the model's own scale: log-odds, log money or log days. It tells what the model leans on, not what
    causes the outcome.
    """
    means = np.abs(contributions).mean(axis=0)
    return [
        {
            "feature": specs[place].name,
            "label": specs[place].label,
            "mean_abs_contribution": digits(means[place]),
        }
        for place in np.argsort(-means, kind="stable")
    ]
