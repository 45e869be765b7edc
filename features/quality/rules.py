"""The rules that a row must keep; one that breaks a rule is quarantined with the rule's name.

A condition is SQL over the typed row `t`, its kept patient `p` and its kept stay `s` (null where there
is none). A row gets the first rule that it breaks, in the order of `WHAT_TO_DO`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from features.codes import DIAGNOSIS_SYSTEMS, PROCEDURE_SYSTEMS
from features.dataset import Declaration
from features.quality.staged import CODED_TABLES
from features.tables import Column, Table

WHAT_TO_DO: dict[str, str] = {
    "unreadable": "Write values that can be read: ISO dates and times, plain numbers, true or false.",
    "missing_value": "Fill in the required value, or leave the row out of the extract.",
    "not_allowed": "Map the value to one of those that the data contract allows.",
    "negative": "Correct the number: it lies below the smallest value that the column can take.",
    "too_large": "Correct the number: it lies above the largest value that the column can take.",
    "too_long": "Correct the text: it is longer than any identifier, code or name is.",
    "control_characters": "Remove line breaks, tabs and other control characters from the identifier.",
    "impossible_date": "Correct the date, or leave it empty where it is not known or still open.",
    "unknown_patient": "Add or correct the patient that the row names.",
    "unknown_stay": "Add or correct the stay that the row names.",
    "died_before_birth": "Correct the dates of birth and death.",
    "code_outside_system": "Correct the code, or declare the code system that it belongs to.",
    "discharged_before_admitted": "Correct the times of admission and discharge.",
    "ended_before_started": "Correct the times of start and end.",
    "after_observation": "Correct the time, or declare a later observed_until.",
    "status_contradicts": "Correct the status, or add the time of admission or discharge.",
    "age_unknown": "Add the patient's birth date, or age_years.",
    "born_after_admission": "Correct the birth date or the time of admission.",
    "too_old": "Correct the birth date or the time of admission: nobody is 131 years old.",
    "before_birth": "Correct the time, the patient that the row names, or the birth date.",
    "after_death": "Correct the time, the patient that the row names, or the date of death.",
    "beyond_total": "Correct the charges or the stay's total: the categories add up to more than it.",
}

EVENT_COLUMNS = {
    "procedures": "performed_at",
    "charges": "incurred_on",
    "observations": "taken_at",
    "medications": "started_at",
    "visits": "visited_at",
}

# Upper case, dots removed. An X fills the fourth place of a three-character code (I10.X); the Chinese
# editions append digits and an X extension (I10.x00x002).
CODE_FORMS: dict[str, str] = {
    "icd10": "[A-Z][0-9]{2}([0-9X][0-9]?)?[+*]?",
    "icd10cm": "[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}",
    "icd10gb": "[A-Z][0-9]{2}([0-9X][0-9]{0,2})?(X[0-9]{3})?[+*]?",
    "icd10cn_insurance": "[A-Z][0-9]{2}([0-9X][0-9]{0,2})?(X[0-9]{3})?[+*]?",
    "icd9cm": "([0-9]{3}[0-9]{0,2}|V[0-9]{2}[0-9]{0,2}|E[0-9]{3}[0-9]?)",
    "icd9cm3": "[0-9]{2}[0-9X]{0,4}(X[0-9]{3})?",
    "icd10pcs": "[0-9A-HJ-NP-Z]{7}",
}
MAX_LENGTH = {"identifier": 200, "text": 10_000}
"""Characters beyond which a value is no identifier (or code), or no text of a record: a file that slipped."""

EARLIEST_YEAR = 1900
"""No electronic record is older: an earlier date stands for an unknown one."""

YEARS_AHEAD = 10
"""Planned admissions, deaths that a registry adds later and the like lie within as many years of the
extract's end; a later date, such as 9999-12-31, stands for an open end."""

LONGEST_LIFE_YEARS = 130
"""As for `age_years`: nobody is known to have lived as long."""

DAYS_BEFORE_BIRTH = 280
"""Findings of the pregnancy may be filed with the child."""

