"""Stays as plain arrays: those that are to begin and those that have happened."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TypeVar

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers

PATIENT_KEY = 1e5
"""Distance between two patients in a sorted list of patient × key + day."""


class Link(IntEnum):
    """How a stay follows from the one before."""

    NEW = 0
    UNPLANNED_RETURN = 1
    PLANNED_RETURN = 2
    TRANSFER = 3
    SPLIT = 4


class Ending(IntEnum):
    """How a stay ends; the places of `records.DISPOSITIONS`."""

    HOME = 0
    COMMUNITY = 1
    ACUTE_TRANSFER = 2
    NURSING = 3
    REHABILITATION = 4
    AGAINST_ADVICE = 5
    DIED = 6
    SPLIT = 7
    TRANSFERRED_OUT = 8


@dataclass
class Agenda:
    """Stays that are to begin, one place each."""

    patient: Integers
    admitted: Floats
    case: Integers
    link: Integers
    hospital: Integers
    carried: Integers
    principal_draw: Floats
    complication_probability: Floats


@dataclass
class Stays:
    """Stays as they happen; times are days since 1970 (nan: never), money in CNY."""

    patient: Integers
    case: Integers
    link: Integers
    hospital: Integers
    admitted: Floats
    discharged: Floats
    booked: Floats
    age: Floats
    has: Flags
    values: Floats
    principal_draw: Floats
    ending: Integers
    is_return_planned: Flags
    complication_code: Integers
    carried: Integers
    cost: Floats
    complication_probability: Floats
    readmission_probability: Floats
    expected_cost: Floats
    usual_charges: Floats
    usual_days: Floats
    part_probability: Floats

    def __len__(self) -> int:
        return len(self.patient)


Record = TypeVar("Record", Agenda, Stays)


def taken(record: Record, rows: object) -> Record:
    """The record's rows at a mask or at places."""
    return type(record)(**{item.name: getattr(record, item.name)[rows] for item in fields(record)})


def joined(records: list[Record]) -> Record:
    """Records one below the other."""
    names = [item.name for item in fields(records[0])]
    return type(records[0])(
        **{name: np.concatenate([getattr(record, name) for record in records]) for name in names}
    )


def new_agenda(patient: Integers, admitted: Floats, case: Integers, link: Link, hospital: Integers) -> Agenda:
    """An agenda of stays that follow from nothing but the patient."""
    n = len(patient)
    return Agenda(
        patient=patient,
        admitted=admitted.copy(),
        case=case.copy(),
        link=np.full(n, int(link)),
        hospital=hospital.copy(),
        carried=np.full(n, -1),
        principal_draw=np.full(n, np.nan),
        complication_probability=np.full(n, np.nan),
    )
