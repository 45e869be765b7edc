"""Whether acting on a risk is worth it: net benefit against flagging everyone and flagging no one.

Source: Vickers and Elkin, Medical Decision Making 2006;26:565–574.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.arrays import (
    FloatArray,
    Measure,
    Measures,
    Vector,
    labels,
    one_resample,
    probabilities,
    ratio,
    same_length,
)
from evaluation.patients import Patients, Times


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """The thresholds as a tuple. Raises ValueError unless each lies above 0 and below 1."""
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise ValueError("thresholds: each must lie above 0 and below 1.")
    return tuple(thresholds)


def net_benefit_measures(
    label: FloatArray,
    probability: FloatArray,
    thresholds: Sequence[float],
    patients: Patients | None = None,
) -> Measure:
    """`net_benefit_at_<threshold>` and `net_benefit_of_all_at_<threshold>` as a measure of weights."""
    whose = patients or Patients.one_per_row(len(label))
    gains = {}
    for threshold in check_thresholds(thresholds):
        gain = label - (1 - label) * threshold / (1 - threshold)
        gains[f"net_benefit_at_{threshold:g}"] = np.where(probability >= threshold, gain, 0.0)
        gains[f"net_benefit_of_all_at_{threshold:g}"] = gain

    totals = whose.totals({"n": np.ones(len(label)), **gains})

    def measure(times: Times) -> Measures:
        total = totals(times)
        return {name: ratio(total[name], total["n"]) for name in gains}

    return measure


def net_benefit(
    label: Vector, probability: Vector, thresholds: Sequence[float], weights: Vector | None = None
) -> pd.DataFrame:
    """Net benefit per row: true positives less false positives weighed by the threshold's odds, ÷ rows.

    Whoever flags at a threshold t holds a false alarm for t ÷ (1 − t) times as bad as a missed event. Rows
    are flagged at `probability >= threshold`. Columns: threshold, net_benefit, treat_all, treat_none (0).
    A model is of use at a threshold only above both others. Raises ValueError for thresholds outside 0 to 1.
    """
    outcome, predicted = labels(label), probabilities(probability)
    resample = one_resample(weights, same_length(label=outcome, probability=predicted))
    values = net_benefit_measures(outcome, predicted, thresholds)(resample)
    return pd.DataFrame(
        [
            {
                "threshold": threshold,
                "net_benefit": float(values[f"net_benefit_at_{threshold:g}"][0]),
                "treat_all": float(values[f"net_benefit_of_all_at_{threshold:g}"][0]),
                "treat_none": 0.0,
            }
            for threshold in thresholds
        ]
    )
