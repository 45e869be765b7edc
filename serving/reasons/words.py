"""The words of one language for reasons and their effects, and numbers as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.units import Scale

LEAST_SHARE, FINE_SHARE, MOST_SHARE = 0.001, 0.1, 0.995
"""Below the first and above the last a risk is told as a bound, below the middle one with a decimal."""


@dataclass(frozen=True)
class Words:
    """How one language says it.

    `statement` tells what the model saw of a feature and `family` of how many features of a family;
    `effects` what a contribution does. `told` puts the two together. `amount` is a predicted value on its
    scale with its currency, `currency` that currency alone. `effect` has for each direction and scale what
    the prediction is and what it would be, and for no direction that it would be about the same. `gap`
    stands between sentences, `stop` at the end of one, `semicolon` between parts of one.
    """

    tag: str
    statement: Callable[[Mapping[str, Any]], str]
    family: Callable[[str, int], str]
    told: str
    effects: Mapping[tuple[str, str], str]
    amount: Callable[[float, Scale, str | None], str]
    currency: Callable[[str], str]
    effect: Mapping[tuple[str, str], str]
    not_a_cause: str
    gap: str
    stop: str
    semicolon: str


def percent(share: float, *, sign: str) -> tuple[str, str]:
    """A probability as (bound, percentage): the bound is "<" or ">" where the number is one, else empty.

    Whole percents, below 10 % one decimal: more is not known.

    >>> percent(0.2312, sign=" %"), percent(0.0449, sign="%"), percent(0.0997, sign="%")
    (('', '23 %'), ('', '4.5%'), ('', '10%'))
    >>> percent(0.0004, sign="%"), percent(0.9981, sign="%")
    (('<', '0.1%'), ('>', '99%'))
    """
    if share < LEAST_SHARE:
        return "<", f"0.1{sign}"
    if share >= MOST_SHARE:
        return ">", f"99{sign}"
    # As it will be printed: 9.97 % is 10 %, not 10.0 %.
    decimals = 1 if round(share, 3) < FINE_SHARE else 0
    return "", f"{100 * share:.{decimals}f}".removesuffix(".0") + sign


def money(amount: float) -> str:
    """Three digits that count, whole units from 100 on.

    >>> money(41823.4), money(1284067.0), money(84.4)
    ('41,800', '1,280,000', '84')
    """
    digits = 0 if amount < 100 else math.floor(math.log10(amount)) - 2
    return f"{round(amount, -digits):,.0f}"


def days(amount: float) -> str:
    """Days to a tenth, from ten on whole ones.

    >>> days(6.24), days(9.97), days(14.4), days(1.0)
    ('6.2', '10', '14', '1')
    """
    return f"{amount:.1f}".removesuffix(".0") if round(amount, 1) < 10 else f"{amount:.0f}"


def number(value: float) -> str:
    """A value of a feature: two decimals below 100, whole beyond.

    >>> number(9.04), number(9.0), number(18200.4), number(-0.001)
    ('9.04', '9', '18,200', '0')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short
