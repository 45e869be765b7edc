"""What a medication's code means: its risk groups and the mechanisms by which it treats a condition, as bits.

Codes are ATC codes of any level; prefixes with their groups and mechanisms are dated files in
`features/codes`, and every prefix that fits counts. Of a code that is no ATC code, or too short to tell, it
is not known whether it is in a group: `unclear` bits, so that unknown never becomes no.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from features.rule_files import rule_rows

ATC = "[ABCDGHJLMNPRSV][0-9]{2}([A-Z]([A-Z]([0-9]{2})?)?)?"
"""The form of an ATC code of any level but the first, as a regular expression."""
_ATC = re.compile(ATC)

MEDICATION_FLAG_COLUMNS = {
    "code": "str",
    "substance": "int32",
    "groups": "int64",
    "unclear_groups": "int64",
    "mechanisms": "int64",
    "unclear_mechanisms": "int64",
}


@dataclass(frozen=True)
class MedicationGroup:
    """A group of drugs: `bit` is its value in a bitmask; `is_high_risk` marks the published risk groups."""

    name: str
    label: str
    bit: int
    is_high_risk: bool


def _rows(name: str) -> list[dict[str, str]]:
    return rule_rows(Path(__file__).with_name(name))


_GROUP_ROWS = _rows("medication_groups_2025.csv")
_MECHANISM_ROWS = _rows("medication_mechanisms_2025.csv")

GROUPS: dict[str, MedicationGroup] = {
    row["group"]: MedicationGroup(row["group"], row["label"], 1 << place, row["is_high_risk"] == "1")
    for place, row in enumerate({row["group"]: row for row in _GROUP_ROWS}.values())
}
_MECHANISM_BIT = {
    key: 1 << place
    for place, key in enumerate(
        dict.fromkeys((row["condition"], row["mechanism"]) for row in _MECHANISM_ROWS)
    )
}
CONDITION_BITS: dict[str, int] = {
    condition: sum(bit for (name, _), bit in _MECHANISM_BIT.items() if name == condition)
    for condition in dict.fromkeys(row["condition"] for row in _MECHANISM_ROWS)
}
"""For each condition the bits of all mechanisms by which drugs treat it."""


def _by_prefix(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    bits: dict[str, int] = {}
    for prefix, bit in pairs:
        bits[prefix] = bits.get(prefix, 0) | bit
    return bits


_GROUPS_BY_PREFIX = _by_prefix((row["prefix"], GROUPS[row["group"]].bit) for row in _GROUP_ROWS)
_MECHANISMS_BY_PREFIX = _by_prefix(
    (row["prefix"], _MECHANISM_BIT[row["condition"], row["mechanism"]]) for row in _MECHANISM_ROWS
)


def medication_flags(codes: Iterable[str]) -> pd.DataFrame:
    """One row per distinct code: its substance as a number, its groups and mechanisms, and what is unclear.

    `substance` tells codes apart within the table, whatever their spelling in upper or lower case.
    """
    rows = medication_rows(codes)
    return pd.DataFrame(rows, columns=list(MEDICATION_FLAG_COLUMNS)).astype(MEDICATION_FLAG_COLUMNS)


def medication_rows(codes: Iterable[str]) -> list[tuple[str | float, ...]]:
    """The rows of `medication_flags`, without a table."""
    substances: dict[str, int] = {}
    found: list[tuple[str | float, ...]] = []
    for code in sorted(set(codes)):
        plain = code.strip().upper()
        found.append((code, substances.setdefault(plain, len(substances)), *_meaning(plain)))
    return found


# Bounded: codes come from outside.
@lru_cache(maxsize=10_000)
def _meaning(code: str) -> tuple[int, int, int, int]:
    return *_bits(code, _GROUPS_BY_PREFIX), *_bits(code, _MECHANISMS_BY_PREFIX)


def _bits(code: str, by_prefix: Mapping[str, int]) -> tuple[int, int]:
    """The bits that a code has for certain, and those that a fuller code might have."""
    is_atc = _ATC.fullmatch(code) is not None
    certain = unclear = 0
    for prefix, bits in by_prefix.items():
        if is_atc and code.startswith(prefix):
            certain |= bits
        elif not is_atc or prefix.startswith(code):
            unclear |= bits
    return certain, unclear & ~certain
