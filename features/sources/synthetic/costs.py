"""The true mean cost of a stay and of an episode, known in closed form up to two measured factors.

A stay costs its mean times noise of mean 1 times (1 + `COMPLICATION_SURCHARGE` if complicated). An
episode adds the chance of each continuation, unplanned return and planned return times its mean cost.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from features.sources.synthetic.codes import Floats, Integers, cases, conditions
from features.sources.synthetic.outcomes import (
    by_ending,
    complication_log_odds_by_case,
    place_shares,
    readmission_base,
    readmission_in_stay,
)
from features.sources.synthetic.risks import (
    State,
    chance,
    death_after,
    death_in_hospital,
    decades_beyond_65,
)

COMPLICATION_SURCHARGE = 0.6
COMPLICATION_STRETCH = 1.5
"""How much longer a complicated stay lasts."""

TRANSFER_SHARE, SPLIT_SHARE = 0.018, 0.008
TRANSFERRED_FIRST_PART = 0.5
"""A stay that ends in a transfer or a split costs and lasts this share of a whole one."""

STAY_DAYS_SPREAD = 0.45
"""Standard deviation of the log of the length of stay."""

LASTING_SHARE = 0.3
"""How much of what the laboratory found counts for the cost of a later stay, which draws its own values."""

RETURN_FACTOR = 1.47
"""Mean cost in the window per return, over the mean of one return stay at the present state: a return can
be followed by another within the same window, those who return are sicker by then, and their new
laboratory values add to the cost. Measured: with it the deciles of expected costs hold."""

_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_NODE_WEIGHTS = _NODE_WEIGHTS / np.sqrt(2 * np.pi)
"""Gauss-Hermite quadrature of a standard normal in seven points."""

_OUTLIER_SHARE, _OUTLIER_FACTOR = 0.006, 3.0
_LENGTH_PART, _OTHER_PART = 0.20, 0.26


@cache
def _cost_traits() -> Floats:
    """What the cost's drivers weigh on, one row each with 1 for the cases that have it."""
    listed = cases()
    is_major, emergency = listed.surgery == 2, listed.is_emergency
    heart = np.isin(listed.department, ["cardiac_surgery", "cardiology"])
    bones_and_belly = np.isin(listed.department, ["orthopaedics", "general_surgery", "gastroenterology"])
    rows = (is_major & listed.is_booked, emergency, emergency & (listed.surgery == 0), heart, bones_and_belly)
    return np.asarray(np.vstack(rows), dtype=float)


def _cost_drivers(state: State) -> Floats:
    """What weighs in cases of each trait only, on the log of the cost, one column per row of the traits."""
    graded = state.severity
    return np.column_stack(
        [
            0.35 * (state.age > 75) + 0.35 * graded.high_glucose + 0.30 * graded.very_low_albumin,
            0.45 * graded.very_low_albumin - 0.30 * (state.age > 80),
            0.40 * graded.many_white_cells + 0.15 * graded.sodium_off,
            0.40 * graded.poor_kidney,
            0.35 * graded.deep_anaemia,
        ]
    )


def _cost_base(state: State) -> Floats:
    return np.asarray(
        0.02 * decades_beyond_65(state.age)
        + state.has @ conditions().cost
        + 0.12 * state.severity.potassium_off
        + 0.03 * state.frailty
        - 0.28
    )


def stay_cost(state: State, case: Integers) -> Floats:
    """Multiplier of a case's base cost from what is known of the patient at admission."""
    by_trait = (_cost_drivers(state) * _cost_traits()[:, case].T).sum(axis=1)
    return np.asarray(np.exp(_cost_base(state) + by_trait))


def _stay_cost_by_case(state: State) -> Floats:
    """The same for every case, one column each."""
    return np.asarray(np.exp(_cost_base(state)[:, None] + _cost_drivers(state) @ _cost_traits()))


def stay_days_mean(state: State) -> Floats:
    """Mean length of an uncomplicated stay in days."""
    return np.asarray(
        cases().stay_days[state.case]
        * np.exp(0.06 * decades_beyond_65(state.age) + 0.10 * state.severity.low_albumin - 0.05)
    )


