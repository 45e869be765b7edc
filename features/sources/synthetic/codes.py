"""The lists behind the made-up hospital group: conditions, reasons for a stay, complications, other codes.

The numbers are choices of this generator, set so that a plausible hospital comes out; only the codes and
the payment groups have an outside source (ICD-10 of the WHO, ICD-9-CM volume 3, CHS-DRG 1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.rule_files import rule_rows

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

MINOR_CODES = ("E785", "K219", "M545", "H269", "E041", "K760", "M819", "N281", "I839", "L209", "R918", "Z867")
"""Codes of little weight that fill up a record."""


@dataclass(frozen=True)
class Conditions:
    """Chronic conditions, one place each; weights are log-odds or log rates per condition."""

    names: tuple[str, ...]
    codes: tuple[tuple[str, ...], ...]
    at_70: Floats
    per_decade: Floats
    male: Floats
    readmission: Floats
    complication: Floats
    death: Floats
    cost: Floats
    emergency: Floats

    def place(self, name: str) -> int:
        """The condition's column in a table of conditions."""
        return self.names.index(name)


@dataclass(frozen=True)
class Cases:
    """Reasons for a stay, one place each.

    `entry`, `again`, `again_surgery`, `again_chemo` are relative frequencies: of a stay out of the blue and
    of an unplanned return after a medical, a surgical and a chemotherapy stay. `complication`,
    `readmission` and `death` are log-odds, `cost` is in CNY, `age` a log frequency per decade beyond 65,
    `winter` the amplitude of the season's log frequency, `multipliers` log frequencies by condition.
    """

    names: tuple[str, ...]
    department: Texts
    mode: Texts
    admitting: Texts
    vague: Texts
    principal: tuple[tuple[str, ...], ...]
    procedures: tuple[tuple[str, ...], ...]
    extra_procedure: Texts
    sex: Texts
    group_with: Texts
    group_without: Texts
    title: Texts
    surgery: Integers
    entry: Floats
    again: Floats
    again_surgery: Floats
    again_chemo: Floats
    cost: Floats
    stay_days: Floats
    complication: Floats
    readmission: Floats
    death: Floats
    age: Floats
    winter: Floats
    multipliers: Floats
    adds: Integers
    next_case: Integers
    next_share: Floats

    def place(self, name: str) -> int:
        """The case's place in the list."""
        return self.names.index(name)

    @property
    def is_emergency(self) -> Flags:
        """Whether a case comes unplanned."""
        return np.asarray(self.mode == "emergency")

    @property
    def is_booked(self) -> Flags:
        """Whether a case comes by appointment."""
        return np.asarray(self.mode == "elective")


@dataclass(frozen=True)
class Complications:
    """Codes that a complication of a stay may get, with how often after surgery and otherwise."""

    codes: Texts
    after_surgery: Floats
    medical: Floats


def _rows(name: str) -> list[dict[str, str]]:
    return rule_rows(Path(__file__).with_name(name))


def _numbers(rows: list[dict[str, str]], column: str) -> Floats:
    return np.array([float(row[column]) for row in rows])


def _texts(rows: list[dict[str, str]], column: str) -> Texts:
    return np.array([row[column] for row in rows], dtype=object)


def _lists(rows: list[dict[str, str]], column: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row[column].split()) for row in rows)


@cache
def conditions() -> Conditions:
    """The chronic conditions of `conditions.csv`."""
    rows = _rows("conditions.csv")
    return Conditions(
        names=tuple(row["condition"] for row in rows),
        codes=_lists(rows, "codes"),
        at_70=_numbers(rows, "at_70"),
        per_decade=_numbers(rows, "per_decade"),
        male=_numbers(rows, "male"),
        readmission=_numbers(rows, "readmission"),
        complication=_numbers(rows, "complication"),
        death=_numbers(rows, "death"),
        cost=_numbers(rows, "cost"),
        emergency=_numbers(rows, "emergency"),
    )


@cache
def cases() -> Cases:
    """The reasons for a stay of `cases.csv`."""
    rows = _rows("cases.csv")
    names = tuple(row["case"] for row in rows)
    known = conditions().names
    multipliers = np.zeros((len(known), len(rows)))
    for place, row in enumerate(rows):
        for pair in row["conditions"].split():
            condition, factor = pair.split(":")
            multipliers[known.index(condition), place] = np.log(float(factor))
    return Cases(
        names=names,
        department=_texts(rows, "department"),
        mode=_texts(rows, "mode"),
        admitting=_texts(rows, "admitting"),
        vague=_texts(rows, "vague"),
        principal=_lists(rows, "principal"),
        procedures=_lists(rows, "procedures"),
        extra_procedure=_texts(rows, "extra_procedure"),
        sex=_texts(rows, "sex"),
        group_with=_texts(rows, "group_with"),
        group_without=_texts(rows, "group_without"),
        title=_texts(rows, "title"),
        surgery=np.array([int(row["surgery"]) for row in rows]),
        entry=_numbers(rows, "entry"),
        again=_numbers(rows, "again"),
        again_surgery=_numbers(rows, "again_surgery"),
        again_chemo=_numbers(rows, "again_chemo"),
        cost=_numbers(rows, "cost"),
        stay_days=_numbers(rows, "stay_days"),
        complication=_numbers(rows, "complication"),
        readmission=_numbers(rows, "readmission"),
        death=_numbers(rows, "death"),
        age=_numbers(rows, "age"),
        winter=_numbers(rows, "winter"),
        multipliers=multipliers,
        adds=np.array([known.index(row["adds"]) if row["adds"] else -1 for row in rows]),
        next_case=np.array([names.index(row["next_case"]) if row["next_case"] else -1 for row in rows]),
        next_share=_numbers(rows, "next_share"),
    )


@cache
def complications() -> Complications:
    """The complication codes of `complications.csv`."""
    rows = _rows("complications.csv")
    return Complications(_texts(rows, "code"), _numbers(rows, "after_surgery"), _numbers(rows, "medical"))


def picked(lists: tuple[tuple[str, ...], ...], which: Integers, draw: Floats) -> Texts:
    """From the list at `which`, the entry at `draw` (0–1) of its length; empty text from an empty list."""
    longest = max(len(entries) for entries in lists)
    table = np.full((len(lists), longest), "", dtype=object)
    sizes = np.array([len(entries) for entries in lists])
    for place, entries in enumerate(lists):
        table[place, : len(entries)] = entries
    return np.asarray(
        table[which, np.minimum((draw * sizes[which]).astype(int), np.maximum(sizes[which] - 1, 0))]
    )
