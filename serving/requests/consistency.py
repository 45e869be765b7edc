"""Whether the rows of a request fit together and tell what is needed to predict.

One patient, no key twice, every rule of the check of a data set; and what the question needs of its stay.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from features.dataset import CodeSystems
from features.points import Point
from features.tables import TABLES
from serving.problems import FieldError
from serving.requests.rules import RULES, Row, Rows, Rule, Tables, known_of

# What must be known of the stay that is asked about, at each prediction point.
_NEEDED_AT = {
    Point.PREADMISSION: "booked_at",
    Point.ADMISSION: "admitted_at",
    Point.DISCHARGE: "discharged_at",
}


def record_errors(stay_id: str, tables: Tables, systems: CodeSystems, *, is_dated: bool) -> list[FieldError]:
    """Every way in which the rows do not fit together, by path and number, without a value.

    All times are local; a code without a system is of the one in `systems`.
    """
    patients, stays = tables["patients"], tables["stays"]
    if len(patients) != 1:
        return [FieldError("records.patients", f"has {len(patients)} rows; send exactly one patient")]
    errors = [error for name, rows in tables.items() for error in _repeated_keys(name, rows)]
    errors += [
        _error(table, rule, positions)
        for table, rule, positions in broken_rules(tables, systems, is_dated=is_dated)
    ]
    if all(stay["stay_id"] != stay_id for stay in stays):
        errors.append(FieldError("stay_id", "names a stay that is not in records.stays"))
    return errors


def broken_rules(
    tables: Tables, systems: CodeSystems, *, is_dated: bool
) -> Iterator[tuple[str, Rule, list[int]]]:
    """The rules that rows of one patient break: table, rule, and the rows' places."""
    known = known_of(tables, systems, is_dated=is_dated)
    for table, rows in tables.items():
        for rule in RULES[table]:
            positions = [position for position, row in enumerate(rows) if rule.is_broken(row, known)]
            if positions:
                yield table, rule, positions


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
        elif point is not Point.PREADMISSION and _is_before(prediction_time, stay):
            yield FieldError("prediction_time", "lies before the admission; leave it out or send a later one")


def status_errors(stay_id: str, point: Point, stays: Rows) -> Iterator[FieldError]:
    """What the status of the stay that is asked about contradicts.

    A stay that never began has no admission or discharge to predict at, whatever its times say.
    """
    for position, stay in enumerate(stays):
        is_admitted = stay["status"] in ("in", "discharged")
        if stay["stay_id"] == stay_id and point is not Point.PREADMISSION and not is_admitted:
            message = f"must be in or discharged to predict at {point.value}; leave it out to have it derived"
            yield FieldError(f"records.stays.{position}.status", message)


def _error(table: str, rule: Rule, positions: list[int]) -> FieldError:
    rows = f"1 row {rule.verb[0]}" if len(positions) == 1 else f"{len(positions)} rows {rule.verb[1]}"
    return FieldError(
        f"records.{table}.{positions[0]}.{rule.column}", f"{rows} {rule.what}; this is the first"
    )


def _repeated_keys(table: str, rows: Rows) -> Iterator[FieldError]:
    key = TABLES[table].key
    seen: set[tuple[object, ...]] = set()
    for position, row in enumerate(rows):
        value = tuple(row[column] for column in key)
        if key and value in seen:
            yield FieldError(f"records.{table}.{position}", f"repeats the {', '.join(key)} of an earlier row")
            return
        seen.add(value)


def _is_before(instant: dt.datetime | None, stay: Row) -> bool:
    admitted_at = stay["admitted_at"]
    return instant is not None and isinstance(admitted_at, dt.datetime) and instant < admitted_at