def stay_days(mean: Floats, normal: Floats, is_complicated: Floats) -> Floats:
    """Length of stay at a standard normal deviate; a complicated stay lasts at least two days."""
    days = mean * np.exp(STAY_DAYS_SPREAD * normal - STAY_DAYS_SPREAD**2 / 2)
    days = days * np.where(is_complicated > 0, COMPLICATION_STRETCH, 1.0)
    return np.asarray(np.maximum(days, np.where(is_complicated > 0, 2.0, 0.4)).clip(max=120))


def cost_noise(length_normal: Floats, rng: np.random.Generator) -> Floats:
    """Noise of mean 1 that goes with the length of stay and has a heavy tail of rare outliers."""
    n = len(length_normal)
    log = _LENGTH_PART * length_normal + _OTHER_PART * rng.normal(0, 1, n)
    log = log - (_LENGTH_PART**2 + _OTHER_PART**2) / 2
    outlier = np.where(rng.random(n) < _OUTLIER_SHARE, _OUTLIER_FACTOR, 1.0)
    return np.asarray(np.exp(log) * outlier / (1 + _OUTLIER_SHARE * (_OUTLIER_FACTOR - 1)))


def return_frequency(case: Integers) -> Floats:
    """Relative frequency of each case in an unplanned return after `case`; the same illness comes back."""
    listed = cases()
    is_chemo = case == listed.place("chemotherapy")
    frequency = np.where((listed.surgery[case] > 0)[:, None], listed.again_surgery, listed.again)
    frequency = np.where(is_chemo[:, None], listed.again_chemo, frequency)
    same = np.arange(len(listed.names)) == case[:, None]
    return np.asarray(frequency * np.where(same, 4.0, 1.0))


def episode_cost(
    state: State, weights: Floats, complication: Floats, may_continue: Floats, may_return: Floats
) -> Floats:
    """Expected episode cost at admission.

    `weights` are the relative frequencies of cases in an unplanned return, `may_continue` is 1 where a
    transfer or split is possible, `may_return` 0 where returns are not followed (minors).
    """
    listed = cases()
    own = listed.cost[state.case] * stay_cost(state, state.case) * (1 + COMPLICATION_SURCHARGE * complication)
    both = TRANSFER_SHARE + SPLIT_SHARE
    own = own * (1 + may_continue * both * (2 * TRANSFERRED_FIRST_PART - 1))
    p_return, p_alive = _return_chance(state, complication)
    p_return = p_return * may_return
    # The laboratory values of a later stay are new ones.
    later = replace(state, severity=state.severity.faded(LASTING_SHARE))
    surcharge = 1 + COMPLICATION_SURCHARGE * chance(complication_log_odds_by_case(later))
    shares = weights / weights.sum(axis=1, keepdims=True)
    back = (shares * listed.cost * surcharge * _stay_cost_by_case(later)).sum(axis=1)
    p_planned = (p_alive - p_return).clip(0) * (1 - death_after(state)) * listed.next_share[state.case]
    following = listed.next_case[state.case]
    planned = p_planned * listed.cost[following] * stay_cost(later, following)
    return np.asarray(own + RETURN_FACTOR * p_return * back + planned)


def _return_chance(state: State, complication: Floats) -> tuple[Floats, Floats]:
    """Chance of an unplanned return, and of leaving alive, over complication, length of stay and place."""
    mean, base = stay_days_mean(state), readmission_base(state)
    places = _weights_of_places(state.age)
    total, alive = np.zeros(len(mean)), np.zeros(len(mean))
    for happens, share in ((0.0, 1 - complication), (1.0, complication)):
        complicated = np.full(len(mean), happens)
        survives = share * (1 - death_in_hospital(state, complicated))
        alive += survives
        for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
            days = stay_days(mean, np.full(len(mean), node), complicated)
            log_odds = base + readmission_in_stay(state, days, complicated)
            for added, place_share in places:
                total += survives * weight * place_share * chance(log_odds + added)
    return total, alive


def _weights_of_places(age: Floats) -> list[tuple[float, Floats]]:
    """What each place to leave to adds to the log-odds of a return, and its share; first those of none."""
    shares = place_shares(age)
    added = {place: float(by_ending(np.array([place]))[0]) for place in shares}
    weighing = [(added[place], share) for place, share in shares.items() if added[place]]
    return [(0.0, 1 - np.sum([share for _, share in weighing], axis=0)), *weighing]
