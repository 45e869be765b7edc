"""The patients' courses: stay after stay, each chunk's patients side by side.

At every live discharge the true probability of an unplanned return is computed from the state at that
moment and the return is drawn from it; everything else (death, a planned return, the next illness)
happens only where no return was drawn, or after more than 30 days.
"""

from __future__ import annotations

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers, cases, complications
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
from features.sources.synthetic.following import choose_hospital, season, what_follows
from features.sources.synthetic.laboratory import draw_values, severity
from features.sources.synthetic.outcomes import complication_log_odds, place_shares, readmission_log_odds
from features.sources.synthetic.population import BOOKING_DAYS, OBSERVED_END_DAY, Cohort, entry_case
from features.sources.synthetic.risks import (
    State,
    case_weights,
    chance,
    death_in_hospital,
    draw_case,
)
from features.sources.synthetic.stays import (
    PATIENT_KEY,
    Agenda,
    Ending,
    Link,
    Stays,
    joined,
    new_agenda,
    taken,
)

_LONGEST_COURSE = 400


def play(cohort: Cohort, rng: np.random.Generator) -> Stays:
    """Play every patient's stays from the first to the last; `cohort` ends in its final state."""
    agenda = _first_stays(cohort, rng)
    played: list[Stays] = []
    for _ in range(_LONGEST_COURSE):
        if not len(agenda.patient):
            break
        stays, state = _happen(agenda, cohort, rng)
        played.append(stays)
        agenda = what_follows(stays, state, cohort, rng)
        agenda = taken(agenda, agenda.admitted < OBSERVED_END_DAY + BOOKING_DAYS)
    return joined(played)


def _first_stays(cohort: Cohort, rng: np.random.Generator) -> Agenda:
    """Everyone's first stay; only from then on is a patient under care."""
    who = np.arange(len(cohort))
    fixed = entry_case(cohort, rng)
    free = who[fixed < 0]
    entry = cohort.entry[free]
    weights = case_weights(
        cases().entry,
        cohort.onset[free] <= entry[:, None],
        (entry - cohort.born[free]) / 365.25,
        cohort.is_male[free],
        season(entry),
    )
    case = fixed.copy()
    case[free] = draw_case(weights, rng)
    return new_agenda(who, cohort.entry, case, Link.NEW, choose_hospital(case, cohort.home_hospital, rng))


def _happen(agenda: Agenda, cohort: Cohort, rng: np.random.Generator) -> tuple[Stays, State]:
    """Let the stays on the agenda take place, up to and including their end."""
    n = len(agenda.patient)
    _bring_conditions(agenda, cohort)
    state, values = _state(agenda, cohort, rng)
    is_adult = state.age >= 18
    goes_on = agenda.link >= Link.TRANSFER
    own = chance(complication_log_odds(state, agenda.case))
    p_complication = np.where(goes_on, agenda.complication_probability, own)
    is_complicated = (rng.random(n) < p_complication) & ~goes_on
    ending = _ending(state, goes_on, is_complicated, rng)
    is_part = goes_on | np.isin(ending, [Ending.SPLIT, Ending.ACUTE_TRANSFER])
    usual_days = stay_days_mean(state)
    usual_charges = cases().cost[agenda.case] * stay_cost(state, agenda.case)
    discharged, cost = _length_and_cost(
        agenda, usual_days, usual_charges, is_complicated, is_part, ending == Ending.DIED, rng
    )
    nights = np.floor(discharged) - np.floor(agenda.admitted)
    p_return = chance(readmission_log_odds(state, nights, is_complicated.astype(float), ending)) * is_adult
    weights = _return_weights(agenda, state, cohort)
    may_go_on, may_return = may_continue(state), is_adult.astype(float)
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
        principal_draw=np.where(np.isnan(agenda.principal_draw), rng.random(n), agenda.principal_draw),
        ending=ending,
        is_return_planned=(rng.random(n) < cases().next_share[agenda.case]) & (ending != Ending.DIED),
        complication_code=np.where(is_complicated, _complication_code(agenda.case, rng), -1),
        carried=agenda.carried,
        cost=cost,
        complication_probability=p_complication,
        readmission_probability=np.where(ending == Ending.DIED, np.nan, p_return),
        expected_cost=episode_cost(state, weights, p_complication, may_go_on, may_return),
        usual_charges=usual_charges,
        usual_days=usual_days,
        part_probability=np.where(goes_on, 1.0, may_go_on * (TRANSFER_SHARE + SPLIT_SHARE)),
    )
    _remember(stays, cohort)
    return stays, state


