"""A column of an unknown flat file: what its values are, and what its name says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

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
_IDENTITY = re.compile(
    r"(^|_)(name|surname|forename|phone|tel|telephone|mobile|address|street|email|mail|ssn|passport|bed|doctor|"
    r"physician|clinician|nurse)(_|$)"
)
_DIAGNOSIS = re.compile(r"(^|_)(dx|diag|diagnos[a-z]*|icd)[_a-z]*([0-9]*)($|_)")

_KINDS = {"thousands": "number with thousands commas", "numbered": "text with a running number"}


def words_of(name: str) -> str:
    """The name of a column in lower case with underscores.

    >>> words_of("DoctorName")
    'doctor_name'
    """
    return fact_name(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))


def says_who(words: str) -> bool:
    """Whether a column of such a name says who somebody is."""
    return bool(_IDENTITY.search(words))


def is_diagnosis(words: str) -> bool:
    """Whether a column of such a name holds codes of diagnoses."""
    return bool(_DIAGNOSIS.search(words))


@dataclass(frozen=True)
class Column:
    """What is known of a column of the file.

    `kind` is empty, number, thousands (numbers with commas), date, icd10, icd9, numbered (a constant
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
        return next((why for pattern, why in _LEAKS if pattern.search(self.words)), "")

    @property
    def is_identity(self) -> bool:
        """Whether it says who somebody is, by its name."""
        return says_who(self.words)

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
