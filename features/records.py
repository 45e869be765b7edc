"""The records of one admission in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.points import Point

Row = Mapping[str, object]


@dataclass(frozen=True)
class AdmissionRecords:
    """One admission with its history as canonical rows; an absent table is unknown, an empty one none.

    `prediction_time` (local wall time) defaults to the point's own; `history_from` says since when the
    history is complete.
    """

    stay_id: str
    point: Point
    tables: Mapping[str, Sequence[Row]]
    prediction_time: dt.datetime | None = None
    history_from: dt.date | None = None
