"""Differences between shapes: from when on one is told, how far chance reaches, and in what words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from features.quality.shape import FEWEST_ROWS, Mix, TableShape

Kind = Literal[
    "declaration", "table_new", "table_vanished", "column_new", "column_vanished", "value_new",
    "value_vanished", "rows", "missing", "mix", "numbers", "incomplete_end", "gap", "missing_jump",
    "mix_jump",
]  # fmt: skip
WHAT_TO_DO: dict[Kind, str] = {
    "declaration": "Ask which is right: models of the one declaration do not hold for the other.",
    "table_new": "Look whether models that never saw it should be trained again.",
    "table_vanished": "Ask for the table: its features are missing without it.",
    "column_new": "Look whether models that never saw it should be trained again.",
    "column_vanished": "Ask for the column: what rests on it is missing without it.",
    "value_new": "Look whether it is a new ward, payer or code edition, or one that is mapped otherwise.",
    "value_vanished": "Look whether something was closed, recoded, or left out of the extract.",
    "rows": "Ask whether the extract is complete and covers the same hospitals and wards.",
    "missing": "Ask why the column is filled otherwise, and whether it still means the same.",
    "mix": "Ask what changed: the mapping, the coding edition, or who is treated.",
    "numbers": "Ask whether the unit, the price level or the method changed.",
    "incomplete_end": "Take the extract again later, or declare an earlier observed_until.",
    "gap": "Ask what happened in that month: records may be missing, or there twice.",
    "missing_jump": "Ask what changed in that month, such as the record system or a form.",
    "mix_jump": "Ask what changed in that month: a new coding edition, a new mapping, or who is treated.",
}


@dataclass(frozen=True)
class DriftSettings:
    """From when on a difference is told; every one must also be more than chance (`chance`)."""

    rows: float = 0.10
    """Share by which the rows of a month that both extracts cover may differ: late coding and corrections."""
    monthly_rows: tuple[float, float] = (0.6, 1.6)
    """Rows of a month against its neighbours (or of a new month against the earlier extract's last year):
    holidays and the seasons move less than that."""
    missing: float = 0.05
    """Difference of the shares of missing values between extracts: one row in twenty."""
    missing_jump: float = 0.15
    """The same between the months before and after: single months vary more."""
    mix: float = 0.10
    """Jensen-Shannon distance (base 2, 0 to 1) of two mixes; 0.1 is about one row in ten in another place."""
    mix_jump: float = 0.20
    """The same between the months before and after, which also differ by season."""
    value: float = 0.01
    """Share from which a value that was not there before, or is no more, is named."""
    numbers: float = 0.5
    """Shift of the median in earlier interquartile ranges: no drift of years, but another unit or price."""
    chance: float = 4.0
    """How many times its expected size by chance (or standard errors) a difference must be."""
    months: int = 6
    """Months on each side of a jump."""


DEFAULT_DRIFT = DriftSettings()


@dataclass(frozen=True)
class Finding:
    """One difference: `month` where it is of one, `was` and `now` the two sides (share, rows or median)."""

    kind: Kind
    table: str
    column: str
    month: str
    was: float | None
    now: float | None
    text: str

    @property
    def what_to_do(self) -> str:
        """What whoever answers for the extract does about it."""
        return WHAT_TO_DO[self.kind]


def distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Jensen-Shannon distance of two mixes (base 2): 0 the same, 1 nothing in common."""
    import numpy as np
    from scipy.spatial.distance import jensenshannon

    if not sum(one.values()) or not sum(other.values()):
        return 0.0
    names = [*dict.fromkeys([*one, *other])]
    with np.errstate(invalid="ignore"):
        found = float(jensenshannon([one.get(n, 0) for n in names], [other.get(n, 0) for n in names], base=2))
    return 0.0 if math.isnan(found) else found  # what is equal but for rounding


def beyond_chance(now: Mix, was: Mix, least: float, chance: float) -> float | None:
    """The distance of two mixes if it is more than `least` and than chance makes it; None if not."""
    if min(now.total, was.total) < FEWEST_ROWS:
        return None
    apart = distance(*levelled(now, was))
    # Of two samples of one mix the divergence is about (k - 1)/8 × (1/n + 1/m) nats.
    k = len({*now.values, *was.values})
    by_chance = k / 8 * (1 / now.total + 1 / was.total) / math.log(2)
    return apart if apart**2 > max(least**2, chance * by_chance) else None


def levelled(now: Mix, was: Mix) -> tuple[dict[str, float], dict[str, float]]:
    """The shares of two mixes, as near to each other as pooling lets them be; `""` is the rest.

    How many of the pooled rows hold a value that a side does not show, or hides in some month, is not known:
    its rest may hold as many as the other side has. What a side shows whole stays as it is.
    """
    return _filled(now, was), _filled(was, now)


def _filled(mix: Mix, other: Mix) -> dict[str, float]:
    shares = {value: n / mix.total for value, n in mix.values.items()}
    rest = mix.rest / mix.total
    lacking = {
        value: n / other.total - shares.get(value, 0.0)
        for value, n in other.values.items()
        if (value in mix.hidden or value not in mix.values) and n / other.total > shares.get(value, 0.0)
    }
    part = min(1.0, rest / sum(lacking.values())) if lacking else 0.0
    filled = {value: shares.get(value, 0.0) + part * share for value, share in lacking.items()}
    return shares | filled | {"": max(rest - part * sum(lacking.values()), 0.0)}


def movers(now: Mix, was: Mix, most: int = 3) -> str:
    """The values that changed most, however many are pooled, with the shares that are shown, as words."""
    after, before = levelled(now, was)
    change = {v: round(abs(after.get(v, 0.0) - before.get(v, 0.0)), 6) for v in {*now.values, *was.values}}
    moved = sorted(change, key=lambda value: (-change[value], value))[:most]
    words = [
        f"{quoted(v)} {was.values.get(v, 0) / was.total:.1%} to {now.values.get(v, 0) / now.total:.1%}"
        for v in moved
    ]
    return f" (most: {', '.join(words)})" if words else ""


def quoted(value: str) -> str:
    return f"“{value[:40]}”"


def row_noise(table: TableShape, settings: DriftSettings) -> Callable[[float], float]:
    """How far counts of rows that come several together may lie from an expected one by chance."""
    return lambda expected: settings.chance * math.sqrt(expected * table.rows_per_patient)


def standard_error(one: float, n_one: float, other: float, n_other: float) -> float:
    """Of the difference of two shares, of `n_one` and `n_other` rows (more than 0), if they are the same."""
    pooled = (one * n_one + other * n_other) / (n_one + n_other)
    return math.sqrt(pooled * (1 - pooled) * (1 / n_one + 1 / n_other))


def months_of(table: TableShape) -> list[str]:
    """Every month from the first with rows to the last, those without rows too."""
    if not table.rows_by_month:
        return []
    found, last = [min(table.rows_by_month)], max(table.rows_by_month)
    while found[-1] < last:
        year, month = divmod(int(found[-1][:4]) * 12 + int(found[-1][5:]), 12)
        found.append(f"{year:04}-{month + 1:02}")
    return found
