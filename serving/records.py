"""Whether the rows of a request fit together: one patient, known stays, no key twice, possible times."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence

from features.points import Point
from features.tables import TABLES
from serving.problems import FieldError

Rows = Sequence[Mapping[str, object]]

# What must be known of the stay that is asked about, at each prediction point.
_NEEDED_AT = {
    Point.PREADMISSION: "booked_at",
    Point.ADMISSION: "admitted_at",
    Point.DISCHARGE: "discharged_at",
}


def record_errors(stay_id: str, tables: Mapping[str, Rows]) -> list[FieldError]:
    """Every way in which the rows do not fit together, by path and number, without a value.

    All times are local.
    """
    patients, stays = tables["patients"], tables["stays"]
    if len(patients) != 1:
        return [FieldError("records.patients", f"has {len(patients)} rows; send exactly one patient")]
    errors = [error for name, rows in tables.items() for error in _repeated_keys(name, rows)]
    errors += _foreign_rows(patients[0]["patient_id"], tables)
    errors += _impossible_times(stays)
    if all(stay["stay_id"] != stay_id for stay in stays):
        errors.append(FieldError("stay_id", "names a stay that is not in records.stays"))
    return errors


def time_errors(
    stay_id: str, point: Point, prediction_time: dt.datetime | None, stays: Rows
) -> Iterator[FieldError]:
    """What the stay that is asked about lacks to be predicted at a time.

    A stay that has not ended may be asked about at discharge if the request says as of when.
    """
    is_open_question = point is Point.DISCHARGE and prediction_time is not None
    needed = "admitted_at" if is_open_question else _NEEDED_AT[point]
    for position, stay in enumerate(stays):
        if stay["stay_id"] != stay_id:
            continue
        if stay[needed] is None:
            message = f"is required to predict at {point.value}"
            yield FieldError(f"records.stays.{position}.{needed}", message)
        elif point is not Point.PREADMISSION and _is_before(prediction_time, stay["admitted_at"]):
            yield FieldError("prediction_time", "lies before the admission; leave it out or send a later one")


def status_errors(stay_id: str, point: Point, stays: Rows) -> Iterator[FieldError]:
    """A stay that never began has no admission or discharge to predict at, whatever its times say."""
    for position, stay in enumerate(stays):
        is_admitted = stay["status"] in ("in", "discharged")
        if stay["stay_id"] == stay_id and point is not Point.PREADMISSION and not is_admitted:
            message = f"must be in or discharged to predict at {point.value}; leave it out to have it derived"
            yield FieldError(f"records.stays.{position}.status", message)


def _foreign_rows(patient_id: object, tables: Mapping[str, Rows]) -> Iterator[FieldError]:
    # A row may belong to no stay where its table allows that.
    known_stays = {stay["stay_id"] for stay in tables["stays"]} | {None}
    for name, rows in tables.items():
        columns = TABLES[name].by_name
        if "patient_id" in columns:
            foreign = _where(rows, lambda row: row["patient_id"] != patient_id)
            yield from _reported(name, "patient_id", foreign, "another patient than records.patients")
        if "stay_id" in columns:
            unknown = _where(rows, lambda row: row["stay_id"] not in known_stays)
            yield from _reported(name, "stay_id", unknown, "a stay that is not in records.stays")


def _where(rows: Rows, is_bad: Callable[[Mapping[str, object]], bool]) -> list[int]:
    return [position for position, row in enumerate(rows) if is_bad(row)]


def _reported(table: str, column: str, positions: list[int], what: str) -> list[FieldError]:
    if not positions:
        return []
    rows = "1 row names" if len(positions) == 1 else f"{len(positions)} rows name"
    return [FieldError(f"records.{table}.{positions[0]}.{column}", f"{rows} {what}; this is the first")]


def _repeated_keys(table: str, rows: Rows) -> Iterator[FieldError]:
    key = TABLES[table].key
    seen: set[tuple[object, ...]] = set()
    for position, row in enumerate(rows):
        value = tuple(row[column] for column in key)
        if key and value in seen:
            yield FieldError(f"records.{table}.{position}", f"repeats the {', '.join(key)} of an earlier row")
            return
        seen.add(value)


def _impossible_times(stays: Rows) -> Iterator[FieldError]:
    for position, stay in enumerate(stays):
        admitted_at, discharged_at = stay["admitted_at"], stay["discharged_at"]
        if isinstance(discharged_at, dt.datetime):
            place = f"records.stays.{position}"
            if not isinstance(admitted_at, dt.datetime):
                yield FieldError(f"{place}.admitted_at", "is required for a stay with a discharge")
            elif discharged_at < admitted_at:
                yield FieldError(f"{place}.discharged_at", "lies before the admission")


def _is_before(instant: dt.datetime | None, other: object) -> bool:
    return instant is not None and isinstance(other, dt.datetime) and instant < other
