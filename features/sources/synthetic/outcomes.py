"""The true risks of a complication and of an unplanned return, from which both are drawn.

Everything on log-odds. Beside the reason for the stay, most weight lies on what records show and simple
scores leave out: first-day laboratory values beyond thresholds or off normal on either side, conditions
outside the classical ones, how lately the patient was discharged, an early discharge of the polymorbid,
and combinations of these. Frailty, which no table shows, is a minor part.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from features.sources.synthetic.codes import Floats, Integers, cases, conditions
from features.sources.synthetic.laboratory import INFECTIONS
from features.sources.synthetic.risks import State
from features.sources.synthetic.stays import Ending

READMISSION_LEVEL = -3.70
READMISSION_BY_CASE = 0.36
COMPLICATION_LEVEL = -3.50
COMPLICATION_BY_CASE = 0.57
POLYMORBID_CONDITIONS = 4

_CONTRAST_CASES = (
    *("myocardial_infarction", "unstable_angina", "coronary_stent", "angiography"),
    *("pulmonary_embolism", "stroke"),
)

_BY_ENDING = {Ending.AGAINST_ADVICE: 1.0, Ending.NURSING: 0.35, Ending.REHABILITATION: -0.4}


def place_shares(age: Floats) -> dict[Ending, Floats]:
    """Where survivors leave to, with the chance of each; what is left goes home."""
    is_old = age > 75
    return {
        Ending.AGAINST_ADVICE: np.full(len(age), 0.012),
        Ending.TRANSFERRED_OUT: 0.003 + 0.001 * is_old,
        Ending.COMMUNITY: 0.038 + 0.08 * is_old,
        Ending.NURSING: 0.02 + 0.06 * is_old,
        Ending.REHABILITATION: 0.03 + 0.03 * is_old,
    }


@cache
def traits() -> Floats:
    """What the complication's drivers weigh on, one row each with 1 for the cases that have it."""
    listed = cases()
    is_major = listed.surgery == 2
    rows = (
        listed.is_emergency,
        is_major,
        is_major & listed.is_booked,
        listed.surgery > 0,
        np.isin(listed.names, _CONTRAST_CASES),
    )
    return np.asarray(np.vstack(rows), dtype=float)


def _complication_base(state: State) -> Floats:
    graded = state.severity
    return np.asarray(
        COMPLICATION_LEVEL
        + 0.06 * (state.has @ conditions().complication)
        + 0.50 * graded.potassium_off
        + 0.40 * (state.age > 70)
        + 0.05 * state.stays_before
        + 0.08 * state.frailty
    )


def _complication_drivers(state: State) -> Floats:
    """What weighs in cases of each trait only, one column per row of `traits`."""
    graded = state.severity
    return np.column_stack(
        [
            0.6 * (state.age > 80) + 0.9 * graded.very_low_albumin,
            1.0 * graded.high_glucose + 0.3 * (state.age > 75),
            1.4 * graded.very_low_albumin,
            0.8 * graded.deep_anaemia,
            1.6 * graded.poor_kidney,
        ]
    )


def complication_log_odds(state: State, case: Integers) -> Floats:
    """Log-odds of a complication for `case`, from what is known at admission."""
    by_trait = (_complication_drivers(state) * traits()[:, case].T).sum(axis=1)
    return np.asarray(
        _complication_base(state) + COMPLICATION_BY_CASE * cases().complication[case] + by_trait
    )


def complication_log_odds_by_case(state: State) -> Floats:
    """The same for every case, one column each."""
    by_case = _complication_drivers(state) @ traits() + COMPLICATION_BY_CASE * cases().complication
    return np.asarray(_complication_base(state)[:, None] + by_case)


def readmission_base(state: State) -> Floats:
    """Log-odds of an unplanned return apart from how the stay goes."""
    graded = state.severity
    older = ((state.age - 78) / 4).clip(0, 1)
    return np.asarray(
        READMISSION_LEVEL
        + READMISSION_BY_CASE * cases().readmission[state.case]
        + state.has @ conditions().readmission
        + 0.45 * older
        + 0.70 * state.discharged_30d
        + 0.20 * state.discharged_90d
        + 0.05 * state.stays_before
        + 0.12 * graded.anaemia
        + 0.60 * graded.very_low_albumin
        + 0.50 * graded.sodium_off
        + 0.65 * graded.potassium_off
        + 0.35 * graded.glucose_off
        + 0.50 * state.is_self_pay
        + 0.06 * state.frailty
        + _readmission_interactions(state)
    )


def _readmission_interactions(state: State) -> Floats:
    is_valve = state.case == cases().place("valve_surgery")
    is_infection = np.isin(state.case, [cases().place(name) for name in INFECTIONS])
    return np.asarray(
        0.60 * state.having("heart_failure") * state.severity.poor_kidney
        + 0.70 * state.having("copd") * (state.winter > 0.5)
        + 0.60 * state.having("diabetes") * is_infection
        + is_valve * (0.55 * state.having("atrial_fibrillation") + 0.60 * state.having("diabetes"))
    )


def readmission_in_stay(state: State, stay_days: Floats, is_complicated: Floats) -> Floats:
    """What the course of the stay adds: an early discharge after an emergency weighs on the polymorbid."""
    early = ((6 - stay_days) / 3).clip(0, 1) * cases().is_emergency[state.case]
    is_polymorbid = state.has.sum(axis=1) >= POLYMORBID_CONDITIONS
    return np.asarray(early * (0.20 + 0.90 * is_polymorbid) + 0.40 * is_complicated)


def readmission_log_odds(state: State, stay_days: Floats, is_complicated: Floats, ending: Integers) -> Floats:
    """Log-odds of an unplanned return within 30 days of a live discharge."""
    return readmission_base(state) + readmission_in_stay(state, stay_days, is_complicated) + by_ending(ending)


def by_ending(ending: Integers) -> Floats:
    """What the place adds that a patient leaves to."""
    added = np.zeros(max(Ending) + 1)
    for place, weight in _BY_ENDING.items():
        added[place] = weight
    return np.asarray(added[ending])
