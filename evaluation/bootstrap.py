"""How sure a measure is: 95 % percentile intervals over resampled patients.

The patient, not the row, is drawn with replacement, since the admissions of one patient resemble each
other (Field and Welsh, J R Stat Soc B 2007;69:369–390). A resample is the number of times that each patient
was drawn, handed to every row as its weight; rows are never copied. Resamples go through in chunks, so that
memory depends on the rows, not on the replicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Resampling:
    """How the uncertainty of measures is found: by that many resamples, drawn from one seed.

    Raises ValueError if `replicates` is below 1.
    """

    seed: int = 0
    replicates: int = 500

    def __post_init__(self) -> None:
        if self.replicates < 1:
            raise ValueError("replicates: must be at least 1.")

    def at_most(self, replicates: int) -> Resampling:
        """The same with no more replicates than these."""
        return Resampling(self.seed, min(self.replicates, replicates))


DEFAULT_RESAMPLING = Resampling()


def resamples(codes: np.ndarray, n_patients: int, resampling: Resampling) -> Iterator[FloatArray]:
    """Row weights [some resamples, rows] until there are enough of them; the same for the same seed."""
    random = np.random.default_rng(resampling.seed)
    chunk = max(1, CELLS_PER_CHUNK // len(codes))
    for first in range(0, resampling.replicates, chunk):
        size = min(chunk, resampling.replicates - first)
        drawn = random.integers(0, n_patients, size=(size, n_patients))
        drawn += n_patients * np.arange(size)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=size * n_patients).reshape(size, n_patients)
        yield times.astype(np.float64)[:, codes]


@dataclass(frozen=True, eq=False)
class Sampled:
    """The measures of one prediction, by name: over all rows, and in every resample of the patients.

    `undefined` says per name, in words, when a value does not exist.
    """

    everyone: dict[str, float]
    draws: dict[str, FloatArray]
    n_patients: int
    undefined: Mapping[str, str]

    def metrics(self) -> dict[str, Metric]:
        """Each value with its 95 % percentile interval."""
        return {name: self.metric(name) for name in self.everyone}

    def metric(self, name: str) -> Metric:
        """One value with its 95 % percentile interval."""
        return _metric(self.everyone[name], self.draws[name], self.n_patients, self.undefined.get(name))

    def minus(self, reference: Sampled) -> Sampled:
        """These measures minus the reference's, by name, on the same rows and in the same resamples.

        The interval is of the difference itself: two predictions of the same rows err together, so that
        comparing their own intervals would hide a real difference. Names that only one of them has are left
        out. Both must come from the same rows, patients and resampling.
        """
        names = [name for name in self.everyone if name in reference.everyone]
        return Sampled(
            {name: self.everyone[name] - reference.everyone[name] for name in names},
            {name: self.draws[name] - reference.draws[name] for name in names},
            self.n_patients,
            self.undefined,
        )


def sample(
    measure: Measure, n: int, patient_id: Vector, resampling: Resampling, *, undefined: Mapping[str, str]
) -> Sampled:
    """The measure over all `n` rows and in every resample of their patients."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    codes, n_patients = patient_codes(patient_id, n)
    # The matrix products are small: threads would wait for one another, and would decide the order of sums.
    with threadpool_limits(limits=1, user_api="blas"):
        everyone = {name: float(value[0]) for name, value in measure(np.ones((1, n))).items()}
        chunks = [measure(weights) for weights in resamples(codes, n_patients, resampling)]
    draws = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in everyone}
    return Sampled(everyone, draws, n_patients, undefined)


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
