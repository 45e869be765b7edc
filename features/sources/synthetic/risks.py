"""The true risks of the made-up hospital group, from which outcomes are drawn.

Everything on log-odds. The strong drivers stand in the records by the time of the prediction; frailty,
which no table shows, is a minor part and shows itself through earlier stays and visits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers, cases, conditions
from features.sources.synthetic.laboratory import Severity

READMISSION_LEVEL = -5.25
COMPLICATION_LEVEL = -4.15
DEATH_IN_HOSPITAL_LEVEL = -6.3
DEATH_AFTER_LEVEL = -5.6


@dataclass
class State:
    """What is true of each patient at an admission; times in days, counts before the admission."""

    case: Integers
    age: Floats
    has: Flags
    frailty: Floats
    severity: Severity
    stays_before: Floats
    recent_discharge: Flags
    emergency_visits: Floats

    def having(self, name: str) -> Floats:
        """1 where the patient has the condition."""
        return np.asarray(self.has[:, conditions().place(name)], dtype=float)


def chance(log_odds: Floats) -> Floats:
    """The probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def decades_beyond_65(age: Floats) -> Floats:
    """Age as the risks use it: flat below 40 and above 90."""
    return np.asarray((age.clip(40, 90) - 65) / 10)


def complication_base(state: State) -> Floats:
    """Log-odds of a complication apart from the reason for the stay, from what is known at admission."""
    graded = state.severity
    return np.asarray(
        COMPLICATION_LEVEL
        + 0.32 * decades_beyond_65(state.age)
        + 0.40 * graded.low_albumin
        + 0.35 * graded.kidney
        + 0.15 * graded.anaemia
        + 0.45 * (state.has @ conditions().complication)
        + 0.12 * state.stays_before
        + 0.12 * state.frailty
    )


def complication_log_odds(state: State, case: Integers) -> Floats:
    """Log-odds of a complication for `case`; diabetes and old age weigh more in major surgery."""
    is_major = cases().surgery[case] == 2
    return np.asarray(
        complication_base(state)
        + 0.85 * cases().complication[case]
        + is_major * (0.45 * state.having("diabetes") + 0.35 * (state.age > 75))
    )


def readmission_log_odds(state: State, stay_days: Floats, is_complicated: Floats) -> Floats:
    """Log-odds of an unplanned return within 30 days of a live discharge."""
    graded = state.severity
    is_valve = state.case == cases().place("valve_surgery")
    interactions = (
        0.45 * state.having("heart_failure") * state.having("kidney_disease")
        + 0.35 * (state.age > 80) * (stay_days >= 10)
        + is_valve * (0.65 * state.having("atrial_fibrillation") + 0.55 * state.having("diabetes"))
    )
    return np.asarray(
        READMISSION_LEVEL
        + 1.25 * cases().readmission[state.case]
        + state.has @ conditions().readmission
        + 0.12 * decades_beyond_65(state.age)
        + 0.40 * state.stays_before
        + 0.35 * state.recent_discharge
        + 0.15 * state.emergency_visits.clip(0, 4)
        + 0.25 * graded.anaemia
        + 0.20 * graded.low_sodium
        + 0.20 * graded.low_albumin
        + 0.30 * np.log1p(stay_days.clip(0, 40))
        + 0.45 * is_complicated
        + 0.15 * state.frailty
        + interactions
    )


def death_in_hospital(state: State, is_complicated: Floats) -> Floats:
    """Probability of dying during the stay."""
    graded = state.severity
    return chance(
        DEATH_IN_HOSPITAL_LEVEL
        + cases().death[state.case]
        + 0.45 * decades_beyond_65(state.age)
        + 0.6 * (state.has @ conditions().death)
        + 0.35 * graded.low_albumin
        + 0.3 * graded.kidney
        + 0.2 * state.frailty
        + 1.2 * is_complicated
    )


def death_after(state: State) -> Floats:
    """Probability of dying within 30 days of discharge if not readmitted."""
    return chance(
        DEATH_AFTER_LEVEL
        + 0.6 * cases().death[state.case]
        + 0.5 * decades_beyond_65(state.age)
        + 0.7 * (state.has @ conditions().death)
        + 0.4 * state.severity.low_albumin
        + 0.3 * state.frailty
    )


def emergencies_per_year(state: State) -> Floats:
    """Rate of stays out of the blue beyond the 30 days after a discharge."""
    burden = state.has @ conditions().emergency
    rate = 0.11 * np.exp(0.8 * burden + 0.12 * decades_beyond_65(state.age) + 0.3 * state.frailty)
    return np.asarray(np.minimum(rate, 2.5))


def case_weights(frequency: Floats, state: State, is_male: Flags, season: Floats) -> Floats:
    """Relative frequency of every case for every patient: conditions, age, sex, season.

    `frequency` holds one row for all or one row each; `season` is 1 in mid-January, −1 in mid-July.
    """
    listed = cases()
    log_factor = (
        state.has @ listed.multipliers
        + np.outer(decades_beyond_65(state.age), listed.age)
        + np.outer(season, listed.winter)
    )
    weights = frequency * np.exp(log_factor)
    wrong_sex = np.where(is_male[:, None], listed.sex == "female", listed.sex == "male")
    return np.asarray(np.where(wrong_sex, 0.0, weights))


def draw_case(weights: Floats, rng: np.random.Generator) -> Integers:
    """One case each with probability proportional to its weight."""
    totals = np.cumsum(weights, axis=1)
    target = rng.random(len(weights)) * totals[:, -1]
    return np.asarray((totals <= target[:, None]).sum(axis=1).clip(0, weights.shape[1] - 1))
