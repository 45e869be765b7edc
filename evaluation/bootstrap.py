"""How sure a measure is: 95 % percentile intervals over resampled patients.

The patient, not the row, is drawn with replacement, since the admissions of one patient resemble each
other (Field and Welsh, J R Stat Soc B 2007;69:369–390). A resample is the number of times that each patient
was drawn, handed to every row as its weight; rows are never copied. Resamples go through in chunks, so that
memory depends on the rows, not on the replicates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd

from evaluation.arrays import FloatArray, Measure, Vector

CELLS_PER_CHUNK = 1_000_000
"""Weights held at once, 8 MB; a measure needs a few arrays of this size."""
LEVEL = 0.95
SMALLEST_DEFINED_SHARE = 0.95
"""An interval needs a value in this share of the resamples; below it, the tails would be guesses."""


class Metric(TypedDict):
    """A measure with its 95 % interval. What is undefined is None, and `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    reason: NotRequired[str]


def patient_codes(patient_id: Vector, n: int) -> tuple[np.ndarray, int]:
    """Patients as 0 … count − 1 in the order of their ids, so that the order of rows does not matter.

    Raises ValueError with the count if some are missing or the length is not `n`.
    """
    ids = pd.Series(patient_id)
    if len(ids) != n:
        raise ValueError(f"patient_id: {len(ids)} values for {n} rows.")
    n_missing = int(ids.isna().sum())
    if n_missing:
        raise ValueError(f"patient_id: {n_missing} of {n} values are missing. Every row needs its patient.")
    codes, patients = pd.factorize(ids, sort=True)
    return codes, len(patients)


def resamples(codes: np.ndarray, n_patients: int, *, seed: int, replicates: int) -> Iterator[FloatArray]:
    """Row weights [some resamples, rows] until there are `replicates` of them; the same for the same seed."""
    random = np.random.default_rng(seed)
    chunk = max(1, CELLS_PER_CHUNK // len(codes))
    for first in range(0, replicates, chunk):
        size = min(chunk, replicates - first)
        drawn = random.integers(0, n_patients, size=(size, n_patients))
        drawn += n_patients * np.arange(size)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=size * n_patients).reshape(size, n_patients)
        yield times.astype(np.float64)[:, codes]


def with_intervals(
    measure: Measure, n: int, patient_id: Vector, *, seed: int, replicates: int, undefined: dict[str, str]
) -> dict[str, Metric]:
    """Each value of the measure over all `n` rows, with its 95 % percentile interval.

    `undefined` says per name, in words, when a value does not exist. Raises ValueError if `replicates` < 1.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if replicates < 1:
        raise ValueError("replicates: must be at least 1.")
    codes, n_patients = patient_codes(patient_id, n)
    # The matrix products are small: threads would wait for one another, and would decide the order of sums.
    with threadpool_limits(limits=1, user_api="blas"):
        everyone = {name: float(value[0]) for name, value in measure(np.ones((1, n))).items()}
        drawn = resamples(codes, n_patients, seed=seed, replicates=replicates)
        chunks = [measure(weights) for weights in drawn]
    return {
        name: _metric(
            value, np.concatenate([chunk[name] for chunk in chunks]), n_patients, undefined.get(name)
        )
        for name, value in everyone.items()
    }


def _metric(value: float, draws: FloatArray, n_patients: int, undefined: str | None) -> Metric:
    if not np.isfinite(value):
        return {
            "value": None,
            "low": None,
            "high": None,
            "reason": f"undefined: {undefined or 'nothing to divide by'}",
        }
    if n_patients < 2:
        return {"value": value, "low": None, "high": None, "reason": "no interval: fewer than 2 patients"}
    defined = draws[np.isfinite(draws)]
    if len(defined) < SMALLEST_DEFINED_SHARE * len(draws):
        reason = f"no interval: undefined in {len(draws) - len(defined)} of {len(draws)} resamples"
        return {"value": value, "low": None, "high": None, "reason": reason}
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def paired_difference(
    measure: Measure,
    reference: Measure,
    n: int,
    patient_id: Vector,
    *,
    seed: int,
    replicates: int,
    undefined: dict[str, str],
) -> dict[str, Metric]:
    """Measure minus reference, by name, on the same rows and in the same resamples.

    The interval is of the difference itself: two predictions of the same rows err together, so that comparing
    their own intervals would hide a real difference. Names that only one of them has are left out.
    """

    def difference(weights: FloatArray) -> dict[str, FloatArray]:
        ours, theirs = measure(weights), reference(weights)
        return {name: ours[name] - theirs[name] for name in ours if name in theirs}

    return with_intervals(difference, n, patient_id, seed=seed, replicates=replicates, undefined=undefined)
