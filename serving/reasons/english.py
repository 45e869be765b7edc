"""Reasons in English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from models.units import Scale
from serving.reasons.none import NoneOf, none_of
from serving.reasons.words import Words, days, money, number, percent

_COUNTED = {
    "admissions": "admission",
    "visits": "visit",
    "diagnoses": "diagnosis",
    "procedures": "procedure",
    "operations": "operation",
    "medications": "medication",
    "groups": "group",
    "therapies": "therapy",
    "days": "day",
    "hours": "hour",
}
"""Nouns that a label may begin with, so that a number reads before it: 3 admissions in the last year."""
_DURATIONS = ("days", "h")
_COUNTING_UNITS = frozenset(
    {
        *("stays", "visits", "diagnoses", "procedures", "operations", "substances", "groups", "conditions"),
        *_DURATIONS,
    }
)
# The noun with words that describe it: what follows a preposition is not what is counted.
_BEGINNING = re.compile(rf"((?:(?!of |in |from )[\w-]+ )*?)({'|'.join(_COUNTED)})\b", re.IGNORECASE)
_SYMBOLS = {
    "1": "",
    "10*9/L": "× 10⁹/L",
    "g/dL/d": "g/dL a day",
    "mg/dL/d": "mg/dL a day",
    "mmol/L/d": "mmol/L a day",
}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NAMED = {"admission_weekday": _WEEKDAYS, "admission_month": _MONTHS}
_MISSING = {"not_known": "not recorded", "not_sent": "not sent"}
_NONE: Mapping[NoneOf, str] = {
    "none": "none",
    "none_in_year": "none in the last year",
    "no_result": "no result",
    "no_result_in_year": "no result in the last year",
    "fewer_than_two_results": "fewer than two results",
}


def _statement(reason: Mapping[str, Any]) -> str:
    label, value, unit = reason["label"], reason["value"], reason["unit"]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and unit in _COUNTING_UNITS:
        phrase = _counting_phrase(label, value == 1)
        if phrase:
            return f"{'No' if value == 0 and unit not in _DURATIONS else number(value)} {phrase}"
    return f"{_plain_label(label)}: {_value(reason)}"


@lru_cache(maxsize=4096)
def _counting_phrase(label: str, is_one: bool) -> str:
    """The label as it reads after a number; empty where it names nothing that is counted.

    >>> _counting_phrase("Emergency visits in the last year", True), _counting_phrase("Length of stay", True)
    ('emergency visit in the last year', '')
    """
    found = _BEGINNING.match(label)
    if found is None:
        return ""
    described, noun = found.groups()
    counted = _COUNTED[noun.lower()] if is_one else noun.lower()
    return f"{described[:1].lower()}{described[1:]}{counted}{label[found.end() :]}"


@lru_cache(maxsize=4096)
def _plain_label(label: str) -> str:
    """The label without a colon of its own: one is enough in a sentence."""
    return label.replace(": ", ", ")


def _value(reason: Mapping[str, Any]) -> str:
    value, unit = reason["value"], reason["unit"]
    if value is None:
        missing = reason.get("missing") or "not_known"
        return _NONE[none_of(reason["feature"])] if missing == "none" else _MISSING[missing]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.replace("_", " ")
    feature = reason.get("feature", "")
    named = _NAMED.get(feature)
    if named and 1 <= value <= len(named):
        return named[int(value) - 1]
    if feature == "admission_hour":
        return f"{value:02.0f}:00 to {value:02.0f}:59"
    return f"{number(value)} {_unit(unit, value == 1)}".rstrip()


@lru_cache(maxsize=4096)
def _unit(unit: str, is_one: bool) -> str:
    """The unit as it is read after a number, of exactly one in the singular."""
    if unit in _SYMBOLS:
        return _SYMBOLS[unit]
    if not is_one or not unit.isalpha():
        return unit
    return _COUNTED.get(unit) or unit.removesuffix("s")


def _family(family: str, n: int) -> str:
    words = family[:1].upper() + family[1:]
    return f"{words}: {n} {'value' if n == 1 else 'values together'}"


def _amount(value: float, scale: Scale, currency: str | None) -> str:
    if scale == "log_odds":
        bound, share = percent(value, sign=" %")
        return {"<": "less than ", ">": "more than ", "": ""}[bound] + share
    if scale == "log_days":
        told = days(value)
        return f"{told} {'day' if told == '1' else 'days'}"
    return f"{money(value)} {currency or ''}".rstrip()


_RISK, _EXPECTED = "The model's risk is {now}; ", "The model expects {now}; "
_ADDS, _TAKES = "without what this adds, it would ", "without what this takes off, it would "
_SAME = "without this it would be about the same."

ENGLISH = Words(
    tag="en",
    statement=_statement,
    family=_family,
    told="{statement} ({effect})",
    effects={
        ("log_odds", "raises"): "raises the risk",
        ("log_odds", "lowers"): "lowers the risk",
        ("log_odds", "none"): "no effect",
        ("log_money", "raises"): "raises the expected amount",
        ("log_money", "lowers"): "lowers the expected amount",
        ("log_money", "none"): "no effect",
        ("log_days", "raises"): "raises the expected length of stay",
        ("log_days", "lowers"): "lowers the expected length of stay",
        ("log_days", "none"): "no effect",
    },
    amount=_amount,
    currency=str,
    effect={
        ("log_odds", "raises"): f"{_RISK}{_ADDS}be {{without}}.",
        ("log_odds", "lowers"): f"{_RISK}{_TAKES}be {{without}}.",
        ("log_odds", "none"): f"{_RISK}{_SAME}",
        ("log_money", "raises"): f"{_EXPECTED}{_ADDS}expect {{without}}.",
        ("log_money", "lowers"): f"{_EXPECTED}{_TAKES}expect {{without}}.",
        ("log_money", "none"): f"{_EXPECTED}{_SAME}",
        ("log_days", "raises"): f"{_EXPECTED}{_ADDS}expect {{without}}.",
        ("log_days", "lowers"): f"{_EXPECTED}{_TAKES}expect {{without}}.",
        ("log_days", "none"): f"{_EXPECTED}{_SAME}",
    },
    not_a_cause="This is how the model sees it, not a cause.",
    gap=" ",
    stop=".",
    semicolon="; ",
)
