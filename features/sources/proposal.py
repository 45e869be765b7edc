"""The text of a proposed mapping file, from what is known of a file's columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from features.facts import NAME, RESERVED
from features.sources.described import Column, is_diagnosis, meanings
from features.sources.table_mapping import FileForm, fact_name

_MOST_FACTS = 290
_FEW_VALUES = 20
_SEX = {
    "m": "male",
    "male": "male",
    "f": "female",
    "w": "female",
    "female": "female",
    "u": "unknown",
    "unknown": "unknown",
    "other": "other",
    "o": "other",
    "männlich": "male",
    "weiblich": "female",
    "divers": "other",
    "d": "other",
    "unbekannt": "unknown",
    "男": "male",
    "男性": "male",
    "女": "female",
    "女性": "female",
    "未知": "unknown",
}
_URGENCY = {
    "emergency": "emergency",
    "trauma": "emergency",
    "urgent": "urgent",
    "elective": "elective",
    "planned": "elective",
    "newborn": "newborn",
    "notfall": "emergency",
    "dringend": "urgent",
    "elektiv": "elective",
    "geplant": "elective",
    "急诊": "emergency",
    "not available": "unknown",
    "unknown": "unknown",
}
_DISPOSITION = {
    "home": "home",
    "home or self care": "home",
    "expired": "died",
    "died": "died",
    "dead": "died",
    "hospice": "hospice",
    "nach hause": "home",
    "verstorben": "died",
    "hospiz": "hospice",
    "医嘱离院": "home",
    "死亡": "died",
    "rehabilitation": "rehabilitation",
}


@dataclass(frozen=True)
class _Pattern:
    """Words of a name (as a pattern over the name in lower case with underscores), and what they mean."""

    target: str
    words: str


_TARGETS = (
    _Pattern(
        "patients.patient_id", r"(patient|person|member|bene|subject|pat)_?(id|no|nr|nbr|number|key|num)|mrn"
    ),
    _Pattern(
        "stays.stay_id",
        r"(stay|encounter|visit|admission|adm|case|hadm|episode|discharge|record)_?(id|no|nr|nbr|number|key|num)|id",
    ),
    _Pattern("patients.birth_date", r"(date_of_)?birth(_?(date|day))?|dob|born"),
    _Pattern("patients.death_date", r"(date_of_)?death_?date|date_of_death|dod"),
    _Pattern("patients.sex", r"sex|gender"),
    _Pattern("stays.hospital_id", r"(hospital|facility|provider|site|institution)_?(id|no|code|number)?"),
    _Pattern("stays.booked_at", r"book(ed|ing)(_?(at|date|time|on))?"),
    _Pattern(
        "stays.admitted_at", r"(admit|admitted|admission|adm|arriv(ed|al))(_?(at|date|time|datetime|dt|on))?"
    ),
    _Pattern("stays.discharged_at", r"(discharge|discharged|disch|left)(_?(at|date|time|datetime|dt|on))?"),
    _Pattern("stays.admission_type", r"(type_of_)?admission_?(type)?(_id)?|urgency|admit_type"),
    _Pattern("stays.admission_source", r"admission_source(_id)?|admit_source|source_of_admission"),
    _Pattern(
        "stays.admission_department", r"(admission_)?(department|ward|specialty|service)|medical_specialty"
    ),
    _Pattern("stays.payer", r"payer(_code)?|payor|insurance|payment_typology_1|insurer"),
    _Pattern(
        "stays.discharge_disposition",
        r"(patient_)?(discharge_)?disposition(_id)?|discharged_to|discharge_location",
    ),
    _Pattern("stays.total_cost", r"total_costs?|costs?|totcst|cost_total"),
    _Pattern("stays.payment_group", r"drg(_code)?|ms_drg|dip|payment_group"),
    _Pattern("stays.age_years", r"age(_years|_group|_band|_at_admission)?"),
)
_OUTCOMES = (
    _Pattern("readmission", r".*readmi.*"),
    _Pattern("complication", r".*complicat.*"),
    _Pattern("died_in_hospital", r".*(hospdead|died|expired|death|deceased|mortality).*"),
)
_GROUPS = re.compile(r"(^|_)(race|ethnic[a-z]*|religion|nationality)(_|$)")
_ID_WORDS = re.compile(r"(^|_)(id|no|nr|nbr|number|key|mrn|uuid|guid)$")


def proposed(path: Path, form: FileForm, columns: list[Column]) -> Iterator[str]:
    """The lines of a mapping file for the file at `path`."""
    made = _Proposal({}, set())
    _identities(made, columns)
    _of_patients_and_stays(made, columns)
    _age_needed(made)
    systems = _diagnoses(made, columns)
    _procedures(made, columns)
    facts = list(_facts(made, columns))
    yield "# A proposal of `wardcast ingest table FILE --describe`. It is valid as it stands, and careful:"
    yield "# decide every TODO, and move what is known at admission from discharge to admission."
    yield f"# {columns[0].n_rows} rows, {len(columns)} columns."
    leaks = [column for column in columns if column.leak]
    if leaks:
        yield "#\n# These may tell an outcome by their names. Let none be known before it is:"
        yield from (f"#   {_text(column.name)}: {column.leak}" for column in leaks)
    yield "#\n# The columns:"
    yield from (f"#   {_text(column.name)}: {column.summary()}" for column in columns)
    yield from ("", *_dataset(path, made, systems))
    yield from ("", *_file(form))
    for section in ("patients", "stays"):
        yield from ("", f"[{section}]", *made.sections.get(section, ()))
    yield from made.sections.get("diagnoses", ())
    yield from made.sections.get("procedures", ())
    yield from facts
    yield from _outcomes(columns)


def _text(value: object) -> str:
    """A text as TOML; line breaks in it are escaped, so that it cannot leave its line."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9_-]+", value) else _text(value)


