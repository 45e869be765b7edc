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
from evaluation.bootstrap import Resampling, sample
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


def net_benefit_band(
    label: Vector,
    probability: Vector,
    patient_id: Vector,
    resampling: Resampling,
    thresholds: Sequence[float],
) -> pd.DataFrame:
    """`net_benefit` with pointwise 95 % intervals over resampled patients, for a plot.

    Columns: those of `net_benefit`, then low, high (of net_benefit), treat_all_low, treat_all_high, and gain,
    gain_low, gain_high: the net benefit above the better of flagging everyone and no one, in the same
    resamples. The ends are NaN for a single patient. Raises ValueError for thresholds outside 0 to 1.
    """
    outcome, predicted = labels(label), probabilities(probability)
    patients = Patients.of(patient_id, same_length(label=outcome, probability=predicted))
    both = net_benefit_measures(outcome, predicted, thresholds, patients)
    names = [f"{threshold:g}" for threshold in thresholds]

    def measure(times: Times) -> Measures:
        found = both(times)
        for name in names:
            best_otherwise = np.maximum(found[f"net_benefit_of_all_at_{name}"], 0.0)
            found[f"gain_at_{name}"] = found[f"net_benefit_at_{name}"] - best_otherwise
        return found

    sampled = sample(measure, patients.count, resampling, undefined={})
    model, everyone, gain = (
        pd.DataFrame([sampled.metric(f"{kind}_at_{name}") for name in names]).reindex(
            columns=["value", "low", "high"]
        )
        for kind in ("net_benefit", "net_benefit_of_all", "gain")
    )
    return pd.DataFrame(
        {
            "threshold": list(thresholds),
            "net_benefit": model["value"],
            "treat_all": everyone["value"],
            "treat_none": 0.0,
            "low": model["low"],
            "high": model["high"],
            "treat_all_low": everyone["low"],
            "treat_all_high": everyone["high"],
            "gain": gain["value"],
            "gain_low": gain["low"],
            "gain_high": gain["high"],
        },
        dtype=np.float64,
    )
