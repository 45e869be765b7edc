"""Stored predictions: kept with their history, the latest one of a stay, the list of stays by risk."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

from sqlalchemy import Engine, exists, select

from features.points import Point
from models.bands import Band
from serving.database.connection import reading, writing
from serving.database.tables import PREDICTED_TARGETS, PREDICTIONS
from serving.store.pruning import prune
from serving.store.saving import check_texts, save
from serving.store.stored import Stored
from serving.store.worklist import Sort, Worklist, WorklistRow, stored_targets, worklist

__all__ = ["PredictionStore", "Stored", "Worklist", "WorklistRow"]


class PredictionStore:
    """Keeps answers in the store's database. May be used from many threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, answers: Sequence[Stored], *, skip_repeated: bool = False) -> int:
        """Keep all answers or, where that fails, none; returns how many were kept. Nothing is replaced.

        With `skip_repeated` an answer is left out that says, but for the time of scoring, what the one
        before it says: scoring the same again leaves the store as it was.
        Raises StoreError if the database fails, Problem (422) for an identifier that it cannot hold.
        """
        check_texts(answers)
        with writing(self._engine) as connection:
            return save(connection, answers, skip_repeated=skip_repeated)

    def latest(
        self,
        stay_id: str,
        point: Point | None = None,
        *,
        target: str | None = None,
        departments: frozenset[str] | None = None,
    ) -> Stored | None:
        """The prediction of a stay that was made last, at one point or at any; None if none is stored.

        With `target` the last one that holds it: not every point predicts the same.

        One of a department that is none of `departments` (None: all) is as one that is not there, and takes
        as long: it is not read.
        Its reasons are without words: `serving.reasons.tell` tells them in a language. Raises StoreError.
        """
        if "\0" in stay_id:
            return None
        own = PREDICTIONS.c.stay_id == stay_id
        made = select(PREDICTIONS.c.id).where(own)
        if point is not None:
            made = made.where(PREDICTIONS.c.prediction_point == point.value)
        if target is not None:
            held = PREDICTED_TARGETS.c
            made = made.where(exists().where(held.prediction_id == PREDICTIONS.c.id, held.target == target))
        last = made.order_by(PREDICTIONS.c.scored_at.desc(), PREDICTIONS.c.id.desc()).limit(1)
        columns = PREDICTIONS.c
        kept = (columns.document, columns.department, columns.episode_id, columns.stored_by)
        query = select(*kept).where(columns.id == last.scalar_subquery())
        if departments is not None:
            query = query.where(PREDICTIONS.c.department.in_(sorted(departments)))
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Stored(json.loads(row.document), row.department, row.episode_id, row.stored_by)

    def worklist(
        self,
        *,
        departments: frozenset[str] | None = None,
        band: Band | None = None,
        target: str = "readmission",
        sort: Sort = "value",
        top: int = 50,
        point: Point | None = None,
        since: dt.datetime | None = None,
    ) -> Worklist:
        """Predictions of a target, the highest (or, by `prediction_time`, the newest) first.

        Of each stay it holds the latest prediction at a `point` or, without one, that of the point which
        it came to last.
        `departments` None: all, the unknown ones too. `since` bounds the prediction time, of records
        without dates the time of scoring; by default it lies `WORKLIST_DAYS` before the newest one, so that
        a data set that ends in the past has its list too. Equal rows: the one stored last first.
        Raises StoreError; ValueError unless `top` is 1 to `MAX_TOP`.
        """
        with reading(self._engine) as connection:
            return worklist(
                connection,
                departments=departments,
                band=band,
                target=target,
                sort=sort,
                top=top,
                point=point,
                since=since,
            )

    def targets(self) -> frozenset[str]:
        """The targets of which a prediction is stored. Raises StoreError."""
        with reading(self._engine) as connection:
            return stored_targets(connection)

    def departments(self) -> frozenset[str]:
        """The departments of which a prediction is stored; takes a second where there are a million.

        Raises StoreError.
        """
        with reading(self._engine) as connection:
            found = connection.scalars(select(PREDICTED_TARGETS.c.department).distinct())
            return frozenset(name for name in found if name is not None)

    def prune(self, before: dt.datetime) -> int:
        """Remove what was scored before an instant; returns how many.

        Of a stay whose latest prediction is younger the older ones go too. Raises StoreError.
        """
        return prune(self._engine, PREDICTIONS, PREDICTIONS.c.scored_at, before)
