"""The state of patients at an admission, and their true risks of death and of further illness.

Frailty, which no table shows, is a minor part and shows itself through earlier stays and visits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers, cases, conditions
from features.sources.synthetic.laboratory import Severity

DEATH_IN_HOSPITAL_LEVEL = -5.8
_NEVER = -80.0
DEATH_AFTER_LEVEL = -5.35


@dataclass
class State:
    """What is true of each patient at an admission.

    `stays_before` counts the year before, `emergency_visits` half a year; `discharged_30d` and
    `discharged_90d` say whether the last discharge lies that few days back. `winter` is 1 in mid-January,
    −1 in mid-July.
    """

    case: Integers
    age: Floats
    has: Flags
    frailty: Floats
    severity: Severity
    stays_before: Floats
    discharged_30d: Flags
    discharged_90d: Flags
    emergency_visits: Floats
    is_self_pay: Flags
    winter: Floats

    def having(self, name: str) -> Floats:
        """1 where the patient has the condition."""
        return np.asarray(self.has[:, conditions().place(name)], dtype=float)

    def at(self, rows: Integers) -> State:
        """The state of some of the patients."""
        others = {
            item.name: getattr(self, item.name)[rows] for item in fields(self) if item.name != "severity"
        }
        return State(severity=self.severity.at(rows), **others)


def chance(log_odds: Floats) -> Floats:
    """The probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def decades_beyond_65(age: Floats) -> Floats:
    """Age as the risks use it: flat below 40 and above 90."""
    return np.asarray((age.clip(40, 90) - 65) / 10)


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
