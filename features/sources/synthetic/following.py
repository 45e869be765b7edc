"""What follows a stay: a continuation, an unplanned or planned return, a later illness, death, nothing.

An unplanned return is drawn from its true probability; everything else happens only where none was
drawn, or after more than 30 days.
"""

from __future__ import annotations

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers, cases
from features.sources.synthetic.costs import return_frequency
from features.sources.synthetic.population import Cohort
from features.sources.synthetic.risks import (
    State,
    case_weights,
    death_after,
    decades_beyond_65,
    draw_case,
    emergencies_per_year,
)
from features.sources.synthetic.stays import Agenda, Ending, Link, Stays, joined, new_agenda, taken

_BACK_AGAIN = np.exp(-np.arange(31) / 11) + 0.22
_BACK_AGAIN[0] *= 0.35
_ELECTIVES_PER_YEAR = 0.20


def season(day: Floats) -> Floats:
    """1 in mid-January, −1 in mid-July."""
    return np.asarray(np.cos(2 * np.pi * (day - 15) / 365.25))


def choose_hospital(case: Integers, home: Integers, rng: np.random.Generator) -> Integers:
    """Most go to their own hospital, half of major surgery and all heart surgery to the first."""
    listed = cases()
    n = len(case)
    elsewhere = np.where(rng.random(n) < 0.08, rng.integers(0, 4, n), home)
    central = (listed.surgery[case] == 2) & (rng.random(n) < 0.5)
    return np.where(central | (listed.department[case] == "cardiac_surgery"), 0, elsewhere)


def what_follows(stays: Stays, state: State, cohort: Cohort, rng: np.random.Generator) -> Agenda:
    """The next stay of everyone who has one."""
    n = len(stays)
    left = ~np.isin(stays.ending, [Ending.DIED, Ending.ACUTE_TRANSFER, Ending.SPLIT])
    returns = left & (rng.random(n) < stays.readmission_probability)
    dies = left & ~returns & (rng.random(n) < death_after(state))
    comes_as_planned = left & ~returns & ~dies & stays.is_return_planned
    rest = left & ~returns & ~dies & ~comes_as_planned
    cohort.death[stays.patient[dies]] = np.floor(stays.discharged[dies]) + rng.integers(1, 31, dies.sum())
    return joined(
        [
            _continuations(taken(stays, ~left & (stays.ending != Ending.DIED)), rng),
            _unplanned(stays, state, returns, cohort, rng),
            _planned(taken(stays, comes_as_planned), rng),
            _later(stays, state, rest, cohort, rng),
        ]
    )


def _continuations(stays: Stays, rng: np.random.Generator) -> Agenda:
    """Transfers to another hospital within half a day, and split stays in the same one within 20 h."""
    n = len(stays)
    is_split = stays.ending == Ending.SPLIT
    admitted = stays.discharged + np.where(is_split, rng.uniform(2, 20, n), rng.uniform(0.5, 10, n)) / 24
    hospital = np.where(is_split, stays.hospital, (stays.hospital + rng.integers(1, 4, n)) % 4)
    following = new_agenda(stays.patient, admitted, stays.case, Link.SPLIT, hospital)
    following.link = np.where(is_split, int(Link.SPLIT), int(Link.TRANSFER))
    following.carried = stays.complication_code
    following.principal_draw = stays.principal_draw
    following.complication_probability = stays.complication_probability
    return following


def _unplanned(stays: Stays, state: State, which: Flags, cohort: Cohort, rng: np.random.Generator) -> Agenda:
    """Unplanned returns, 0–30 days after the discharge, most of them early."""
    listed = cases()
    rows = np.flatnonzero(which)
    who, n = stays.patient[rows], len(rows)
    days = rng.choice(31, n, p=_BACK_AGAIN / _BACK_AGAIN.sum())
    discharged = stays.discharged[rows]
    admitted = np.floor(discharged) + days + np.clip(rng.normal(14, 4.5, n), 0.2, 23.8) / 24
    admitted = np.where(days == 0, discharged + rng.uniform(0.05, 0.95, n) * (1 - discharged % 1), admitted)
    chosen = state.at(rows)
    frequency = return_frequency(stays.case[rows])
    is_male, time = cohort.is_male[who], season(admitted)
    weights = case_weights(frequency, chosen.has, chosen.age, is_male, time)
    case = draw_case(weights, rng)
    # Back within 24 h for the same illness would be one stay split in two.
    too_soon = listed.department[case] == listed.department[stays.case[rows]]
    admitted = np.where(too_soon, np.maximum(admitted, discharged + 1.02), admitted)
    # On the same or the next day another hospital would make it a transfer.
    near = np.floor(admitted) - np.floor(discharged) <= 1
    hospital = np.where(near | (rng.random(n) < 0.85), stays.hospital[rows], cohort.home_hospital[who])
    return new_agenda(who, admitted, case, Link.UNPLANNED_RETURN, hospital)


def _planned(stays: Stays, rng: np.random.Generator) -> Agenda:
    """Planned returns: the next chemotherapy cycle three weeks after the last, staged treatment sooner."""
    listed = cases()
    is_chemo = stays.case == listed.place("chemotherapy")
    n = len(stays)
    from_start = np.floor(stays.admitted) + rng.integers(20, 24, n)
    from_end = np.floor(stays.discharged) + rng.integers(8, 27, n)
    earliest, latest = np.floor(stays.discharged) + 2, np.floor(stays.discharged) + 29
    day = np.clip(np.where(is_chemo, from_start, from_end), earliest, latest)
    admitted = day + rng.uniform(8, 11, n) / 24
    case = listed.next_case[stays.case]
    return new_agenda(stays.patient, admitted, case, Link.PLANNED_RETURN, stays.hospital)


def _later(stays: Stays, state: State, which: Flags, cohort: Cohort, rng: np.random.Generator) -> Agenda:
    """The next illness more than 30 days later, unless death or the end of care comes first."""
    listed = cases()
    rows = np.flatnonzero(which)
    chosen, who, n = state.at(rows), stays.patient[rows], len(rows)
    rate = emergencies_per_year(chosen)
    day = np.floor(stays.discharged[rows]) + 31
    day = day + np.floor(rng.exponential(365.25 / (rate + _ELECTIVES_PER_YEAR)))
    hazard = 0.018 * np.exp(0.85 * decades_beyond_65(chosen.age) + 0.5 * chosen.frailty + 0.4 * rate)
    death = np.floor(stays.discharged[rows]) + 31 + np.floor(rng.exponential(365.25 / hazard))
    cohort.death[who] = np.where(cohort.leaves[who] > stays.discharged[rows], death, np.inf)
    is_urgent = rng.random(n) < rate / (rate + _ELECTIVES_PER_YEAR)
    admitted = (
        day + np.where(is_urgent, np.clip(rng.normal(14, 4.5, n), 0.2, 23.8), rng.uniform(8, 11, n)) / 24
    )
    goes_on = (admitted < cohort.leaves[who]) & (admitted < death)
    rows, who, admitted, is_urgent = rows[goes_on], who[goes_on], admitted[goes_on], is_urgent[goes_on]
    cohort.death[who] = np.inf
    comes = state.at(rows)
    frequency = np.where((is_urgent[:, None] == listed.is_emergency), listed.entry, 0.0)
    is_male, time = cohort.is_male[who], season(admitted)
    weights = case_weights(frequency, comes.has, comes.age, is_male, time)
    case = draw_case(weights, rng)
    hospital = choose_hospital(case, cohort.home_hospital[who], rng)
    return new_agenda(who, admitted, case, Link.NEW, hospital)