def _inline(settings: dict[str, str]) -> str:
    return f"{{ {', '.join(f'{key} = {value}' for key, value in settings.items())} }}"


@dataclass
class _Proposal:
    """The lines of each section, and the columns that are spoken for."""

    sections: dict[str, list[str]]
    used: set[str]

    def add(self, target: str, line: str, *columns: Column) -> None:
        """A line of the section that `target` begins with."""
        self.sections.setdefault(target.split(".")[0], []).append(line)
        self.used |= {column.name for column in columns}

    def say(self, target: str, column: Column | None, settings: dict[str, str], todo: str = "") -> None:
        """One canonical column; `settings` beside the column."""
        name = target.split(".")[1]
        columns = (column,) if column else ()
        own = {"column": _text(column.name), **settings} if column else settings
        value = own["column"] if list(own) == ["column"] else _inline(own)
        self.add(target, f"{name} = {value}" + (f"  # TODO {todo}" if todo else ""), *columns)


def _dataset(path: Path, made: _Proposal, systems: str) -> Iterator[str]:
    yield "[dataset]"
    yield f"name = {_text(fact_name(path.name.split('.')[0]) or 'dataset')}"
    yield 'source = "table 1"  # TODO where the file comes from'
    yield 'currency = "XXX"  # TODO three letters, such as EUR'
    yield 'cost_basis = "billed"  # TODO billed, cost or paid'
    yield 'time_zone = "UTC"  # TODO such as Europe/Berlin'
    dated = any("admitted_at" in line for line in made.sections.get("stays", ()))
    yield 'timeline = "none"' + ('  # TODO "real", with the two lines below' if dated else "")
    if dated:
        yield "# observed_from = 2020-01-01  # TODO the file is complete from here"
        yield "# observed_until = 2020-12-31  # TODO to here"
    yield 'complete_by = "discharge"  # TODO admission, if patients still in hospital are in the file'
    yield 'deaths = "in_hospital"  # TODO registry, if deaths after the discharge are known'
    yield f"code_systems = {systems}"


def _file(form: FileForm) -> Iterator[str]:
    yield "[file]"
    if form.delimiter:
        yield f"delimiter = {_text(form.delimiter)}"
    guessed = "" if form.encoding == "utf-8" else "  # TODO a guess: do the texts read well?"
    yield f"encoding = {_text(form.encoding)}{guessed}"
    signs = ", ".join(_text(sign) for sign in form.empty)
    yield f"empty = [{signs}]" + ("  # TODO do these mean: not known?" if form.empty != ("",) else "")
    if form.member:
        yield f"member = {_text(form.member)}"


def _identities(made: _Proposal, columns: list[Column]) -> None:
    named = [each for each in columns if _fits("patients.patient_id", each)]
    # A name may be of the patient in one house and of the stay in the next: what repeats is the patient.
    certain = [each for each in named if not (_fits("stays.stay_id", each) and each.is_unique)]
    patient = next(iter(certain), None)
    rest = [each for each in columns if each is not patient and each.is_unique]
    stay = next((each for each in rest if _fits("stays.stay_id", each)), None)
    row = {"row_number": "true"}
    if patient:
        made.say("patients.patient_id", patient, {}, "" if patient.n_missing == 0 else "some are empty")
    else:
        alone = "no column names the patient: each row counts as a patient of its own"
        made.say("patients.patient_id", None, row, alone)
    if stay:
        made.say("stays.stay_id", stay, {})
    elif patient and patient.is_unique:
        made.say("stays.stay_id", patient, {}, "one row a patient?")
    else:
        made.say("stays.stay_id", None, row, "no column names the stay")