DAYS_AFTER_DEATH = 30
"""Results, charges and letters follow a death for some weeks."""

ADMISSION_DAYS_AFTER_DEATH = 1
"""A donor, or a death that was entered a day early."""

BEYOND_TOTAL = 1.01
"""Charges beyond this multiple of the stay's total contradict it; less is rounding."""

_SYSTEMS = {"diagnoses": DIAGNOSIS_SYSTEMS, "procedures": PROCEDURE_SYSTEMS}


@dataclass(frozen=True)
class Condition:
    """When a row breaks a rule: SQL over the row; `column` where the rule is one of single columns."""

    rule: str
    sql: str
    column: str = ""

    @property
    def reason(self) -> str:
        """The rule's name, with the column where there is one: what stands beside a quarantined row."""
        return f"{self.rule}: {self.column}" if self.column else self.rule


def conditions(table: Table, declaration: Declaration) -> list[Condition]:
    """Every way to break a rule, in the order of `WHAT_TO_DO`: a row gets the first that holds."""
    found = [
        *_column_conditions(table),
        *_date_conditions(table, declaration),
        *_row_conditions(table, declaration),
    ]
    order = list(WHAT_TO_DO)
    return sorted(found, key=lambda condition: order.index(condition.rule))


def is_identifier(column: Column) -> bool:
    """Whether a column's values name a person, a stay, a place or a code: short, and on one line."""
    return column.name.endswith("_id") or column.name == "code"


def _column_conditions(table: Table) -> Iterator[Condition]:
    for column in table.columns:
        name = column.name
        if column.type != "text":
            yield Condition("unreadable", f"t._unreadable = '{name}'", name)
        if column.required:
            yield Condition("missing_value", f't."{name}" IS NULL', name)
        if column.allowed:
            allowed = ", ".join(repr(value) for value in column.allowed)
            yield Condition("not_allowed", f't."{name}" NOT IN ({allowed})', name)
        if column.minimum is not None:
            yield Condition("negative", f't."{name}" < {column.minimum:g}', name)
        if column.maximum is not None:
            yield Condition("too_large", f't."{name}" > {column.maximum:g}', name)
        if column.type == "text" and not column.allowed:
            longest = MAX_LENGTH["identifier" if is_identifier(column) else "text"]
            yield Condition("too_long", f't."{name}" IS NOT NULL AND length(t."{name}") > {longest}', name)
            if is_identifier(column):
                yield Condition(
                    "control_characters", f"regexp_matches(t.\"{name}\", '[\\x00-\\x1f\\x7f]')", name
                )


def _date_conditions(table: Table, declaration: Declaration) -> Iterator[Condition]:
    """Dates that no record of the extract's time can hold; shifted ones may lie anywhere."""
    since, until = declaration.observed_from, declaration.observed_until
    if not declaration.has_calendar or since is None or until is None:
        return
    for column in table.columns:
        if column.type in ("date", "instant"):
            first = since.year - LONGEST_LIFE_YEARS if column.name == "birth_date" else EARLIEST_YEAR
            beyond = until.year + YEARS_AHEAD + 1
            sql = (
                f"t.\"{column.name}\" < DATE '{first}-01-01' OR t.\"{column.name}\" >= DATE '{beyond}-01-01'"
            )
            yield Condition("impossible_date", sql, column.name)


def _row_conditions(table: Table, declaration: Declaration) -> Iterator[Condition]:
    found = _reference_conditions(table)
    if table.name in CODED_TABLES:
        found["code_outside_system"] = _code_condition(table, declaration)
    if table.name == "patients":
        found["died_before_birth"] = "t.death_date < t.birth_date"
    elif table.name == "stays":
        found |= _stay_conditions(declaration)
    elif table.name in EVENT_COLUMNS:
        found |= _event_conditions(table, declaration)
    for rule, sql in found.items():
        if sql:
            yield Condition(rule, sql)


