"""Baselines, steps and settings as a reader of the report sees them; measures are in `models.measures`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from training.counts import WITHHELD

BASELINES = {
    "lace": "LACE index",
    "hospital": "HOSPITAL score",
    "prior_admissions": "Admissions in the year before",
    "logistic": "Logistic regression on the same features",
    "gamma": "Gamma regression on the same features",
    "overall_mean": "Mean of everyone",
    "group_mean": "Mean of the admitting diagnosis group",
}
SHORT_BASELINES = {"lace": "LACE", "hospital": "HOSPITAL"}
"""In pictures; the others are called what they are called."""
STEPS = {
    "training": "the rows that the trees grew on",
    "stopping": "the rows that said when to stop growing",
    "calibration": "the rows that the calibration was fitted on",
    "test": "the test: rows not used before, of patients whom the trees did not learn from",
}


def counted(n: int, thing: str) -> str:
    """`1 warning`, `2 warnings`."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def plain_number(value: object) -> str:
    """A number that is of no measure: as many decimals as its size calls for; a dash for none.

    >>> plain_number(21_000.4), plain_number(61.23), plain_number(2.5), plain_number(0.0000125)
    ('21,000', '61.2', '2.50', '0.000')
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    digits = next((n for least, n in ((100, 0), (10, 1), (1, 2)) if abs(value) >= least), 3)
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def number_or_few(count: int | None) -> str:
    """A count; None is one of 1 to 9, which is withheld."""
    return WITHHELD if count is None else plain_number(count)


def count_or_withheld(count: int | None) -> str:
    """A count; None is one that is withheld, since it or what it leaves is of 1 to 9."""
    return "a withheld number of" if count is None else plain_number(count)


def words_of_score(name: str) -> str:
    """The name of the score that a search minimises."""
    return {"poisson_deviance": "Poisson deviance", "log_loss": "logarithmic loss"}.get(name, _plain(name))


def words_of(value: object) -> str:
    """Nested settings as a phrase."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_plain(name)} {words_of(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(words_of(inner) for inner in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(name: object) -> str:
    return str(name).replace("_", " ")
