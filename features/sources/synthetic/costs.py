"""The true mean cost of a stay and of an episode, known in closed form up to two measured factors.

A stay costs its mean times noise of mean 1 times (1 + `COMPLICATION_SURCHARGE` if complicated). An
episode adds the chance of each continuation, unplanned return and planned return times its mean cost.
"""

from __future__ import annotations

import numpy as np

from features.sources.synthetic.codes import Floats, Integers, cases, conditions
from features.sources.synthetic.risks import (
    COMPLICATION_BY_CASE,
    State,
    chance,
    complication_base,
    death_after,
    death_in_hospital,
    decades_beyond_65,
    readmission_log_odds,
)

COMPLICATION_SURCHARGE = 0.6
COMPLICATION_STRETCH = 1.5
"""How much longer a complicated stay lasts."""

TRANSFER_SHARE, SPLIT_SHARE = 0.018, 0.008
TRANSFERRED_FIRST_PART = 0.5
"""A stay that ends in a transfer or a split costs and lasts this share of a whole one."""

STAY_DAYS_SPREAD = 0.45
"""Standard deviation of the log of the length of stay."""

RETURN_FACTOR = 1.15
"""Mean cost in the window per return, over the mean of one return stay at the present state: a return can
be followed by another within the same window, and those who return are sicker by then. Measured."""

_NODES = np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0])
_NODE_WEIGHTS = np.array([1.0, 4.0, 1.0]) / 6
"""Gauss-Hermite quadrature of a standard normal in three points."""

_OUTLIER_SHARE, _OUTLIER_FACTOR = 0.006, 3.0
_LENGTH_PART, _OTHER_PART = 0.22, 0.36


def stay_cost(state: State) -> Floats:
    """Multiplier of a case's base cost from what is known of the patient at admission."""
    graded = state.severity
    return np.asarray(
        np.exp(
            0.05 * decades_beyond_65(state.age)
            + state.has @ conditions().cost
            + 0.10 * graded.low_albumin
            + 0.07 * graded.kidney
            + 0.04 * state.frailty
            - 0.12
        )
    )


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
    driver = stay_cost(state)
    own = listed.cost[state.case] * driver * (1 + COMPLICATION_SURCHARGE * complication)
    both = TRANSFER_SHARE + SPLIT_SHARE
    own = own * (1 + may_continue * both * (2 * TRANSFERRED_FIRST_PART - 1))
    p_return, p_alive = _return_chance(state, complication)
    p_return = p_return * may_return
    risk = chance(complication_base(state)[:, None] + COMPLICATION_BY_CASE * listed.complication)
    shares = weights / weights.sum(axis=1, keepdims=True)
    back = (shares * listed.cost * (1 + COMPLICATION_SURCHARGE * risk)).sum(axis=1) * driver
    p_planned = (p_alive - p_return).clip(0) * (1 - death_after(state)) * listed.next_share[state.case]
    planned = p_planned * listed.cost[listed.next_case[state.case]] * driver
    return np.asarray(own + RETURN_FACTOR * p_return * back + planned)


def _return_chance(state: State, complication: Floats) -> tuple[Floats, Floats]:
    """Chance of an unplanned return, and of leaving alive, over length of stay and complication."""
    mean = stay_days_mean(state)
    total, alive = np.zeros(len(mean)), np.zeros(len(mean))
    for happens, share in ((0.0, 1 - complication), (1.0, complication)):
        complicated = np.full(len(mean), happens)
        survives = 1 - death_in_hospital(state, complicated)
        alive += share * survives
        for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
            days = stay_days(mean, np.full(len(mean), node), complicated)
            total += share * survives * weight * chance(readmission_log_odds(state, days, complicated))
    return total, alive
