"""Rows of all but equal predicted risks, taken together: what a calibration fit needs to know of them.

A logistic fit knows a row by its log-odds and its outcome alone, so rows of one prediction are a cell with a
number of rows and of events. Where 200,000 predictions all differ, that alone saves nothing. Beyond
`MOST_DISTINCT` of them the bootstrap therefore lets predictions share a cell, at their mean, that differ by
less than 1 ÷ `CELLS_PER_SPREAD` of the standard deviation of the log-odds. A row then lies off by
1/(256·√12) ≈ 0.1 % of that deviation, at random: this moves a measure, over all rows or in a resample, by
some thousandths of its standard error. The tests hold it against fits to the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.arrays import FloatArray
from evaluation.patients import Index, Patients, Times

MOST_DISTINCT = 4096
CELLS_PER_SPREAD = 256
SMALLEST_PROBABILITY = 1e-6
"""Probabilities are held this far from 0 and 1 before their log-odds are taken, and only there."""
SMALLEST_SPREAD = 1e-9
"""Log-odds that differ less than this are one prediction."""


def log_odds(probability: FloatArray) -> FloatArray:
    """The log-odds of probabilities held within 1e-6 of 0 and 1."""
    held = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    result: FloatArray = np.log(held / (1 - held))
    return result


@dataclass(frozen=True, eq=False)
class Cells:
    """Per cell, lowest prediction first, its rows' mean log-odds and probability, and their number."""

    log_odds: FloatArray
    probability: FloatArray
    n: FloatArray
    n_events: FloatArray
    of_row: Index
    """The cell of every row."""
    _rows: Any
    _events: Any

    @staticmethod
    def of(label: FloatArray, probability: FloatArray, patients: Patients, *, exact: bool) -> Cells:
        """Gather rows into cells: of equal predictions if `exact` or few, else of all but equal ones."""
        from scipy.sparse import csr_array

        offset = log_odds(probability)
        distinct, cell = np.unique(probability, return_inverse=True)
        if len(distinct) > MOST_DISTINCT and not exact:
            # So many different predictions have a spread, however small.
            place = np.rint(offset * (CELLS_PER_SPREAD / max(float(offset.std()), SMALLEST_SPREAD)))
            distinct, cell = np.unique(place, return_inverse=True)
        n: FloatArray = np.bincount(cell).astype(np.float64)
        shape = (len(distinct), patients.count)
        rows, events = (
            csr_array((column, (cell, patients.of_row)), shape=shape)
            for column in (np.ones(len(cell)), label)
        )
        events.eliminate_zeros()
        return Cells(
            np.bincount(cell, offset) / n,
            np.bincount(cell, probability) / n,
            n,
            np.bincount(cell, label).astype(np.float64),
            cell,
            rows,
            events,
        )

    def counts(self, times: Times) -> tuple[FloatArray, FloatArray]:
        """The weight of the rows, and of the events, of every cell [resamples, cells]."""
        by_patient = np.ascontiguousarray(times.T, dtype=np.float64)
        rows, events = ((matrix @ by_patient).T for matrix in (self._rows, self._events))
        return np.ascontiguousarray(rows), np.ascontiguousarray(events)
