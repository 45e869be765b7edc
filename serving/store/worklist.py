"""The worklist: the latest prediction of one target of each stay, in the order that is asked for."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, select

from features.points import Point
from models.bands import Band
from serving.database.tables import PREDICTED_TARGETS, PREDICTIONS

Sort = Literal["value", "percentile", "prediction_time"]

WORKLIST_DAYS = 30
"""How far back a worklist goes by default: a readmission within 30 days is what most lists are made for,
and 30 days after a discharge it has happened or not."""
MAX_TOP = 500
_ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class WorklistRow:
    """One stay on a worklist: its latest prediction of the list's target at a prediction point.

    `prediction` is the target's part of the stored answer, its reasons without words; `warnings` are the
    answer's, such as that the models never learned from patients like this one.
    """

    stay_id: str
    prediction_point: str
    prediction_time: dt.datetime | None
    department: str | None
    provisional: bool
    prediction: Mapping[str, Any]
    warnings: tuple[str, ...]
    scored_at: dt.datetime


@dataclass(frozen=True)
class Worklist:
    """The first rows of a list, and how many it has in all."""

    rows: tuple[WorklistRow, ...] = ()
    n_total: int = 0


def worklist(
    connection: Connection,
    *,
    departments: frozenset[str] | None,
    band: Band | None,
    target: str,
    sort: Sort,
    top: int,
    point: Point | None,
    since: dt.datetime | None,
) -> Worklist:
    """The list of `PredictionStore.worklist`. Raises ValueError unless `top` is 1 to `MAX_TOP`."""
    if not 1 <= top <= MAX_TOP:
        raise ValueError(f"top is not 1 to {MAX_TOP}")
    since = since or _start(connection, target)
    if since is None:
        return Worklist()
    listed = PREDICTED_TARGETS.c
    conditions = [listed.target == target, listed.is_latest.is_(True), listed.as_of >= since]
    if departments is not None:
        conditions.append(listed.department.in_(sorted(departments)))
    if band is not None:
        conditions.append(listed.band == band)
    # What was predicted at admission is over at discharge: it is told to who asks for that point.
    conditions.append(
        listed.stands_for_stay.is_(True) if point is None else listed.prediction_point == point.value
    )
    by: dict[Sort, ColumnElement[Any]] = {
        "value": listed.value,
        "percentile": listed.percentile,
        "prediction_time": listed.as_of,
    }
    # What is shown is found on the index alone, before any prediction is looked up.
    first = (
        select(listed.prediction_id, by[sort].label("place"), func.count().over().label("n_total"))
        .where(*conditions)
        .order_by(by[sort].desc(), listed.prediction_id.desc())
        .limit(top)
        .subquery()
    )
    rows = connection.execute(
        select(PREDICTIONS, first.c.n_total)
        .join(first, PREDICTIONS.c.id == first.c.prediction_id)
        .order_by(first.c.place.desc(), PREDICTIONS.c.id.desc())
    ).all()
    shown = (
        WorklistRow(
            stay_id=row.stay_id,
            prediction_point=row.prediction_point,
            prediction_time=row.prediction_time,
            department=row.department,
            provisional=row.provisional,
            prediction=_of_target(document, target),
            warnings=tuple(document["warnings"]),
            scored_at=row.scored_at,
        )
        for row, document in ((row, json.loads(row.document)) for row in rows)
    )
    return Worklist(tuple(shown), rows[0].n_total if rows else 0)


def stored_targets(connection: Connection) -> frozenset[str]:
    """The targets of which a prediction is stored."""
    target = PREDICTED_TARGETS.c.target
    # One step in the index for each target, not one for each prediction.
    found: list[str] = []
    while True:
        last = found[-1] if found else ""
        after = connection.scalar(select(func.min(target)).where(target > last))
        if after is None:
            return frozenset(found)
        found.append(after)


def _start(connection: Connection, target: str) -> dt.datetime | None:
    """From when on a target's predictions stand on a worklist by default; None where there are none.

    A time that has not come yet, by whatever clock, is a mistake or belongs to records whose dates were
    shifted: it moves the list only where there is no other.
    """
    listed = PREDICTED_TARGETS.c
    newest = select(func.max(listed.as_of)).where(listed.target == target, listed.is_latest.is_(True))
    tomorrow = dt.datetime.now(dt.UTC).replace(tzinfo=None) + _ONE_DAY
    found = connection.scalar(newest.where(listed.as_of <= tomorrow)) or connection.scalar(newest)
    return None if found is None else found - dt.timedelta(days=WORKLIST_DAYS)


def _of_target(document: Mapping[str, Any], target: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one for one in document["predictions"] if one["target"] == target)
    return found
