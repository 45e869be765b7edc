"""Counts of rows as they may be told: none of 1 to 9, nor what would give one away.

Counts that add up to a known whole tell each other. Where one of them is withheld the others are rounded to
the nearest full ten, and shares are made of these: by subtraction a withheld one is known no better than to
about ten rows for each count beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FEWEST_ROWS = 10
"""A count below this, other than 0, is not told."""
WITHHELD = f"fewer than {FEWEST_ROWS}"


def is_few(n: int) -> bool:
    """Whether a count is of 1 to 9 rows, or of as many that leave."""
    return 0 < abs(n) < FEWEST_ROWS


def rounded(n: int) -> int:
    """The nearest full ten, with its sign; of two as near, the one further from 0."""
    nearest = (abs(n) + FEWEST_ROWS // 2) // FEWEST_ROWS * FEWEST_ROWS
    return nearest if n >= 0 else -nearest


def told(counts: Sequence[int]) -> list[int | None]:
    """Counts that stand together: as they are, or where any is 1 to 9, that one None and the others rounded.

    >>> told([120, 0, 34]), told([120, 3, 34])
    ([120, 0, 34], [120, None, 30])
    """
    if not any(map(is_few, counts)):
        return [*counts]
    return [None if is_few(n) else rounded(n) for n in counts]


def told_shares(counts: Sequence[int], n_rows: Sequence[int]) -> list[float | None]:
    """Counts that stand together as shares of their rows, to 4 digits; None for 1 to 9 rows with or without.

    Where one is None, the others are shares of rounded counts, to 2 digits.

    >>> told_shares([25, 0], [100, 60]), told_shares([25, 3, 57], [100, 60, 60])
    ([0.25, 0.0], [0.3, None, None])
    """
    is_withheld = [is_few(n) or is_few(whole - n) for n, whole in zip(counts, n_rows, strict=True)]
    if not any(is_withheld):
        return [digits(n / whole, 4) for n, whole in zip(counts, n_rows, strict=True)]
    return [
        None if few else digits(min(rounded(n) / whole, 1.0), 2)
        for n, whole, few in zip(counts, n_rows, is_withheld, strict=True)
    ]


def told_patients(n_rows: Mapping[str, int], n_patients: Mapping[str, int]) -> dict[str, int | None]:
    """The patients of each slice beside its rows, which are told as they are.

    Rows minus patients are rows of patients who came again. All these counts stand together, since slices may
    share patients or be made of each other's: if any is few, patients are rounded, or None if they are few.

    >>> told_patients({"train": 120, "test": 60}, {"train": 93, "test": 48})
    {'train': 93, 'test': 48}
    >>> told_patients({"train": 120, "test": 60}, {"train": 93, "test": 57})
    {'train': 90, 'test': 60}
    """
    again = [n_rows[name] - n for name, n in n_patients.items()]
    return dict(zip(n_patients, told([*n_patients.values(), *again]), strict=False))


def told_split(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a split (`training.split.Split`) with its counts as they may be told.

    Rows that were taken out, with and without the outcome, rows without an outcome and those of patients of
    the test stand together: if any is few, that one is None and all others are rounded. A prevalence is that
    of the counts told.
    """
    single = [name for name, value in facts.items() if isinstance(value, int)]
    removed = [count for reasons in facts.get("removed", {}).values() for count in reasons.values()]
    counts = [facts[name] for name in single]
    for count in removed:
        events = count.get("events", 0)
        counts += [count["rows"], events, count["rows"] - events]
    if not any(map(is_few, counts)):
        return dict(facts)

    def count_told(count: Mapping[str, Any]) -> dict[str, Any]:
        rows = _told(count["rows"])
        if "events" not in count:
            return {"rows": rows}
        events = None if is_few(count["rows"] - count["events"]) else _told(count["events"])
        prevalence = digits(events / rows, 2) if rows and events is not None else None
        return {"rows": rows, "events": events, "prevalence": prevalence}

    found = dict(facts) | {name: _told(facts[name]) for name in single}
    if "removed" in facts:
        found["removed"] = {
            name: {why: count_told(count) for why, count in reasons.items()}
            for name, reasons in facts["removed"].items()
        }
    return found


def _told(n: int) -> int | None:
    return None if is_few(n) else rounded(n)


def digits(value: float, n_digits: int = 4) -> float:
    """The value to that many significant digits; more than four would tell of rounding, or of single rows."""
    return float(f"{value:.{n_digits}g}")
