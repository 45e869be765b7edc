"""Charges by day and category; the categories of a stay add up to its total to the cent.

The first day is charged as in a usual stay of its kind: it knows nothing of a complication still to come, nor
of how long and how dear the stay will turn out to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.sources.synthetic.codes import Floats, Integers, cases

CATEGORIES = (
    *("general", "drugs", "nursing", "laboratory", "imaging", "diagnostics", "treatment", "consumables"),
    *("surgery", "anaesthesia", "blood", "rehabilitation", "chinese_medicine", "other", "antimicrobials"),
)
_ANTIMICROBIALS = CATEGORIES.index("antimicrobials")

# Shares of the total by kind of stay, in the order of CATEGORIES without antimicrobials.
_SHARES = {
    "medical": (9, 32, 3, 16, 10, 6, 12, 7, 0, 0, 1, 1, 2.5, 0.5),
    "minor": (6, 17, 2, 11, 8, 5, 7, 25, 13, 4, 0.5, 0, 1, 0.5),
    "major": (6, 16, 3, 8, 5, 3, 8, 32, 11, 5, 2, 0.5, 0.3, 0.2),
    "chemo": (6, 58, 2, 14, 7, 3, 6, 3, 0, 0, 0.5, 0, 0, 0.5),
    "rehabilitation": (10, 10, 3, 4, 3, 3, 10, 2, 0, 0, 0, 50, 4.5, 0.5),
}
# On which days of a stay a category is charged: every `step` days from `first`, at most `most` times.
_RHYTHM = {
    "general": (0, 1, 400),
    "drugs": (0, 1, 400),
    "nursing": (0, 3, 400),
    "laboratory": (0, 3, 400),
    "imaging": (0, 6, 2),
    "diagnostics": (0, 8, 2),
    "treatment": (0, 2, 400),
    "consumables": (1, 5, 3),
    "surgery": (1, 1, 1),
    "anaesthesia": (1, 1, 1),
    "blood": (1, 1, 1),
    "rehabilitation": (2, 2, 400),
    "chinese_medicine": (2, 4, 400),
    "other": (0, 1, 1),
}
_STARTS_AT_ONCE = np.array([float(first == 0) for first, _, _ in _RHYTHM.values()])
"""1 for a category that is charged on the first day, in the order of CATEGORIES."""


@dataclass
class Charges:
    """Charges, one place each: place of the stay, day, place of the category, amount in CNY."""

    stay: Integers
    day: Floats
    category: Integers
    amount: Floats


def charge(
    case: Integers,
    admitted: Floats,
    discharged: Floats,
    cost: Floats,
    usual_daily_cost: Floats,
    rng: np.random.Generator,
) -> Charges:
    """Spread each stay's cost over categories and days; antimicrobials repeat a part of the drugs."""
    cents = np.round(cost * 100).astype(np.int64)
    last = (np.floor(discharged) - np.floor(admitted)).astype(np.int64)
    first_cents = _first_day(cents, last, usual_daily_cost, rng)
    on_first_day = _by_category(case, first_cents, rng, _STARTS_AT_ONCE)
    later = _by_category(case, cents - first_cents, rng, np.ones_like(_STARTS_AT_ONCE))
    parts = []
    for place, name in enumerate(CATEGORIES[:_ANTIMICROBIALS]):
        rows, day, amount = (
            np.concatenate(both)
            for both in zip(
                _over_days(name, on_first_day[:, place], np.zeros_like(last), 0, rng),
                _over_days(name, later[:, place], last, 1, rng),
                strict=True,
            )
        )
        parts.append((rows, day, np.full(len(rows), place), amount))
        if name == "drugs":
            part = np.floor(amount * rng.uniform(0.1, 0.6, len(rows))).astype(np.int64)
            given = (rng.random(len(case)) < 0.35)[rows] & (part > 0)
            parts.append((rows[given], day[given], np.full(given.sum(), _ANTIMICROBIALS), part[given]))
    stay, day, category, amount = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Charges(stay, np.floor(admitted)[stay] + day, category, amount / 100)


def _first_day(
    cents: Integers, last: Integers, usual_daily_cost: Floats, rng: np.random.Generator
) -> Integers:
    """What the first day of a stay of several days is charged, at most half of what the stay costs."""
    usual = np.floor(usual_daily_cost * 100 * rng.gamma(4.0, 0.25, len(cents))).astype(np.int64)
    return np.where(last > 0, np.minimum(usual, cents // 2), 0)


def _by_category(case: Integers, cents: Integers, rng: np.random.Generator, charged: Floats) -> Integers:
    """Each stay's cents by category, of those that are `charged` (1; the others 0)."""
    listed = cases()
    kinds = list(_SHARES)
    kind = listed.surgery.copy()
    kind[listed.place("chemotherapy")] = kinds.index("chemo")
    kind[listed.place("rehabilitation")] = kinds.index("rehabilitation")
    shares = np.array(list(_SHARES.values()))[kind[case]]
    shares = shares * rng.gamma(4.0, 0.25, shares.shape) * charged
    amounts = np.floor(shares / shares.sum(axis=1, keepdims=True) * cents[:, None]).astype(np.int64)
    amounts[:, 0] += cents - amounts.sum(axis=1)
    return np.asarray(amounts)


def _over_days(
    name: str, cents: Integers, last: Integers, earliest: int, rng: np.random.Generator
) -> tuple[Integers, Integers, Integers]:
    first, step, most = _RHYTHM[name]
    start = np.minimum(max(first, earliest), last)
    times = np.minimum((last - start) // step + 1, most)
    times = np.where(cents > 0, np.minimum(times, cents), 0)
    rows = np.repeat(np.arange(len(cents)), times)
    ends = np.cumsum(times)
    turn = np.arange(len(rows)) - (ends - times)[rows]
    weight = rng.uniform(0.7, 1.3, len(rows))
    total = np.bincount(rows, weight, len(cents))
    amount = np.floor(weight / total[rows] * cents[rows]).astype(np.int64)
    rest = cents - np.bincount(rows, amount, len(cents)).astype(np.int64)
    opens = turn == 0
    amount[opens] += rest[rows[opens]]
    kept = amount > 0
    return rows[kept], (start[rows] + turn * step)[kept], amount[kept]