def _return_weights(agenda: Agenda, state: State, cohort: Cohort) -> Floats:
    """Relative frequency of each case in an unplanned return, as foreseen at admission."""
    is_male, time = cohort.is_male[agenda.patient], season(agenda.admitted)
    return case_weights(return_frequency(agenda.case), state.has, state.age, is_male, time)


def _bring_conditions(agenda: Agenda, cohort: Cohort) -> None:
    """Some illnesses leave a chronic condition from their first stay on."""
    adds = cases().adds[agenda.case]
    brings = adds >= 0
    who, place = agenda.patient[brings], adds[brings]
    cohort.onset[who, place] = np.minimum(cohort.onset[who, place], agenda.admitted[brings])


def _state(agenda: Agenda, cohort: Cohort, rng: np.random.Generator) -> tuple[State, dict[str, Floats]]:
    who, day = agenda.patient, agenda.admitted
    age = (day - cohort.born[who]) / 365.25
    has = cohort.onset[who] <= day[:, None]
    values = draw_values(
        agenda.case, age, cohort.is_male[who], has, cohort.frailty[who], cohort.lab_tendency[who], rng
    )
    here = who * PATIENT_KEY + day
    seen = np.searchsorted(cohort.visit_keys, here) - np.searchsorted(cohort.visit_keys, here - 180)
    # The rest of a stay that was broken up is no return.
    is_back, gap = agenda.link < Link.TRANSFER, day - cohort.last_discharge[who]
    state = State(
        case=agenda.case,
        age=age,
        has=has,
        frailty=cohort.frailty[who],
        severity=severity(values),
        stays_before=(cohort.recent[who] > day[:, None] - 365).sum(axis=1).astype(float),
        discharged_30d=is_back & (gap < 31),
        discharged_90d=is_back & (gap < 91),
        emergency_visits=np.minimum(seen, 4).astype(float),
        is_self_pay=cohort.payer[who] == "self_pay",
        winter=season(day),
    )
    return state, values


def _length_and_cost(
    agenda: Agenda,
    usual_days: Floats,
    usual_charges: Floats,
    is_complicated: Flags,
    is_part: Flags,
    dies: Flags,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """When the stay ends, and what it costs."""
    normal = rng.normal(0, 1, len(agenda.patient))
    part = np.where(is_part, TRANSFERRED_FIRST_PART, 1.0)
    days = stay_days(usual_days, normal, is_complicated.astype(float)) * part
    surcharge = 1 + COMPLICATION_SURCHARGE * is_complicated
    cost = usual_charges * cost_noise(normal, rng) * surcharge * part
    return _discharge_time(agenda.admitted, days, dies, rng), cost


def may_continue(state: State) -> Floats:
    """1 where a transfer or a split is possible: an adult's emergency."""
    return np.asarray(cases().is_emergency[state.case] & (state.age >= 18), dtype=float)


def _complication_code(case: Integers, rng: np.random.Generator) -> Integers:
    listed = complications()
    is_surgical = (cases().surgery[case] > 0)[:, None]
    return draw_case(np.where(is_surgical, listed.after_surgery, listed.medical), rng)


def _ending(state: State, goes_on: Flags, is_complicated: Flags, rng: np.random.Generator) -> Integers:
    n = len(state.case)
    open_end = may_continue(state) * ~goes_on
    draw = rng.random(n)
    leaves = rng.random(n)
    places = place_shares(state.age)
    bounds = np.cumsum(np.column_stack(list(places.values())), axis=1)
    ending = np.array([*places, Ending.HOME])[(leaves[:, None] >= bounds).sum(axis=1)]
    dies = rng.random(n) < death_in_hospital(state, is_complicated.astype(float))
    ending = np.where(dies, Ending.DIED, ending)
    ending = np.where(draw < (TRANSFER_SHARE + SPLIT_SHARE) * open_end, Ending.SPLIT, ending)
    return np.where(draw < TRANSFER_SHARE * open_end, Ending.ACUTE_TRANSFER, ending)


def _discharge_time(admitted: Floats, days: Floats, dies: Flags, rng: np.random.Generator) -> Floats:
    """Discharge rounds are held by day; the dying keep no hours."""
    n = len(admitted)
    by_day = np.floor(admitted + days) + rng.uniform(9, 17, n) / 24
    leaves = np.where(dies, admitted + days, by_day)
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
