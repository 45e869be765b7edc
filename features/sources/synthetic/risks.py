"""The true risks of the made-up hospital group, from which outcomes are drawn.

Everything on log-odds. The strong drivers stand in the records by the time of the prediction; frailty,
which no table shows, is a minor part and shows itself through earlier stays and visits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers, cases, conditions
from features.sources.synthetic.laboratory import Severity

READMISSION_LEVEL = -3.60
COMPLICATION_BY_CASE = 0.72
COMPLICATION_LEVEL = -3.38
DEATH_IN_HOSPITAL_LEVEL = -5.8
_NEVER = -80.0
DEATH_AFTER_LEVEL = -5.35


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

    def at(self, rows: Integers) -> State:
        """The state of some of the patients."""
        return State(
            case=self.case[rows],
            age=self.age[rows],
            has=self.has[rows],
            frailty=self.frailty[rows],
            severity=self.severity.at(rows),
            stays_before=self.stays_before[rows],
            recent_discharge=self.recent_discharge[rows],
            emergency_visits=self.emergency_visits[rows],
        )


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
        + 0.28 * decades_beyond_65(state.age)
        + 0.32 * graded.low_albumin
        + 0.25 * graded.kidney
        + 0.10 * graded.anaemia
        + 0.25 * (state.has @ conditions().complication)
        + 0.08 * state.stays_before
        + 0.08 * state.frailty
    )


def complication_log_odds(state: State, case: Integers) -> Floats:
    """Log-odds of a complication for `case`; diabetes and old age weigh more in major surgery."""
    is_major = cases().surgery[case] == 2
    return np.asarray(
        complication_base(state)
        + COMPLICATION_BY_CASE * cases().complication[case]
        + is_major * (0.45 * state.having("diabetes") + 0.35 * (state.age > 75))
    )


def readmission_log_odds(state: State, stay_days: Floats, is_complicated: Floats) -> Floats:
    """Log-odds of an unplanned return within 30 days of a live discharge."""
    graded = state.severity
    is_valve = state.case == cases().place("valve_surgery")
    interactions = (
        0.25 * state.having("heart_failure") * state.having("kidney_disease")
        + 0.25 * (state.age > 80) * (stay_days >= 10)
        + is_valve * (0.65 * state.having("atrial_fibrillation") + 0.55 * state.having("diabetes"))
    )
    return np.asarray(
        READMISSION_LEVEL
        + 0.75 * cases().readmission[state.case]
        + 0.55 * (state.has @ conditions().readmission)
        + 0.12 * decades_beyond_65(state.age)
        + 0.28 * state.stays_before
        + 0.25 * state.recent_discharge
        + 0.12 * state.emergency_visits.clip(0, 4)
        + 0.18 * graded.anaemia
        + 0.12 * graded.low_sodium
        + 0.12 * graded.low_albumin
        + 0.20 * np.log1p(stay_days.clip(0, 40))
        + 0.35 * is_complicated
        + 0.10 * state.frailty
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
    rate = 0.15 * np.exp(0.8 * burden + 0.12 * decades_beyond_65(state.age) + 0.3 * state.frailty)
    return np.asarray(np.minimum(rate, 2.5))


def case_weights(frequency: Floats, has: Flags, age: Floats, is_male: Flags, season: Floats) -> Floats:
    """Relative frequency of every case for every patient: conditions, age, sex, season.

    `frequency` holds one row for all or one row each; `season` is 1 in mid-January, −1 in mid-July.
    """
    listed = cases()
    # One product of matrices instead of many passes over a large table: it is the innermost loop.
    drivers = np.column_stack([has, decades_beyond_65(age), season, is_male, ~is_male])
    wrong_sex = [np.where(listed.sex == sex, _NEVER, 0.0) for sex in ("female", "male")]
    weights = drivers @ np.vstack([listed.multipliers, listed.age, listed.winter, *wrong_sex])
    np.exp(weights, out=weights)
    weights *= frequency
    return np.asarray(weights)


def draw_case(weights: Floats, rng: np.random.Generator) -> Integers:
    """One case each with probability proportional to its weight."""
    totals = np.cumsum(weights, axis=1)
    target = rng.random(len(weights)) * totals[:, -1]
    return np.asarray((totals <= target[:, None]).sum(axis=1).clip(0, weights.shape[1] - 1))