def _of_patients_and_stays(made: _Proposal, columns: list[Column]) -> None:
    for pattern in _TARGETS:
        if pattern.target in ("patients.patient_id", "stays.stay_id"):
            continue
        fitting = [each for each in columns if each.name not in made.used and _fits(pattern.target, each)]
        if not fitting:
            continue
        _one_target(made, pattern.target, fitting[0])
        for other in fitting[1:]:
            name = pattern.target.split(".")[1]
            made.add(pattern.target, f"# or {name} = {_text(other.name)}")


def _fits(target: str, column: Column) -> bool:
    """Whether the name is one of the target's and the content can be that."""
    words = next(pattern.words for pattern in _TARGETS if pattern.target == target)
    if column.kind == "empty":
        return False
    if not re.fullmatch(words, column.words) and target not in meanings(column.name):
        return False
    name = target.split(".")[1]
    if name.endswith(("_at", "_date")):
        return column.kind == "date"
    if name == "total_cost":
        return column.is_number
    return column.kind != "date"


def _one_target(made: _Proposal, target: str, column: Column) -> None:
    name = target.split(".")[1]
    if column.kind == "date":
        others = f"or {' or '.join(column.formats[1:])}?" if len(column.formats) > 1 else ""
        made.say(target, column, {"format": _text(column.formats[0])}, others)
    elif name == "sex":
        _by_dictionary(made, target, column, _SEX, missing="unknown")
    elif name == "admission_type":
        _by_dictionary(made, target, column, _URGENCY, missing="unknown")
    elif name in ("discharge_disposition", "admission_source"):
        _by_dictionary(made, target, column, _DISPOSITION)
    elif name == "age_years":
        _age(made, column)
    elif name == "total_cost":
        made.say(target, column, column.number_form, "the total of the stay, in the data set's currency?")
    else:
        made.say(target, column, {}, "some are empty" if name == "hospital_id" and column.n_missing else "")


def _by_dictionary(
    made: _Proposal, target: str, column: Column, dictionary: dict[str, str], missing: str = ""
) -> None:
    """A map of the frequent values; as a comment where one of them is not known."""
    values = [value for value, _ in column.frequent]
    cases = {_key(value): _text(dictionary.get(value.lower(), "TODO")) for value in values}
    settings = {"map": _inline(cases)} | ({"missing": _text(missing)} if missing else {})
    if values and all(value.lower() in dictionary for value in values):
        todo = f"{column.n_rare} rarer values are not in the map" if column.n_rare else ""
        made.say(target, column, settings, todo)
        return
    own = _inline({"column": _text(column.name), **settings})
    made.add(target, f"# TODO {target.split('.')[1]} = {own}", column)