def after_observation(instant: str, declaration: Declaration) -> str:
    """SQL: the instant lies after the end of the day `observed_until`; empty where none is declared."""
    if declaration.observed_until is None:
        return ""
    return f"CAST({instant} AS DATE) > DATE '{declaration.observed_until}'"


def _any(parts: Iterable[str]) -> str:
    return " OR ".join(part for part in parts if part)


def _reference_conditions(table: Table) -> dict[str, str]:
    if table.name == "patients" or table.owner is None:
        return {}
    if table.owner == "stay_id":
        return {"unknown_stay": "s.stay_id IS NULL"}
    unknown = {"unknown_patient": "p.patient_id IS NULL"}
    if table.name != "stays" and "stay_id" in table.by_name:
        other = "s.stay_id IS NULL OR s.patient_id <> t.patient_id"
        unknown["unknown_stay"] = f"t.stay_id IS NOT NULL AND ({other})"
    return unknown


def _code_condition(table: Table, declaration: Declaration) -> str:
    systems = declaration.code_systems
    declared = systems.diagnosis if table.name == "diagnoses" else systems.procedure
    default = f"'{declared}'" if declared else "''"
    forms = " ".join(
        f"WHEN '{name}' THEN regexp_full_match(t.code, '{CODE_FORMS[name]}')" for name in _SYSTEMS[table.name]
    )
    return f"NOT (CASE coalesce(t.code_system, {default}) {forms} ELSE false END)"


def _stay_conditions(declaration: Declaration) -> dict[str, str]:
    dated = declaration.has_timeline
    # An extract by admission holds stays that ended later; one by discharge does not.
    observed = ("admitted_at", *(("discharged_at",) if declaration.complete_by == "discharge" else ()))
    came = "coalesce(t.admitted_at, t.planned_admission_at, t.booked_at)"
    undated = (
        "(t.status = 'discharged' AND t.discharged_at IS NULL)"
        " OR (t.status IN ('in', 'discharged') AND t.admitted_at IS NULL)"
    )
    return {
        "discharged_before_admitted": "t.discharged_at < t.admitted_at",
        "after_observation": _any(after_observation(f"t.{column}", declaration) for column in observed),
        "status_contradicts": undated if dated else "",
        "age_unknown": f"t.age_years IS NULL AND (p.birth_date IS NULL OR {came} IS NULL)",
        "born_after_admission": "p.birth_date > CAST(t.admitted_at AS DATE)",
        "too_old": f"t.admitted_at >= p.birth_date + INTERVAL {LONGEST_LIFE_YEARS + 1} YEAR",
        "after_death": f"CAST(t.admitted_at AS DATE) > p.death_date + {ADMISSION_DAYS_AFTER_DEATH}",
    }


def _event_conditions(table: Table, declaration: Declaration) -> dict[str, str]:
    """An event lies within the life of its patient, who is that of its stay where it names no other."""
    at, patient = f"CAST(t.{EVENT_COLUMNS[table.name]} AS DATE)", "s" if table.owner == "stay_id" else "p"
    after_death = f"{at} > {patient}.death_date + {DAYS_AFTER_DEATH}"
    found = {
        "after_observation": _event_condition(table, declaration),
        "before_birth": f"{at} < {patient}.birth_date - {DAYS_BEFORE_BIRTH}",
        # What was booked is not called off by a death.
        "after_death": f"t.is_planned IS NOT TRUE AND {after_death}"
        if table.name == "procedures"
        else after_death,
    }
    if table.name == "medications":
        found["ended_before_started"] = "CAST(t.ended_at AS DATE) < CAST(t.started_at AS DATE)"
    return found


def _event_condition(table: Table, declaration: Declaration) -> str:
    after = after_observation(f"t.{EVENT_COLUMNS[table.name]}", declaration)
    if declaration.complete_by == "admission" and after and "stay_id" in table.by_name:
        # A stay of such an extract may go on after the last day, and so may what belongs to it.
        after = f"t.stay_id IS NULL AND {after}"
    if after and table.name == "procedures":
        # A booked procedure may lie ahead, like a booked stay.
        return f"t.is_planned IS NOT TRUE AND {after}"
    return after
