"""Rows and their patients: what drawing patients with replacement does to sums over rows.

A resample is the number of times that each patient was drawn. Every statistic here is made of sums over rows,
and a patient's rows always come together, so rows are summed by patient once. What does not depend on the
order of rows is then one matrix product for many resamples; what does is one running sum for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.arrays import FloatArray, Vector

Times = npt.NDArray[Any]
"""How often each patient was drawn [resamples, patients]: small whole numbers, or weights of any kind."""
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Patients:
    """Whose every row is: `of_row` holds a number from 0 to `count` − 1 per row."""

    of_row: Index
    count: int

    @staticmethod
    def of(patient_id: Vector, n: int) -> Patients:
        """Patients numbered in the order of their ids, so that the order of rows does not matter.

        Raises ValueError with the count if some are missing or the length is not `n`.
        """
        ids = pd.Series(patient_id)
        if len(ids) != n:
            raise ValueError(f"patient_id: {len(ids)} values for {n} rows.")
        n_missing = int(ids.isna().sum())
        if n_missing:
            raise ValueError(
                f"patient_id: {n_missing} of {n} values are missing. Every row needs its patient."
            )
        codes, patients = pd.factorize(ids, sort=True)
        return Patients(codes, len(patients))

    @staticmethod
    def one_per_row(n: int) -> Patients:
        """Every row a patient of its own: weights of patients are weights of rows."""
        return Patients(np.arange(n), n)

    def totals(self, columns: Mapping[str, FloatArray]) -> Callable[[Times], dict[str, FloatArray]]:
        """From resamples to the weighted sum of each column of rows, one per resample."""
        by_patient = np.column_stack(
            [np.bincount(self.of_row, column, self.count) for column in columns.values()]
        )

        def sums(times: Times) -> dict[str, FloatArray]:
            return dict(zip(columns, (times.astype(np.float64) @ by_patient).T, strict=True))

        return sums

    def running(self, order: Index) -> Callable[[Times], Times]:
        """From resamples to the weight of the first 0, 1, 2 … rows in this order [resamples, rows + 1].

        The rows from place a up to, not including, place b weigh the difference of columns b and a.
        """
        patient = self.of_row[order]

        def sums(times: Times) -> Times:
            # Draws are counted exactly, and much faster, in whole numbers; 2³¹ of them are out of reach.
            kind = np.int32 if times.dtype.kind == "u" else np.float64
            result = np.zeros((len(times), len(patient) + 1), kind)
            np.cumsum(times.take(patient, axis=1), axis=1, dtype=kind, out=result[:, 1:])
            return result

        return sums


def crossings(running: Times, target: Times, *, side: Literal["left", "right"] = "left") -> Index:
    """Per resample and target [resamples, targets] the least number of rows whose weight reaches the target.

    `side` "right": whose weight exceeds it. One more than all rows if these do not.
    """
    places = [np.searchsorted(row, wanted, side) for row, wanted in zip(running, target, strict=True)]
    return np.stack(places)
