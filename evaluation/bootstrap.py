"""How sure a measure is: 95 % percentile intervals over resampled patients.

The patient, not the row, is drawn with replacement, since the admissions of one patient resemble each
other (Field and Welsh, J R Stat Soc B 2007;69:369–390). A resample is the number of times that each patient
was drawn; rows are never copied. Resamples go through in chunks, so that memory depends on the rows, not on
the replicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from evaluation.arrays import FloatArray, Measure
from evaluation.patients import Times

CELLS_PER_CHUNK = 1_000_000
"""Patients times resamples at once, a byte each: the arrays that measures make of them stay in the cache."""
LEVEL = 0.95
SMALLEST_DEFINED_SHARE = 0.95
"""An interval needs a value in this share of the resamples; below it, the tails would be guesses."""


class Metric(TypedDict):
    """A measure with its 95 % interval. What is undefined is None, and `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    reason: NotRequired[str]


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


def resamples(n_patients: int, resampling: Resampling) -> Iterator[Times]:
    """How often each patient is drawn [some resamples, patients], until there are enough of them.

    The same for the same seed. Bytes hold the counts: 256 draws of one patient never happen (p < 1e-500).
    """
    random = np.random.default_rng(resampling.seed)
    chunk = max(1, CELLS_PER_CHUNK // n_patients)
    for first in range(0, resampling.replicates, chunk):
        times = np.empty((min(chunk, resampling.replicates - first), n_patients), np.uint8)
        for resample in times:
            drawn = random.integers(0, n_patients, size=n_patients, dtype=np.int32)
            resample[:] = np.bincount(drawn, minlength=n_patients)
        yield times


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
    measure: Measure, n_patients: int, resampling: Resampling, *, undefined: Mapping[str, str]
) -> Sampled:
    """The measure, of weights of so many patients, with each of them once and in every resample."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # The matrix products are small: threads would wait for one another, and would decide the order of sums.
    with threadpool_limits(limits=1, user_api="blas"):
        everyone = {name: float(value[0]) for name, value in measure(np.ones((1, n_patients))).items()}
        chunks = [measure(times) for times in resamples(n_patients, resampling)]
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
