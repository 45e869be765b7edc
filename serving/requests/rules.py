"""The rules of the check of a data set, for the rows of one patient: what it would quarantine is refused.

The check has them in the data engine's language, which takes longer to plan than a request may take. They
stand here again, by the same names and with the same limits; `tests/parity/test_rules.py` holds them equal.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from features.dataset import CodeSystems
from features.quality.rules import (
    ADMISSION_DAYS_AFTER_DEATH,
    BEYOND_TOTAL,
    CODE_FORMS,
    DAYS_AFTER_DEATH,
    DAYS_BEFORE_BIRTH,
    EVENT_COLUMNS,
    LONGEST_LIFE_YEARS,
)
from features.tables import Table
from serving.requests.schema import REQUEST_TABLES

Row = Mapping[str, Any]
Rows = Sequence[Row]
Tables = Mapping[str, Rows]

BY_FORM = (
    "unreadable",
    "missing_value",
    "not_allowed",
    "negative",
    "too_large",
    "too_long",
    "control_characters",
)
"""Rules of single values, which the types of a request's fields keep.

They refuse more than the check: types are not guessed, and no text holds a control character, since what is
stored of an answer must be text to every database."""

NOT_OF_A_REQUEST: Mapping[str, str] = MappingProxyType(
    {
        "impossible_date": "its years are counted from the days between which a data set is complete",
        "after_observation": "a request does not say until when its records are complete",
    }
)
"""Rules that say nothing of a request, and why."""

_FORMS = {system: re.compile(form) for system, form in CODE_FORMS.items()}


@dataclass(frozen=True)
class Known:
    """What rows are held against: their one patient, the stays, and what goes for all rows.

    `systems` are those of codes that are sent without one, by table; `overcharged` are the stays whose
    charges add up to more than their total; undated records need no times.
    """

    patient: Row
    stay_ids: frozenset[object]
    systems: Mapping[str, str | None]
    overcharged: frozenset[object]
    is_dated: bool


@dataclass(frozen=True)
class Rule:
    """A rule of the check by its name there: which field of a row is told to break it, when, in what words.

    The words follow the number of rows: `verb` is of one row and of many.
    """

    name: str
    column: str
    is_broken: Callable[[Row, Known], bool]
    verb: tuple[str, str]
    what: str


def known_of(tables: Tables, systems: CodeSystems, *, is_dated: bool) -> Known:
    """What the rows of `tables` are held against; they have exactly one patient."""
    return Known(
        tables["patients"][0],
        frozenset(stay["stay_id"] for stay in tables["stays"]),
        {"diagnoses": systems.diagnosis, "procedures": systems.procedure},
        _overcharged(tables.get("charges", ()), tables["stays"]),
        is_dated,
    )


def _overcharged(charges: Rows, stays: Rows) -> frozenset[object]:
    # Antimicrobials are a part of drugs.
    sums: dict[tuple[object, bool], Decimal] = defaultdict(Decimal)
    for row in charges:
        sums[row["stay_id"], row["category"] == "antimicrobials"] += row["amount"]
    totals = {stay["stay_id"]: stay["total_cost"] for stay in stays if stay["total_cost"] is not None}
    limit = Decimal(str(BEYOND_TOTAL))
    return frozenset(
        stay_id
        for stay_id, total in totals.items()
        if max(sums[stay_id, True], sums[stay_id, False]) > total * limit
    )


def _rules(table: Table) -> Iterator[Rule]:
    name, columns = table.name, table.by_name
    if "patient_id" in columns and name != "patients":
        yield Rule("unknown_patient", "patient_id", _is_of_another, ("names", "name"),
                   "another patient than records.patients")  # fmt: skip
    if "stay_id" in columns and name != "stays":
        yield Rule("unknown_stay", "stay_id", _is_of_no_stay, ("names", "name"),
                   "a stay that is not in records.stays")  # fmt: skip
    if name == "patients":
        yield Rule("died_before_birth", "death_date", _died_before_birth, ("lies", "lie"),
                   "before the birth_date")  # fmt: skip
    if name == "stays":
        yield from _STAY_RULES
    if name in ("diagnoses", "procedures"):
        yield from _code_rules(name)
    if name in EVENT_COLUMNS:
        yield from _event_rules(name)
    if name == "medications":
        yield Rule("ended_before_started", "ended_at", _ended_before_started, ("lies", "lie"),
                   "before the start")  # fmt: skip
    if name == "charges":
        yield Rule("beyond_total", "amount", lambda row, known: row["stay_id"] in known.overcharged,
                   ("adds", "add"), "up to more than the stay's total_cost")  # fmt: skip


def _is_of_another(row: Row, known: Known) -> bool:
    return bool(row["patient_id"] != known.patient["patient_id"])


def _is_of_no_stay(row: Row, known: Known) -> bool:
    # None only where the table allows it.
    return row["stay_id"] is not None and row["stay_id"] not in known.stay_ids


def _died_before_birth(row: Row, _known: Known) -> bool:
    return _is_before(row["death_date"], row["birth_date"])


def _ended_before_started(row: Row, _known: Known) -> bool:
    return _is_before(_day(row["ended_at"]), _day(row["started_at"]))


def _discharged_before_admitted(row: Row, _known: Known) -> bool:
    return _is_before(row["discharged_at"], row["admitted_at"])


def _contradicts_its_times(row: Row, known: Known) -> bool:
    is_endless = row["status"] == "discharged" and row["discharged_at"] is None
    is_unbegun = row["status"] in ("in", "discharged") and row["admitted_at"] is None
    return known.is_dated and (is_endless or is_unbegun)


def _has_no_age(row: Row, known: Known) -> bool:
    dates = (row["admitted_at"], row["planned_admission_at"], row["booked_at"])
    return row["age_years"] is None and (known.patient["birth_date"] is None or not any(dates))


def _is_unborn(row: Row, known: Known) -> bool:
    return _is_before(_day(row["admitted_at"]), known.patient["birth_date"])


def _is_too_old(row: Row, known: Known) -> bool:
    birth_date, admitted_on = known.patient["birth_date"], _day(row["admitted_at"])
    if birth_date is None or admitted_on is None:
        return False
    return admitted_on >= _years_after(birth_date, LONGEST_LIFE_YEARS + 1)


def _is_admitted_dead(row: Row, known: Known) -> bool:
    return _is_after_death(row["admitted_at"], known, ADMISSION_DAYS_AFTER_DEATH)


_STAY_RULES = (
    Rule("discharged_before_admitted", "discharged_at", _discharged_before_admitted, ("lies", "lie"),
         "before the admission"),
    Rule("status_contradicts", "status", _contradicts_its_times, ("has", "have"),
         "no time of admission or discharge for it"),
    Rule("age_unknown", "age_years", _has_no_age, ("has", "have"),
         "no age: send the patient's birth_date, or age_years with every stay"),
    Rule("born_after_admission", "admitted_at", _is_unborn, ("lies", "lie"),
         "before the patient's birth_date"),
    Rule("too_old", "admitted_at", _is_too_old, ("lies", "lie"),
         f"more than {LONGEST_LIFE_YEARS} years after the patient's birth_date"),
    Rule("after_death", "admitted_at", _is_admitted_dead, ("lies", "lie"),
         "after the patient's death_date"),
)  # fmt: skip


def _code_rules(table: str) -> Iterator[Rule]:
    def has_no_system(row: Row, known: Known) -> bool:
        return (row["code_system"] or known.systems[table]) is None

    def is_malformed(row: Row, known: Known) -> bool:
        system = row["code_system"] or known.systems[table]
        return system is not None and not _FORMS[system].fullmatch(row["code"])

    yield Rule("code_outside_system", "code_system", has_no_system, ("has", "have"),
               "no code system, and the models have none for this table")  # fmt: skip
    yield Rule("code_outside_system", "code", is_malformed, ("has", "have"),
               "a code that has not the form of its code system")  # fmt: skip


def _event_rules(table: str) -> Iterator[Rule]:
    column = EVENT_COLUMNS[table]

    def is_before_birth(row: Row, known: Known) -> bool:
        on, birth_date = _day(row[column]), known.patient["birth_date"]
        return on is not None and birth_date is not None and (birth_date - on).days > DAYS_BEFORE_BIRTH

    def is_after_death(row: Row, known: Known) -> bool:
        # What was booked is not called off by a death.
        return not row.get("is_planned") and _is_after_death(row[column], known, DAYS_AFTER_DEATH)

    yield Rule("before_birth", column, is_before_birth, ("lies", "lie"),
               f"more than {DAYS_BEFORE_BIRTH} days before the patient's birth_date")  # fmt: skip
    yield Rule("after_death", column, is_after_death, ("lies", "lie"),
               f"more than {DAYS_AFTER_DEATH} days after the patient's death_date")  # fmt: skip


def _is_after_death(moment: dt.date | None, known: Known, days: int) -> bool:
    on, death_date = _day(moment), known.patient["death_date"]
    return on is not None and death_date is not None and (on - death_date).days > days


def _is_before(one: dt.date | None, other: dt.date | None) -> bool:
    return one is not None and other is not None and one < other


def _day(moment: dt.date | None) -> dt.date | None:
    return moment.date() if isinstance(moment, dt.datetime) else moment


def _years_after(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, day=28)


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {name: tuple(_rules(table)) for name, table in REQUEST_TABLES.items()}
)
"""The rules of each table of a request."""
