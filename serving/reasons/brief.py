"""The cautions of an answer as few short lines: for a card, which is read in passing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from features.languages.chinese import words
from features.scope import OUTSIDE
from serving.reasons.cautions import LATER, NOT_SENT, caution
from serving.reasons.languages import Language

MOST_LINES = 5
"""Lines about the records; what a prediction is worth at all stands before them, and is never left out."""

_NOT_SENT, _LATER = re.compile(NOT_SENT), re.compile(LATER)
_TABLES: Mapping[str, str] = {
    "diagnoses": "diagnoses",
    "procedures": "operations and procedures",
    "charges": "charges",
    "observations": "laboratory values and scores",
    "medications": "medication",
    "visits": "visits to the emergency department and clinics",
}
_UNKNOWN: Mapping[Language, str] = {
    Language.EN: "Not sent, so not known to the model: {tables}.",
    Language.ZH: "未提供、按未知处理：{tables}。",
}
_COMMA: Mapping[Language, str] = {Language.EN: ", ", Language.ZH: "、"}


def about_the_patient(warnings: Sequence[str], language: Language) -> list[str]:
    """What is to be known of whom the prediction is about: that they are outside the models' population."""
    return [caution(warning, language) for warning in warnings if warning.startswith(OUTSIDE)]


def about_the_records(warnings: Sequence[str], language: Language, *, tells_later: bool) -> list[str]:
    """What the records lack, tables together; with `tells_later` nothing of rows after the prediction time,
    which another line tells."""
    not_sent = [found["table"] for warning in warnings if (found := _NOT_SENT.fullmatch(warning))]
    told = [
        caution(warning, language)
        for warning in warnings
        if not warning.startswith(OUTSIDE)
        and not _NOT_SENT.fullmatch(warning)
        and not (tells_later and _LATER.fullmatch(warning))
    ]
    if not_sent:
        names = _TABLES if language is Language.EN else words("table")
        tables = _COMMA[language].join(names.get(table, table) for table in not_sent)
        told.append(_UNKNOWN[language].format(tables=tables))
    return told


def fewest(lines: Sequence[str], further: str) -> list[str]:
    """The shortest lines first; of those that are too many `further` says how many there are.

    >>> fewest(["three", "a", "four by four", "is", "of", "so many"], "{count} more")
    ['a', 'is', 'of', 'three', '2 more']
    """
    ordered = sorted(lines, key=len)
    if len(ordered) <= MOST_LINES:
        return ordered
    kept = ordered[: MOST_LINES - 1]
    return [*kept, further.format(count=len(ordered) - len(kept))]
