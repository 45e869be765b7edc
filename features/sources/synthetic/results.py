"""Laboratory results: which of the true values are measured, and when they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.sources.synthetic.codes import Floats, Integers
from features.sources.synthetic.laboratory import LOINC
from features.sources.synthetic.population import OBSERVED_END_DAY
from features.sources.synthetic.stays import Stays
from features.sources.synthetic.writing import instants, texts

_DECIMALS = np.array([1, 0, 2, 1, 1, 1, 1, 0, 1])
_MEASURED = np.array([0.98, 0.98, 0.98, 0.96, 0.96, 0.98, 0.60, 0.96, 0.98])
"""How often each value is part of a first-day panel that was taken."""

_REPEATED = ("haemoglobin", "sodium", "creatinine")
_ERROR = np.array([0.15, 0.6, 0.03, 0.6, 0.07, 0.2, 0.5, 3.0, 0.08])


def observations_table(
    stays: Stays, stay_id: Any, patient_id: Any, rng: np.random.Generator
) -> dict[str, Any]:
    """The columns of `observations`: first-day panels, missing more often in electives, and repeats."""
    n, names = len(stays), list(LOINC)
    is_booked = ~np.isnan(stays.booked)
    taken = rng.random(n) < np.where(is_booked, 0.90, 0.97)
    row, column = np.nonzero(taken[:, None] & (rng.random((n, len(names))) < _MEASURED))
    at = stays.admitted + np.where(is_booked, rng.uniform(1, 14, n), rng.uniform(0.2, 4, n)) / 24
    later_row, later_column, later_at = _repeats(stays, taken, rng)
    rows = np.concatenate([row, later_row])
    columns = np.concatenate([column, later_column])
    when = np.concatenate([at[row], later_at])
    value = stays.values[rows, columns] + rng.normal(0, 1, len(rows)) * _ERROR[columns]
    value = _recovering(value, columns, np.arange(len(rows)) >= len(row))
    known = when + rng.uniform(0.5, 2.5, len(rows)) / 24
    seen = (known < OBSERVED_END_DAY) & (known <= stays.discharged[rows])
    rows, columns, when, known, value = rows[seen], columns[seen], when[seen], known[seen], value[seen]
    scale = 10.0 ** _DECIMALS[columns]
    loinc = np.array([LOINC[name][0] for name in names], dtype=object)
    unit = np.array([LOINC[name][1] for name in names], dtype=object)
    return {
        "patient_id": patient_id.take(pa.array(rows)),
        "stay_id": stay_id.take(pa.array(rows)),
        "taken_at": instants(when),
        "code": texts(loinc[columns]),
        "value": pa.array(np.round(value * scale) / scale),
        "unit": texts(unit[columns]),
        "known_at": instants(known),
    }


def _repeats(stays: Stays, taken: Any, rng: np.random.Generator) -> tuple[Integers, Integers, Floats]:
    """Some values once more on the morning of the discharge, after three days or more."""
    places = np.array([list(LOINC).index(name) for name in _REPEATED])
    is_long = taken & (stays.discharged - stays.admitted > 3)
    row, which = np.nonzero(is_long[:, None] & (rng.random((len(stays), len(places))) < 0.7))
    morning = np.floor(stays.discharged[row]) + rng.uniform(5.5, 6.4, len(row)) / 24
    return row, places[which], morning


def _recovering(value: Floats, column: Integers, is_late: Any) -> Floats:
    """By discharge sodium and creatinine lie nearer to normal than on the first day."""
    normal = np.full(len(LOINC), np.nan)
    for name, usual in (("sodium", 139.0), ("creatinine", 1.0)):
        normal[list(LOINC).index(name)] = usual
    target = normal[column]
    moves = np.asarray(is_late) & ~np.isnan(target)
    value = np.where(moves, value + 0.3 * (target - value), value)
    return np.maximum(value, 0.1)
