"""The patients' courses: stay after stay, each chunk's patients side by side.

At every live discharge the true probability of an unplanned return is computed from the state at that
moment and the return is drawn from it; everything else (death, a planned return, the next illness)
happens only where no return was drawn, or after more than 30 days.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TypeVar

import numpy as np

from features.sources.synthetic.codes import Floats, Integers, cases, complications
from features.sources.synthetic.costs import (
    COMPLICATION_SURCHARGE,
    SPLIT_SHARE,
    TRANSFER_SHARE,
    TRANSFERRED_FIRST_PART,
    cost_noise,
    episode_cost,
    return_frequency,
    stay_cost,
    stay_days,
    stay_days_mean,
)
from features.sources.synthetic.laboratory import draw_values, severity
from features.sources.synthetic.population import (
    BOOKING_DAYS,
    OBSERVED_END_DAY,
    UNDER_CARE_DAYS,
    Cohort,
    entry_case,
)
from features.sources.synthetic.risks import (
    State,
    case_weights,
    chance,
    complication_log_odds,
    death_after,
    death_in_hospital,
    decades_beyond_65,
    draw_case,
    emergencies_per_year,
    readmission_log_odds,
)

PATIENT_KEY = 1e5
"""Distance between two patients in a sorted list of (patient, day)."""

_BACK_AGAIN = np.exp(-np.arange(31) / 11) + 0.22
_BACK_AGAIN[0] *= 0.35
_ELECTIVES_PER_YEAR = 0.20
_LONGEST_COURSE = 400


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
    has: Floats
    values: Floats
    principal_draw: Floats
    ending: Integers
    is_return_planned: Floats
    complication_code: Integers
    carried: Integers
    cost: Floats
    complication_probability: Floats
    readmission_probability: Floats
    expected_cost: Floats

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


def play(cohort: Cohort, rng: np.random.Generator) -> Stays:
    """Play every patient's stays from the first to the last; `cohort` ends in its final state."""
    agenda = _first_stays(cohort, rng)
    played: list[Stays] = []
    for _ in range(_LONGEST_COURSE):
        if not len(agenda.patient):
            break
        stays, state = _happen(agenda, cohort, rng)
        played.append(stays)
        agenda = _what_follows(stays, state, cohort, rng)
        agenda = taken(agenda, agenda.admitted < OBSERVED_END_DAY + BOOKING_DAYS)
    return joined(played)


def _season(day: Floats) -> Floats:
    """1 in mid-January, −1 in mid-July."""
    return np.asarray(np.cos(2 * np.pi * (day - 15) / 365.25))


def _state(agenda: Agenda, cohort: Cohort, rng: np.random.Generator) -> tuple[State, dict[str, Floats]]:
    who, day = agenda.patient, agenda.admitted
    age = (day - cohort.born[who]) / 365.25
    adds = cases().adds[agenda.case]
    brings = adds >= 0
    cohort.onset[who[brings], adds[brings]] = np.minimum(cohort.onset[who[brings], adds[brings]], day[brings])
    has = cohort.onset[who] <= day[:, None]
    values = draw_values(
        agenda.case, age, cohort.is_male[who], has, cohort.frailty[who], cohort.lab_tendency[who], rng
    )
    here = who * PATIENT_KEY + day
    seen = np.searchsorted(cohort.visit_keys, here) - np.searchsorted(cohort.visit_keys, here - 180)
    state = State(
        case=agenda.case,
        age=age,
        has=has,
        frailty=cohort.frailty[who],
        severity=severity(values),
        stays_before=(cohort.recent[who] > day[:, None] - 365).sum(axis=1).astype(float),
        recent_discharge=cohort.last_discharge[who] > day - 90,
        emergency_visits=np.minimum(seen, 4).astype(float),
    )
    return state, values


def _first_stays(cohort: Cohort, rng: np.random.Generator) -> Agenda:
    who = np.arange(len(cohort))
    fixed = entry_case(cohort, rng)
    blank = _agenda(who, cohort.entry, np.maximum(fixed, 0), Link.NEW, cohort.home_hospital)
    state, _ = _state(taken(blank, fixed < 0), cohort, rng)
    free = who[fixed < 0]
    weights = case_weights(cases().entry, state, cohort.is_male[free], _season(cohort.entry[free]))
    blank.case[free] = draw_case(weights, rng)
    blank.hospital = _hospital(blank.case, cohort.home_hospital, rng)
    return blank


def _agenda(patient: Integers, admitted: Floats, case: Integers, link: Link, hospital: Integers) -> Agenda:
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


def _hospital(case: Integers, home: Integers, rng: np.random.Generator) -> Integers:
    """Most go to their own hospital, half of major surgery and all heart surgery to the first."""
    listed = cases()
    n = len(case)
    elsewhere = np.where(rng.random(n) < 0.08, rng.integers(0, 4, n), home)
    central = (listed.surgery[case] == 2) & (rng.random(n) < 0.5)
    return np.where(central | (listed.department[case] == "cardiac_surgery"), 0, elsewhere)


