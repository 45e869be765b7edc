"""The languages in which reasons are told, and which one a client prefers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from serving.reasons.chinese import CHINESE
from serving.reasons.english import ENGLISH
from serving.reasons.words import Words


class Language(StrEnum):
    """A language of reasons."""

    EN = "en"
    ZH = "zh"


WORDS: Mapping[Language, Words] = {Language.EN: ENGLISH, Language.ZH: CHINESE}
LONGEST_HEADER = 1_000
"""Of an Accept-Language header that is longer the rest is not read."""


def preferred(accept_language: str | None) -> Language:
    """The language that an Accept-Language header (RFC 9110) prefers; English where it names neither.

    >>> preferred("zh-CN,zh;q=0.9,en;q=0.8"), preferred("de, en;q=0.5, zh;q=0.4"), preferred(None)
    (<Language.ZH: 'zh'>, <Language.EN: 'en'>, <Language.EN: 'en'>)
    """
    best, weight = Language.EN, 0.0
    for part in (accept_language or "")[:LONGEST_HEADER].split(","):
        tag, _, parameters = part.partition(";")
        own = _weight(parameters)
        primary = tag.strip().split("-")[0].lower()
        if primary in (*Language,) and own > weight:
            best, weight = Language(primary), own
    return best


def _weight(parameters: str) -> float:
    name, _, text = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
