"""Stored predictions: kept with their history, the latest one of a stay, the list of stays by risk."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, text, update

from features.points import Point
from serving.problems import FieldError, invalid
from serving.store.database import reading, writing
from serving.store.tables import PREDICTED_TARGETS, PREDICTIONS

Sort = Literal["value", "percentile", "prediction_time"]
Band = Literal["low", "medium", "high"]

WORKLIST_DAYS = 30
"""How far back a worklist goes by default: a readmission within 30 days is what most lists are made for,
and 30 days after a discharge it has happened or not."""
MAX_TOP = 500
PRUNED_AT_ONCE = 5_000
_ONE_DAY = dt.timedelta(days=1)
# Any number that no other program locks: it marks whoever decides which predictions are the latest.
_SAVE_LOCK = 7_281_950_156

_Key = tuple[str, str]
_Place = tuple[dt.datetime, int]


@dataclass(frozen=True)
class Stored:
    """An answer as the API gives it, with what it does not say itself: department and episode, if known."""

    document: Mapping[str, Any]
    department: str | None = None
    episode_id: str | None = None

    @property
    def stay_id(self) -> str:
        """The stay that was asked about."""
        return str(self.document["stay_id"])

    @property
    def scored_at(self) -> dt.datetime:
        """When it was predicted."""
        return dt.datetime.fromisoformat(self.document["scored_at"])

    @property
    def prediction_time(self) -> dt.datetime | None:
        """As of when, in local wall time of the data set; None for records without dates."""
        at = self.document["prediction_time"]
        return None if at is None else dt.datetime.fromisoformat(at)

    @property
    def models(self) -> list[str]:
        """The models that predicted, as name/version."""
        return [prediction["model"] for prediction in self.document["predictions"]]

    @property
    def key(self) -> _Key:
        """Of the predictions of one key only the latest stands on a worklist."""
        return self.stay_id, str(self.document["prediction_point"])


@dataclass(frozen=True)
class WorklistRow:
    """One stay on a worklist: its latest prediction of the list's target at a prediction point.

    `prediction` is the target's part of the stored answer.
    """

    stay_id: str
    prediction_point: str
    prediction_time: dt.datetime | None
    department: str | None
    provisional: bool
    prediction: Mapping[str, Any]
    scored_at: dt.datetime


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
        _check_texts(answers)
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                # Two who save the same stay at once would both take theirs for the latest.
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SAVE_LOCK})
            earlier = _places(connection, {answer.stay_id for answer in answers})
            if skip_repeated:
                answers = _without_repeated(connection, answers, earlier)
            if answers:
                _insert(connection, answers, earlier)
        return len(answers)

    def latest(self, stay_id: str, point: Point | None = None) -> Stored | None:
        """The prediction of a stay that was made last, at one point or at any; None if none is stored.

        Raises StoreError.
        """
        if "\0" in stay_id:
            return None
        own = PREDICTIONS.c.stay_id == stay_id
        query = select(PREDICTIONS.c.document, PREDICTIONS.c.department, PREDICTIONS.c.episode_id).where(own)
        if point is not None:
            query = query.where(PREDICTIONS.c.prediction_point == point.value)
        query = query.order_by(PREDICTIONS.c.scored_at.desc(), PREDICTIONS.c.id.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Stored(json.loads(row.document), row.department, row.episode_id)

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
    ) -> list[WorklistRow]:
        """The latest predictions of a target, the highest (or, by `prediction_time`, the newest) first.

        `departments` None: all, the unknown ones too. `since` bounds the prediction time, of records
        without dates the time of scoring; by default it lies `WORKLIST_DAYS` before the newest one, so that
        a data set that ends in the past has its list too. Equal rows: the one stored last first.
        Raises StoreError; ValueError unless `top` is 1 to `MAX_TOP`.
        """
        if not 1 <= top <= MAX_TOP:
            raise ValueError(f"top is not 1 to {MAX_TOP}")
        listed = PREDICTED_TARGETS.c
        with reading(self._engine) as connection:
            since = since or _worklist_start(connection, target)
            if since is None:
                return []
            conditions = [listed.target == target, listed.is_latest.is_(True), listed.as_of >= since]
            if departments is not None:
                conditions.append(listed.department.in_(sorted(departments)))
            if band is not None:
                conditions.append(listed.band == band)
            if point is not None:
                conditions.append(listed.prediction_point == point.value)
            column: ColumnElement[Any] = {
                "value": listed.value,
                "percentile": listed.percentile,
                "prediction_time": listed.as_of,
            }[sort]
            # What is shown is found on the index alone, before any prediction is looked up.
            first = (
                select(listed.prediction_id, column.label("place"))
                .where(*conditions)
                .order_by(column.desc(), listed.prediction_id.desc())
                .limit(top)
                .subquery()
            )
            rows = connection.execute(
                select(PREDICTIONS)
                .join(first, PREDICTIONS.c.id == first.c.prediction_id)
                .order_by(first.c.place.desc(), PREDICTIONS.c.id.desc())
            )
            return [
                WorklistRow(
                    stay_id=row.stay_id,
                    prediction_point=row.prediction_point,
                    prediction_time=row.prediction_time,
                    department=row.department,
                    provisional=row.provisional,
                    prediction=_of_target(json.loads(row.document), target),
                    scored_at=row.scored_at,
                )
                for row in rows
            ]

    def prune(self, before: dt.datetime) -> int:
        """Remove what was scored before an instant, a few thousand at a time; returns how many.

        Of a stay whose latest prediction is younger the older ones go too. Raises StoreError.
        """
        n_removed = 0
        while True:
            with writing(self._engine) as connection:
                some = (
                    select(PREDICTIONS.c.id).where(PREDICTIONS.c.scored_at < before).limit(PRUNED_AT_ONCE)
                ).scalar_subquery()
                removed = connection.execute(delete(PREDICTIONS).where(PREDICTIONS.c.id.in_(some))).rowcount
            n_removed += removed
            if removed < PRUNED_AT_ONCE:
                return n_removed


def _check_texts(answers: Iterable[Stored]) -> None:
    # PostgreSQL takes every character but this one; both databases shall take the same.
    for answer in answers:
        for field, value in (("stay_id", answer.stay_id), ("department", answer.department)):
            if "\0" in (value or ""):
                raise invalid([FieldError(field, "holds the character NUL, which cannot be stored")])


def _places(connection: Connection, stay_ids: Iterable[str]) -> dict[_Key, list[_Place]]:
    """Where the stored predictions of these stays stand in their history, the latest last."""
    columns = PREDICTIONS.c
    rows = connection.execute(
        select(columns.id, columns.stay_id, columns.prediction_point, columns.scored_at).where(
            columns.stay_id.in_(sorted(stay_ids))
        )
    )
    places: dict[_Key, list[_Place]] = {}
    for row in rows:
        places.setdefault((row.stay_id, row.prediction_point), []).append((row.scored_at, row.id))
    return {key: sorted(found) for key, found in places.items()}


def _without_repeated(
    connection: Connection, answers: Sequence[Stored], earlier: Mapping[_Key, Sequence[_Place]]
) -> list[Stored]:
    before = [_before(answer, earlier.get(answer.key, ())) for answer in answers]
    ids = sorted({found for found in before if found is not None})
    columns = PREDICTIONS.c
    rows = connection.execute(
        select(columns.id, columns.document, columns.department).where(columns.id.in_(ids))
    )
    said = {row.id: _saying(Stored(json.loads(row.document), row.department)) for row in rows}
    return [
        answer
        for answer, found in zip(answers, before, strict=True)
        if found is None or said[found] != _saying(answer)
    ]


def _before(answer: Stored, places: Sequence[_Place]) -> int | None:
    """The stored prediction that was the latest when this one was made."""
    return max((place for place in places if place[0] <= answer.scored_at), default=(None, None))[1]


def _saying(answer: Stored) -> dict[str, Any]:
    timeless = {name: value for name, value in answer.document.items() if name != "scored_at"}
    return timeless | {"department": answer.department}


def _insert(
    connection: Connection, answers: Sequence[Stored], earlier: Mapping[_Key, Sequence[_Place]]
) -> None:
    now = dt.datetime.now(dt.UTC)
    returning = insert(PREDICTIONS).returning(PREDICTIONS.c.id, sort_by_parameter_order=True)
    ids = connection.scalars(returning, [_row(answer, now) for answer in answers]).all()
    latest = {key: places[-1] for key, places in earlier.items()}
    superseded = set()
    for answer, new in zip(answers, ids, strict=True):
        place, former = (answer.scored_at, new), latest.get(answer.key)
        if former is None or former < place:
            latest[answer.key] = place
            if former is not None:
                superseded.add(former[1])
    if superseded:
        connection.execute(
            update(PREDICTED_TARGETS)
            .where(PREDICTED_TARGETS.c.prediction_id.in_(sorted(superseded)))
            .values(is_latest=False)
        )
    rows = [
        row
        for answer, new in zip(answers, ids, strict=True)
        for row in _target_rows(answer, new, is_latest=latest[answer.key][1] == new)
    ]
    if rows:
        connection.execute(insert(PREDICTED_TARGETS), rows)


def _row(answer: Stored, now: dt.datetime) -> dict[str, object]:
    return {
        "stay_id": answer.stay_id,
        "episode_id": answer.episode_id,
        "prediction_point": answer.key[1],
        "prediction_time": answer.prediction_time,
        "department": answer.department,
        "document": json.dumps(answer.document, allow_nan=False, ensure_ascii=False, separators=(",", ":")),
        "provisional": answer.document["provisional"],
        "scored_at": answer.scored_at,
        "stored_at": now,
    }


def _target_rows(answer: Stored, prediction_id: int, *, is_latest: bool) -> Iterator[dict[str, object]]:
    for prediction in answer.document["predictions"]:
        yield {
            "prediction_id": prediction_id,
            "target": prediction["target"],
            "value": prediction["probability"] if "probability" in prediction else prediction["expected"],
            "band": prediction["band"],
            "percentile": prediction["percentile"],
            "model": prediction["model"],
            "prediction_point": answer.key[1],
            "department": answer.department,
            "as_of": answer.prediction_time or answer.scored_at.astimezone(dt.UTC).replace(tzinfo=None),
            "is_latest": is_latest,
        }


def _worklist_start(connection: Connection, target: str) -> dt.datetime | None:
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