def _happen(agenda: Agenda, cohort: Cohort, rng: np.random.Generator) -> tuple[Stays, State]:
    """Let the stays on the agenda take place, up to and including their end."""
    listed = cases()
    n = len(agenda.patient)
    state, values = _state(agenda, cohort, rng)
    goes_on = agenda.link >= Link.TRANSFER
    p_complication = np.where(
        goes_on, agenda.complication_probability, chance(complication_log_odds(state, agenda.case))
    )
    is_complicated = (rng.random(n) < p_complication) & ~goes_on
    code = np.where(is_complicated, _complication_code(agenda.case, rng), -1)
    ending = _ending(state, goes_on, is_complicated, rng)
    is_part = goes_on | np.isin(ending, [Ending.SPLIT, Ending.ACUTE_TRANSFER])
    part = np.where(is_part, TRANSFERRED_FIRST_PART, 1.0)
    normal = rng.normal(0, 1, n)
    days = stay_days(stay_days_mean(state), normal, is_complicated * 1.0) * part
    discharged = _discharge_time(agenda.admitted, days, ending == Ending.DIED, rng)
    driver = stay_cost(state)
    surcharge = 1 + COMPLICATION_SURCHARGE * is_complicated
    cost = listed.cost[agenda.case] * driver * cost_noise(normal, rng) * surcharge * part
    stay_nights = np.floor(discharged) - np.floor(agenda.admitted)
    is_adult = state.age >= 18
    p_return = chance(readmission_log_odds(state, stay_nights, is_complicated * 1.0)) * is_adult
    weights = case_weights(
        return_frequency(agenda.case), state, cohort.is_male[agenda.patient], _season(agenda.admitted)
    )
    draw = np.where(np.isnan(agenda.principal_draw), rng.random(n), agenda.principal_draw)
    stays = Stays(
        patient=agenda.patient,
        case=agenda.case,
        link=agenda.link,
        hospital=agenda.hospital,
        admitted=agenda.admitted,
        discharged=discharged,
        booked=_booked(agenda, cohort, rng),
        age=state.age,
        has=state.has,
        values=np.column_stack(list(values.values())),
        principal_draw=draw,
        ending=ending,
        is_return_planned=(rng.random(n) < listed.next_share[agenda.case]) & (ending != Ending.DIED),
        complication_code=code,
        carried=agenda.carried,
        cost=cost,
        complication_probability=p_complication,
        readmission_probability=np.where(ending == Ending.DIED, np.nan, p_return),
        expected_cost=episode_cost(state, weights, p_complication, may_continue(state), is_adult * 1.0),
    )
    _remember(stays, cohort)
    return stays, state


def may_continue(state: State) -> Floats:
    """1 where a transfer or a split is possible: an adult's emergency."""
    return np.asarray(cases().is_emergency[state.case] & (state.age >= 18), dtype=float)


def _complication_code(case: Integers, rng: np.random.Generator) -> Integers:
    listed = complications()
    is_surgical = (cases().surgery[case] > 0)[:, None]
    return draw_case(np.where(is_surgical, listed.after_surgery, listed.medical), rng)


def _ending(state: State, goes_on: object, is_complicated: object, rng: np.random.Generator) -> Integers:
    n = len(state.case)
    open_end = may_continue(state) * ~np.asarray(goes_on)
    draw = rng.random(n)
    leaves = rng.random(n)
    old = (state.age > 75) * 1.0
    ending = np.select(
        [leaves < 0.012, leaves < 0.05 + 0.08 * old, leaves < 0.07 + 0.14 * old, leaves < 0.10 + 0.17 * old],
        [Ending.AGAINST_ADVICE, Ending.COMMUNITY, Ending.NURSING, Ending.REHABILITATION],
        Ending.HOME,
    )
    dies = rng.random(n) < death_in_hospital(state, np.asarray(is_complicated) * 1.0)
    ending = np.where(dies, Ending.DIED, ending)
    ending = np.where(draw < (TRANSFER_SHARE + SPLIT_SHARE) * open_end, Ending.SPLIT, ending)
    return np.where(draw < TRANSFER_SHARE * open_end, Ending.ACUTE_TRANSFER, ending)


def _discharge_time(admitted: Floats, days: Floats, dies: object, rng: np.random.Generator) -> Floats:
    """Discharge rounds are held by day; the dying keep no hours."""
    n = len(admitted)
    by_day = np.floor(admitted + days) + rng.uniform(9, 17, n) / 24
    leaves = np.where(np.asarray(dies), admitted + days, by_day)
    return np.asarray(np.maximum(leaves, admitted + rng.uniform(0.2, 0.4, n)))


def _booked(agenda: Agenda, cohort: Cohort, rng: np.random.Generator) -> Floats:
    """When an elective stay was booked: days to weeks ahead, never before the discharge before it."""
    n = len(agenda.patient)
    ahead = agenda.admitted - rng.uniform(4, 38, n)
    booked = np.maximum(ahead, cohort.last_discharge[agenda.patient] + 0.01)
    return np.where(cases().is_booked[agenda.case], booked, np.nan)


