"""Measures as a reader sees them on every page and at the terminal: name, fixed decimals, per cent, unit.

A share is told as a percentage, an amount with its unit (whole money, hundredths of a day), everything else
with three decimals. The decimals belong to the measure, not to the number, so that a column can be read down.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

NONE = "–"
Form = Literal["score", "fine", "share", "amount", "count"]
"""How a number is written: three decimals, four, a percentage, an amount with its unit, one decimal."""


@dataclass(frozen=True)
class Measure:
    """A measure in words, how its numbers are written, and what they are held against."""

    name: str
    form: Form
    against: str = ""


MEASURES = {
    "auroc": Measure("AUROC", "score", "0.5 chance, 1 perfect"),
    "auprc": Measure("AUPRC", "score", "the outcome's share is chance, 1 perfect"),
    "prevalence": Measure("Share with the outcome", "share"),
    "brier": Measure("Brier score", "fine", "0 perfect"),
    "scaled_brier": Measure(
        "Scaled Brier score", "score", "0 no better than the same risk for all, 1 perfect"
    ),
    "log_loss": Measure("Logarithmic loss", "fine", "0 perfect"),
    "calibration_in_the_large": Measure(
        "Calibration-in-the-large (log-odds)", "score", "0 ideal; above 0, risks are too low"
    ),
    "calibration_slope": Measure(
        "Calibration slope", "score", "1 ideal; below 1, predictions are too extreme"
    ),
    "ici": Measure("Mean distance of predicted from observed risk (ICI)", "share", "0 ideal"),
    "observed_expected_ratio": Measure("Observed ÷ expected", "score", "1 ideal; above 1, risks are too low"),
    "sensitivity": Measure("Sensitivity: share of those with the outcome who are flagged", "share"),
    "ppv": Measure("Positive predictive value: share of those flagged who have the outcome", "share"),
    "alerts_per_week": Measure("Flagged in a week", "count"),
    "alert_share": Measure("Share flagged", "share"),
    "net_benefit": Measure("Net benefit", "fine"),
    "net_benefit_of_all": Measure("Net benefit of flagging everyone", "fine"),
    "mae": Measure("Mean absolute error", "amount", "0 perfect"),
    "mdae": Measure("Median absolute error", "amount", "0 perfect"),
    "wape": Measure("Absolute error ÷ actual total (WAPE)", "share", "0 perfect"),
    "r2": Measure("R²", "score", "0 no better than the mean, 1 perfect"),
    "d2": Measure("Deviance explained (D²)", "score", "0 no better than the mean, 1 perfect"),
    "bias": Measure("Predicted ÷ actual total", "score", "1 ideal; below 1, amounts are too low"),
    "crps": Measure("CRPS of the predictive distribution", "amount", "0 perfect"),
    "interval_coverage": Measure("Share of actual amounts within the interval", "share"),
    "interval_width": Measure("Mean width of the interval", "amount"),
    "interval_width_median": Measure("Median width of the interval", "amount"),
    "interval_open_share": Measure("Share of intervals without an upper end", "share"),
}
SHORT = {
    "ici": "ICI",
    "wape": "WAPE",
    "d2": "D²",
    "calibration_in_the_large": "Calibration-in-the-large (log-odds)",
    "sensitivity": "Sensitivity",
    "ppv": "Positive predictive value",
    "interval_coverage": "Within the interval",
    "bias": "Predicted ÷ actual",
}
"""For heads of columns; the others' names are short enough."""


def measure_name(name: str) -> str:
    """A measure in words, with what it is held against and the threshold or capacity it is taken at."""
    measure, at = _measure(name)
    if not measure.against:
        return measure.name + at
    # One pair of brackets, also where the name has an abbreviation in its own.
    named = f"{measure.name[:-1]}; " if measure.name.endswith(")") else f"{measure.name} ("
    return f"{named}{measure.against}){at}"


def short_name(name: str) -> str:
    """A measure's name for the head of a column or a line."""
    measure, at = _measure(name)
    return SHORT.get(_plain(name), measure.name) + at


def estimate(name: str, value: object, unit: str = "", *, between: str = " ") -> str:
    """A measure's value with its 95 % interval in brackets, and its unit if it is an amount.

    `value` is `{"value", "low", "high"}` or bare. A dash for none, with the `reason` if one is given.
    `between` stands between value and interval.

    >>> estimate("wape", {"value": 0.4, "low": 0.38, "high": 0.42})
    '40.0% (38.0% to 42.0%)'
    >>> estimate("mae", {"value": 10219.1, "low": 9544.9, "high": 10924.0}, "CNY")
    '10,219 CNY (9,545 to 10,924)'
    """
    parts = value if isinstance(value, Mapping) else {"value": value}
    found = number(name, parts.get("value"), unit)
    if found == NONE:
        return f"{NONE} ({parts['reason']})" if parts.get("reason") else NONE
    low, high = (number(name, parts.get(end), unit, with_unit=False) for end in ("low", "high"))
    return found if NONE in (low, high) else f"{found}{between}({low} to {high})"


def difference(name: str, value: object, unit: str = "", *, between: str = " ") -> str:
    """As `estimate`, of one prediction's measure minus another's: with its sign."""
    parts = value if isinstance(value, Mapping) else {"value": value}
    signed = {
        end: _signed(number(name, found, unit, with_unit=end == "value"))
        for end in ("value", "low", "high")
        if (found := parts.get(end)) is not None
    }
    if "value" not in signed:
        return NONE
    interval = f"{between}({signed['low']} to {signed['high']})" if {"low", "high"} <= set(signed) else ""
    return signed["value"] + interval


def number(name: str, value: object, unit: str = "", *, with_unit: bool = True) -> str:
    """One number of a measure; a dash where there is none or it is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return NONE
    form = _measure(name)[0].form
    if form == "share":
        return percent(value)
    if form == "amount":
        return amount(value, unit if with_unit else "", digits=2 if unit == "days" else 0)
    digits = {"score": 3, "fine": 4, "count": 1}[form]
    return f"{_rounded(value, digits):,.{digits}f}"


def amount(value: float, unit: str, *, digits: int | None = None) -> str:
    """An amount in its unit: whole money, days with two decimals.

    >>> amount(20000.4, "CNY"), amount(3.0712, "days")
    ('20,000 CNY', '3.07 days')
    """
    n = (2 if unit == "days" else 0) if digits is None else digits
    return f"{_rounded(value, n):,.{n}f} {unit}".strip()


def percent(value: object) -> str:
    """A share as a percentage with one decimal; a dash for none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return NONE
    return f"{_rounded(value, 3):.1%}"


def _rounded(value: float, digits: int) -> float:
    # Adding nothing takes the sign from a zero.
    return round(value, digits) + 0.0


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"


def _plain(name: str) -> str:
    return name.partition("_at_")[0]


def _measure(name: str) -> tuple[Measure, str]:
    plain, at = re.fullmatch(r"(.*?)(?:_at_(.+))?", name).groups()  # type: ignore[union-attr]
    measure = MEASURES.get(plain, Measure(plain.replace("_", " "), "score"))
    if at is None:
        return measure, ""
    return measure, ", at the capacity" if at == "capacity" else f", at a threshold of {_threshold(at)}"


def _threshold(at: str) -> str:
    try:
        return f"{float(at):.0%}"
    except ValueError:
        return at
