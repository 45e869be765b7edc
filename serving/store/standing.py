"""Which prediction of a target stands for its stay on a worklist of all prediction points."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from serving.database.tables import PREDICTED_TARGETS, PREDICTIONS

_Standing = tuple[dt.datetime, int]
"""Prediction time and id: the greater one stands for the stay."""


def mark_standing(
    connection: Connection, known: Iterable[str], new: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """Set `stands_for_stay` of new rows, each with its stay, and move it among the rows of `known` stays.

    Of the rows of a stay and target that are the latest of their points, the one as of the latest time
    stands for the stay: at discharge what was predicted at admission is over.
    """
    columns = PREDICTED_TARGETS.c
    kept = connection.execute(
        select(
            PREDICTIONS.c.stay_id,
            columns.target,
            columns.as_of,
            columns.prediction_id,
            columns.stands_for_stay,
        )
        .join(PREDICTIONS, PREDICTIONS.c.id == columns.prediction_id)
        .where(PREDICTIONS.c.stay_id.in_(sorted(known)), columns.is_latest.is_(True))
    ).all()
    first: dict[tuple[str, str], _Standing] = {}
    for stay_id, target, as_of, prediction_id, _ in kept:
        _stand(first, (stay_id, target), (as_of, prediction_id))
    for stay_id, row in new:
        if row["is_latest"]:
            _stand(first, (stay_id, row["target"]), (row["as_of"], row["prediction_id"]))
    for stay_id, row in new:
        row["stands_for_stay"] = first.get((stay_id, row["target"])) == (row["as_of"], row["prediction_id"])
    moved = [
        {"of_prediction": prediction_id, "of_target": target, "stands": not stands}
        for stay_id, target, as_of, prediction_id, stands in kept
        if stands != (first[stay_id, target] == (as_of, prediction_id))
    ]
    if moved:
        connection.execute(
            update(PREDICTED_TARGETS)
            .where(
                columns.prediction_id == bindparam("of_prediction"), columns.target == bindparam("of_target")
            )
            .values(stands_for_stay=bindparam("stands")),
            moved,
        )


def _stand(first: dict[tuple[str, str], _Standing], key: tuple[str, str], standing: _Standing) -> None:
    first[key] = max(first.get(key, standing), standing)