def _remember(stays: Stays, cohort: Cohort) -> None:
    """Keep what later stays hang on: the last four admissions, the last discharge, deaths."""
    begins = stays.link < Link.TRANSFER
    who = stays.patient[begins]
    cohort.recent[who] = np.column_stack([stays.admitted[begins], cohort.recent[who][:, :3]])
    cohort.last_discharge[stays.patient] = stays.discharged
    died = stays.ending == Ending.DIED
    cohort.death[stays.patient[died]] = stays.discharged[died]


def _what_follows(stays: Stays, state: State, cohort: Cohort, rng: np.random.Generator) -> Agenda:
    """The next stay of everyone who has one."""
    n = len(stays)
    left = ~np.isin(stays.ending, [Ending.DIED, Ending.ACUTE_TRANSFER, Ending.SPLIT])
    returns = left & (rng.random(n) < stays.readmission_probability)
    dies = left & ~returns & (rng.random(n) < death_after(state))
    comes_as_planned = left & ~returns & ~dies & (stays.is_return_planned > 0)
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
    following = _agenda(stays.patient, admitted, stays.case, Link.SPLIT, hospital)
    following.link = np.where(is_split, int(Link.SPLIT), int(Link.TRANSFER))
    following.carried = stays.complication_code
    following.principal_draw = stays.principal_draw
    following.complication_probability = stays.complication_probability
    return following


def _unplanned(stays: Stays, state: State, which: object, cohort: Cohort, rng: np.random.Generator) -> Agenda:
    """Unplanned returns, 0–30 days after the discharge, most of them early."""
    listed = cases()
    rows = np.flatnonzero(np.asarray(which))
    who, n = stays.patient[rows], len(rows)
    days = rng.choice(31, n, p=_BACK_AGAIN / _BACK_AGAIN.sum())
    discharged = stays.discharged[rows]
    admitted = np.floor(discharged) + days + np.clip(rng.normal(14, 4.5, n), 0.2, 23.8) / 24
    admitted = np.where(days == 0, discharged + rng.uniform(0.05, 0.95, n) * (1 - discharged % 1), admitted)
    chosen = _rows_of(state, rows)
    weights = case_weights(
        return_frequency(stays.case[rows]), chosen, cohort.is_male[who], _season(admitted)
    )
    case = draw_case(weights, rng)
    # Back within 24 h for the same illness would be one stay split in two.
    too_soon = listed.department[case] == listed.department[stays.case[rows]]
    admitted = np.where(too_soon, np.maximum(admitted, discharged + 1.02), admitted)
    # On the same or the next day another hospital would make it a transfer.
    near = np.floor(admitted) - np.floor(discharged) <= 1
    hospital = np.where(near | (rng.random(n) < 0.85), stays.hospital[rows], cohort.home_hospital[who])
    return _agenda(who, admitted, case, Link.UNPLANNED_RETURN, hospital)


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
    return _agenda(stays.patient, admitted, case, Link.PLANNED_RETURN, stays.hospital)


def _later(stays: Stays, state: State, which: object, cohort: Cohort, rng: np.random.Generator) -> Agenda:
    """The next illness more than 30 days later, unless death or the end of care comes first."""
    listed = cases()
    rows = np.flatnonzero(np.asarray(which))
    chosen, who, n = _rows_of(state, rows), stays.patient[rows], len(rows)
    rate = emergencies_per_year(chosen)
    day = np.floor(stays.discharged[rows]) + 31
    day = day + np.floor(rng.exponential(365.25 / (rate + _ELECTIVES_PER_YEAR)))
    hazard = 0.018 * np.exp(0.85 * decades_beyond_65(chosen.age) + 0.5 * chosen.frailty + 0.4 * rate)
    death = np.floor(stays.discharged[rows]) + 31 + np.floor(rng.exponential(365.25 / hazard))
    cohort.death[who] = np.where(cohort.leaves[who] > stays.discharged[rows], death, np.inf)
    is_urgent = rng.random(n) < rate / (rate + _ELECTIVES_PER_YEAR)
    admitted = day + np.where(is_urgent, np.clip(rng.normal(14, 4.5, n), 0.2, 23.8), rng.uniform(8, 11, n)) / 24
    goes_on = (admitted < cohort.leaves[who]) & (admitted < death)
    rows, who, admitted, is_urgent = rows[goes_on], who[goes_on], admitted[goes_on], is_urgent[goes_on]
    cohort.death[who] = np.inf
    comes = _rows_of(state, rows)
    frequency = np.where((is_urgent[:, None] == listed.is_emergency), listed.entry, 0.0)
    weights = case_weights(frequency, comes, cohort.is_male[who], _season(admitted))
    case = draw_case(weights, rng)
    hospital = _hospital(case, cohort.home_hospital[who], rng)
    return _agenda(who, admitted, case, Link.NEW, hospital)


def _rows_of(state: State, rows: Integers) -> State:
    """The state of some patients; the severity is left as it stood."""
    return State(
        case=state.case[rows],
        age=state.age[rows],
        has=state.has[rows],
        frailty=state.frailty[rows],
        severity=state.severity,
        stays_before=state.stays_before[rows],
        recent_discharge=state.recent_discharge[rows],
        emergency_visits=state.emergency_visits[rows],
    )
