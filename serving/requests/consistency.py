"""Whether the rows of a request fit together, by the rules that the check of a data set has too.

One patient, known stays, no key twice, possible times and ages, codes in the form of their system.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

from features.dataset import CodeSystems
from features.points import Point
from features.quality.rules import BEYOND_TOTAL, CODE_FORMS
from features.tables import TABLES
from serving.problems import FieldError

Rows = Sequence[Mapping[str, object]]

_FORMS = {system: re.compile(form) for system, form in CODE_FORMS.items()}

# What must be known of the stay that is asked about, at each prediction point.
_NEEDED_AT = {
    Point.PREADMISSION: "booked_at",
    Point.ADMISSION: "admitted_at",
    Point.DISCHARGE: "discharged_at",
}


def record_errors(stay_id: str, tables: Mapping[str, Rows], systems: CodeSystems) -> list[FieldError]:
    """Every way in which the rows do not fit together, by path and number, without a value.

    All times are local; a code without a system is of the one in `systems`.
    """
    patients, stays = tables["patients"], tables["stays"]
    if len(patients) != 1:
        return [FieldError("records.patients", f"has {len(patients)} rows; send exactly one patient")]
    errors = [error for name, rows in tables.items() for error in _repeated_keys(name, rows)]
    errors += _foreign_rows(patients[0]["patient_id"], tables)
    errors += _impossible_times(stays)
    errors += _impossible_ages(patients[0]["birth_date"], stays)
    errors += _code_errors("diagnoses", tables.get("diagnoses", ()), systems.diagnosis)
    errors += _code_errors("procedures", tables.get("procedures", ()), systems.procedure)
    errors += _charges_beyond_total(tables.get("charges", ()), stays)
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


def status_errors(stay_id: str, point: Point, stays: Rows, *, is_dated: bool) -> Iterator[FieldError]:
    """What the status of stays contradicts: their own times, if they have any, or the question.

    A stay that never began has no admission or discharge to predict at, whatever its times say.
    """
    if is_dated:
        contradicted = _where(stays, _contradicts_its_times)
        yield from _reported(
            "stays", "status", contradicted, "no time of admission or discharge for it", ("has", "have")
        )
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


def _reported(
    table: str, column: str, positions: list[int], what: str, verb: tuple[str, str] = ("names", "name")
) -> list[FieldError]:
    if not positions:
        return []
    rows = f"1 row {verb[0]}" if len(positions) == 1 else f"{len(positions)} rows {verb[1]}"
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


def _contradicts_its_times(stay: Mapping[str, object]) -> bool:
    is_endless = stay["status"] == "discharged" and stay["discharged_at"] is None
    return is_endless or (stay["status"] in ("in", "discharged") and stay["admitted_at"] is None)


def _impossible_ages(birth_date: object, stays: Rows) -> Iterator[FieldError]:
    def is_unknown(stay: Mapping[str, object]) -> bool:
        dates = (stay["admitted_at"], stay["planned_admission_at"], stay["booked_at"])
        return stay["age_years"] is None and (birth_date is None or not any(dates))

    def is_unborn(stay: Mapping[str, object]) -> bool:
        admitted_at = stay["admitted_at"]
        return (
            isinstance(admitted_at, dt.datetime)
            and isinstance(birth_date, dt.date)
            and birth_date > admitted_at.date()
        )

    unknown = "no age: send the patient's birth_date, or age_years with every stay"
    yield from _reported("stays", "age_years", _where(stays, is_unknown), unknown, ("has", "have"))
    unborn = "before the patient's birth_date"
    yield from _reported("stays", "admitted_at", _where(stays, is_unborn), unborn, ("lies", "lie"))


def _code_errors(table: str, rows: Rows, default: str | None) -> Iterator[FieldError]:
    if default is None:
        undeclared = _where(rows, lambda row: row["code_system"] is None)
        what = "no code system, and the models have none for this table"
        yield from _reported(table, "code_system", undeclared, what, ("has", "have"))

    def is_malformed(row: Mapping[str, object]) -> bool:
        system = row["code_system"] or default
        return system is not None and not _FORMS[str(system)].fullmatch(str(row["code"]))

    what = "a code that has not the form of its code system"
    yield from _reported(table, "code", _where(rows, is_malformed), what, ("has", "have"))


def _charges_beyond_total(charges: Rows, stays: Rows) -> Iterator[FieldError]:
    # Antimicrobials are a part of drugs.
    sums: dict[object, Decimal] = defaultdict(Decimal)
    for row in charges:
        if row["category"] != "antimicrobials" and isinstance(row["amount"], Decimal):
            sums[row["stay_id"]] += row["amount"]
    limits = {
        stay["stay_id"]: stay["total_cost"] * Decimal(str(BEYOND_TOTAL))
        for stay in stays
        if isinstance(stay["total_cost"], Decimal)
    }
    beyond = _where(
        stays, lambda stay: stay["stay_id"] in limits and sums[stay["stay_id"]] > limits[stay["stay_id"]]
    )
    yield from _reported("stays", "total_cost", beyond, "charges that add up to more", ("has", "have"))


def _is_before(instant: dt.datetime | None, other: object) -> bool:
    return instant is not None and isinstance(other, dt.datetime) and instant < other
