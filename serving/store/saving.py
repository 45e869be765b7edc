"""How predictions are put beside those that are stored, and which of them is the latest."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, text, update

from serving.database.tables import PREDICTED_TARGETS, PREDICTIONS
from serving.problems import FieldError, invalid
from serving.reasons.sentences import value_of
from serving.store.standing import mark_standing
from serving.store.stored import Key, Stored

# Any number that no other program locks: it marks whoever decides which predictions are the latest.
_SAVE_LOCK = 7_281_950_156

_Place = tuple[dt.datetime, int]


def save(connection: Connection, answers: Sequence[Stored], *, skip_repeated: bool) -> int:
    """Store the answers in a transaction that writes; returns how many were stored.

    With `skip_repeated` those are left out that say what the stored one before them says.
    """
    if connection.dialect.name == "postgresql":
        # Two who save the same stay at once would both take theirs for the latest.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SAVE_LOCK})
    earlier = _places(connection, {answer.stay_id for answer in answers})
    if skip_repeated:
        answers = _without_repeated(connection, answers, earlier)
    if answers:
        _insert(connection, answers, earlier)
    return len(answers)


def check_texts(answers: Iterable[Stored]) -> None:
    """Refuse identifiers that cannot be stored. Raises Problem (422)."""
    # PostgreSQL takes every character but this one; both databases shall take the same.
    for answer in answers:
        for field, value in (("stay_id", answer.stay_id), ("department", answer.department)):
            if "\0" in (value or ""):
                raise invalid([FieldError(field, "holds the character NUL, which cannot be stored")])


def _places(connection: Connection, stay_ids: Iterable[str]) -> dict[Key, list[_Place]]:
    """Where the stored predictions of these stays stand in their history, the latest last."""
    columns = PREDICTIONS.c
    rows = connection.execute(
        select(columns.id, columns.stay_id, columns.prediction_point, columns.scored_at).where(
            columns.stay_id.in_(sorted(stay_ids))
        )
    )
    places: dict[Key, list[_Place]] = {}
    for row in rows:
        places.setdefault((row.stay_id, row.prediction_point), []).append((row.scored_at, row.id))
    return {key: sorted(found) for key, found in places.items()}


def _without_repeated(
    connection: Connection, answers: Sequence[Stored], earlier: Mapping[Key, Sequence[_Place]]
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
    timeless = {name: value for name, value in answer.kept.items() if name != "scored_at"}
    return timeless | {"department": answer.department}


def _insert(
    connection: Connection, answers: Sequence[Stored], earlier: Mapping[Key, Sequence[_Place]]
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
            .values(is_latest=False, stands_for_stay=False)
        )
    rows = [
        (answer.stay_id, row)
        for answer, new in zip(answers, ids, strict=True)
        for row in _target_rows(answer, new, is_latest=latest[answer.key][1] == new)
    ]
    mark_standing(connection, {stay_id for stay_id, _ in earlier}, rows)
    if rows:
        connection.execute(insert(PREDICTED_TARGETS), [row for _, row in rows])


def _row(answer: Stored, now: dt.datetime) -> dict[str, object]:
    return {
        "stay_id": answer.stay_id,
        "episode_id": answer.episode_id,
        "prediction_point": answer.key[1],
        "prediction_time": answer.prediction_time,
        "department": answer.department,
        "document": json.dumps(answer.kept, allow_nan=False, ensure_ascii=False, separators=(",", ":")),
        "provisional": answer.document["provisional"],
        "scored_at": answer.scored_at,
        "stored_at": now,
        "stored_by": answer.stored_by,
    }


def _target_rows(answer: Stored, prediction_id: int, *, is_latest: bool) -> Iterator[dict[str, Any]]:
    for prediction in answer.document["predictions"]:
        yield {
            "prediction_id": prediction_id,
            "target": prediction["target"],
            "value": value_of(prediction),
            "band": prediction["band"],
            "percentile": prediction["percentile"],
            "model": prediction["model"],
            "prediction_point": answer.key[1],
            "department": answer.department,
            "as_of": answer.prediction_time or answer.scored_at.astimezone(dt.UTC).replace(tzinfo=None),
            "is_latest": is_latest,
        }