def _age(made: _Proposal, column: Column) -> None:
    if column.is_number:
        made.say("stays.age_years", column, {**column.number_form, "floor": "true"})
        return
    cases = {}
    for value, _ in column.frequent:
        ends = [int(number) for number in re.findall(r"\d+", value)]
        if ends:
            cases[_key(value)] = str(sum(ends[:2]) // 2 if len(ends) > 1 else ends[0] + 5)
    todo = "the middle of each band?" + (
        f" {column.n_rare} rarer values are not in the map" if column.n_rare else ""
    )
    made.say("stays.age_years", column, {"map": _inline(cases)} if cases else {}, todo)


def _age_needed(made: _Proposal) -> None:
    lines = [*made.sections.get("patients", ()), *made.sections.get("stays", ())]
    if not any(line.startswith(("birth_date = ", "age_years = ")) for line in lines):
        made.add(
            "stays.age_years",
            "# TODO age_years = { column = ..., floor = true }, or birth_date under [patients]:\n"
            "# without either every stay is quarantined",
        )


def _diagnoses(made: _Proposal, columns: list[Column]) -> str:
    """Propose columns of codes as diagnoses; return the code systems that this declares.

    Those named as principal diagnoses come first, the others in their order; those made at admission are
    entries of their own.
    """
    coded = [
        each
        for each in columns
        if each.name not in made.used
        and each.kind in ("icd10", "icd9")
        # A ward may be named like a code.
        and (is_diagnosis(each.name) or each.n_different > _FEW_VALUES)
        and not each.is_unique
    ]
    if not coded:
        return "{}  # TODO { diagnosis = ..., procedure = ... }, if the file holds codes"
    kind = "icd10" if all(each.kind == "icd10" for each in coded) else "icd9cm"
    admitting = [each for each in coded if "diagnoses.admitting" in meanings(each.name)]
    coded = sorted(
        (each for each in coded if each not in admitting),
        key=lambda each: "diagnoses.principal" not in meanings(each.name),
    )
    if admitting:
        made.add("diagnoses", "\n[[diagnoses]]", *admitting)
        made.add("diagnoses", f"columns = [{_names(admitting)}]")
        made.add("diagnoses", 'kind = "admitting"')
    if coded:
        made.add("diagnoses", "\n[[diagnoses]]  # TODO is the first the principal diagnosis?", *coded)
        made.add("diagnoses", f"columns = [{_names(coded)}]")
        made.add("diagnoses", 'kind = "discharge"  # TODO admitting, if they were made at admission')
    flags = [each for each in columns if re.search(r"(^|_)(poa|present_on_admission)", each.words)]
    if flags:
        made.add("diagnoses", f"# TODO present_on_admission = [{_names(flags)}]", *flags)
    return f'{{ diagnosis = "{kind}" }}  # TODO icd10, icd10cm, icd10gb, icd10cn_insurance or icd9cm'


def _procedures(made: _Proposal, columns: list[Column]) -> None:
    """Columns named like procedures, as a comment: their code system cannot be told."""
    coded = [each for each in columns if each.name not in made.used and "procedures" in meanings(each.name)]
    if coded:
        made.add("procedures", "\n# TODO with dataset.code_systems.procedure: icd9cm3 or icd10pcs", *coded)
        made.add("procedures", f"# [[procedures]]\n# columns = [{_names(coded)}]")


def _names(columns: list[Column]) -> str:
    return ", ".join(_text(each.name) for each in columns)


def _facts(made: _Proposal, columns: list[Column]) -> Iterator[str]:
    """Everything else that can be an input, known from the discharge on; what cannot, as a comment."""
    plain, own, never = [], [], []
    names: set[str] = set()
    for column in columns:
        if column.name in made.used:
            continue
        why = _why_no_input(column)
        name = fact_name(column.name)
        if not why and len(names) >= _MOST_FACTS:
            why = "more facts than there can be"
        if why:
            never.append((column, why))
        elif column.number_form or not NAME.fullmatch(name) or RESERVED.fullmatch(name) or name in names:
            name = _free_name(name, names)
            own.append((column, name))
        else:
            plain.append(column)
        if not why:
            names.add(name)
    for column, name in own:
        yield from ("", "[[facts]]", f"name = {_text(name)}", f"column = {_text(column.name)}")
        yield 'available_from = "discharge"  # TODO admission, if it is known then'
        yield from (f"{key} = {mark}" for key, mark in column.number_form.items())
    if plain:
        yield from (
            "",
            "[facts_from]",
            "preadmission = []",
            "admission = []  # TODO what is known at admission",
        )
        yield from ("discharge = [", *(f"    {_text(column.name)}," for column in plain), "]")
    if never:
        yield "\n# Not proposed as inputs:"
        yield from (f"#   {_text(column.name)}: {why}" for column, why in never)


def _free_name(name: str, taken: set[str]) -> str:
    base = f"column_{name}".rstrip("_")[:50]
    return next(
        free
        for free in (base, *(f"{base}_{number}" for number in range(2, 1000)))
        if free not in taken and NAME.fullmatch(free)
    )


def _why_no_input(column: Column) -> str:
    n_there = column.n_rows - column.n_missing
    if column.leak:
        return f"may be {column.leak}"
    if _outcomes_named(column):
        return "may be an outcome"
    if column.is_identity:
        return "says who somebody is"
    if _GROUPS.search(column.words) or "group" in meanings(column.name):
        return "for subgroup reports rather than an input"
    if column.kind == "date":
        return "a date"
    if column.kind == "numbered" or _ID_WORDS.search(column.words):
        return "may be an id"
    if column.is_unique and not column.number_form:
        return "may be an id"
    if column.kind == "empty" or column.n_different == 1:
        return "empty" if column.kind == "empty" else "the same in every row"
    if not column.is_number and column.n_different > max(100, n_there / 2):
        return "free text"
    return ""


def _outcomes(columns: list[Column]) -> Iterator[str]:
    yield "\n# TODO outcomes that the file gives; a row where one is empty counts as unknown, not as no."
    yield "# [outcomes]"
    for column in columns:
        fitting = _outcomes_named(column)
        if column.leak == "money of the stay" and column.is_number:
            fitting.append("episode_cost")
        for target in fitting:
            yield f"# {target} = {_inline({'column': _text(column.name), **column.number_form})}"
    if any("readmission" in _outcomes_named(column) for column in columns):
        yield "# A readmission is used only with:"
        yield "# [dataset.labels]"
        yield '# readmission = { kind = "given", definition = "…" }'


def _outcomes_named(column: Column) -> list[str]:
    listed = meanings(column.name)
    return [
        pattern.target
        for pattern in _OUTCOMES
        if re.fullmatch(pattern.words, column.words) or f"outcomes.{pattern.target}" in listed
    ]
