"""A column of an unknown flat file: what its values are, and what its name says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from features.rule_files import rule_rows
from features.sources.table_mapping import fact_name

_LEAKS = (
    (
        re.compile(
            r"(^|_)(charge|charges|cost|costs|tot[a-z]*cst|payment|paid|bill|billed|reimburse.*|price)(_|$)"
        ),
        "money of the stay",
    ),
    (
        re.compile(r"(^|_)(los|slos|length_of_stay|stay_days|time_in_hospital|d_time|icu_days)(_|$)"),
        "length of stay",
    ),
    (re.compile(r"(^|_)(died|dead|hospdead|death|deceased|expired|mortality|survival|alive)(_|$)"), "death"),
    (re.compile(r"readmi|complicat|outcome|follow_?up|(^|_)(label|target|score_true)(_|$)"), "an outcome"),
    (
        re.compile(r"(^|_)(discharge[a-z]*|disposition|drg|dip|severity|risk_of_mortality)(_|$)"),
        "known at the end",
    ),
)
_LEAKS_BY_MEANING = {
    "stays.total_cost": "money of the stay",
    "leak.money of the stay": "money of the stay",
    "leak.length of stay": "length of stay",
    "stays.discharged_at": "known at the end",
    "stays.discharge_disposition": "known at the end",
    "stays.payment_group": "known at the end",
    "leak.known at the end": "known at the end",
    "patients.death_date": "death",
    "outcomes.died_in_hospital": "death",
    "outcomes.readmission": "an outcome",
    "outcomes.complication": "an outcome",
}
_IDENTITY = re.compile(
    r"(^|_)(name|surname|forename|phone|tel|telephone|mobile|address|street|email|mail|ssn|passport|bed|doctor|"
    r"physician|clinician|nurse)(_|$)"
)
_DIAGNOSIS = re.compile(r"(^|_)(dx|diag|diagnos[a-z]*|icd)[_a-z]*([0-9]*)($|_)")

_NAMES = "column_names_2026.csv"
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_NUMBER_FORMS: dict[str, dict[str, str]] = {
    "number": {},
    "thousands": {"thousands": ","},
    "decimal": {"decimal": ","},
    "decimal_thousands": {"thousands": ".", "decimal": ","},
}
_KINDS = {
    "thousands": "number with thousands commas",
    "decimal": "number with a decimal comma",
    "decimal_thousands": "number with a decimal comma and thousands points",
    "numbered": "text with a running number",
}


def words_of(name: str) -> str:
    """The name of a column in lower case with underscores.

    >>> words_of("DoctorName")
    'doctor_name'
    """
    return fact_name(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))


def meanings(name: str) -> frozenset[str]:
    """What a column of such a name is in one of the languages of the list; digits in it do not count.

    A canonical column, such as `stays.admitted_at`; `diagnoses.` principal, other or admitting; `procedures`;
    an outcome; `leak.` with its reason; `identity` or `group`.

    >>> sorted(meanings("Nebendiagnose 3"))
    ['diagnoses.other']
    """
    return _listed().get(_bare(name), frozenset())


def says_who(name: str) -> bool:
    """Whether a column of such a name says who somebody is."""
    return bool(_IDENTITY.search(words_of(name))) or "identity" in meanings(name)


def is_diagnosis(name: str) -> bool:
    """Whether a column of such a name holds codes of diagnoses."""
    return bool(_DIAGNOSIS.search(words_of(name))) or any(
        each.startswith("diagnoses.") for each in meanings(name)
    )


def _bare(name: str) -> str:
    """The letters of a name, in lower case."""
    return re.sub(r"[\W\d_]+", "", name.lower().translate(_SPELLED_OUT))


@cache
def _listed() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for row in rule_rows(Path(__file__).with_name(_NAMES)):
        for name in row["names"].split("|"):
            found[_bare(name)] = found.get(_bare(name), frozenset()) | {row["target"]}
    return found


@dataclass(frozen=True)
class Column:
    """What is known of a column of the file.

    `kind` is empty, number, thousands (numbers with commas), decimal (numbers with a decimal comma),
    decimal_thousands (these, with points between thousands), date, icd10, icd9, numbered (a constant
    beginning and a number of constant width, such as P00123, different in one row of five or more) or text.
    `frequent` are its values with at least ten rows each, most frequent first, where it has few; `n_rare`
    counts the others.
    """

    name: str
    kind: str
    formats: tuple[str, ...]
    n_rows: int
    n_missing: int
    n_different: int
    is_unique: bool
    frequent: tuple[tuple[str, int], ...]
    n_rare: int

    @property
    def words(self) -> str:
        """The name in lower case with underscores."""
        return words_of(self.name)

    @property
    def leak(self) -> str:
        """Why it may tell the outcome, by its name; empty where nothing says so."""
        by_words = next((why for pattern, why in _LEAKS if pattern.search(self.words)), "")
        listed = meanings(self.name)
        return by_words or next(
            (_LEAKS_BY_MEANING[each] for each in sorted(listed) if each in _LEAKS_BY_MEANING), ""
        )

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers, however they are written."""
        return self.kind in _NUMBER_FORMS

    @property
    def number_form(self) -> dict[str, str]:
        """The keys of a mapping file that say how its numbers are written; empty for plain ones."""
        return {key: json.dumps(mark) for key, mark in _NUMBER_FORMS.get(self.kind, {}).items()}

    @property
    def is_identity(self) -> bool:
        """Whether it says who somebody is, by its name."""
        return says_who(self.name)

    def summary(self) -> str:
        """One line: kind, share that is missing, how many different values, and the frequent ones."""
        kind = _KINDS.get(self.kind, self.kind)
        if self.formats:
            kind += f" ({' or '.join(self.formats)})"
        unique = ", every one different" if self.is_unique else ""
        share = self.n_missing / max(self.n_rows, 1)
        said = f"{kind}, {share:.1%} missing, {self.n_different} different values{unique}"
        if self.frequent:
            values = ", ".join(f"{json.dumps(value, ensure_ascii=False)} {n}" for value, n in self.frequent)
            rare = f", and {self.n_rare} rarer" if self.n_rare else ""
            said += f": {values}{rare}"
        return said
