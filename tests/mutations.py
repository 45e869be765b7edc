"""Requests that are almost right: valid documents with a few changes, for the tests of what is served."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

SECRET = "Zhang-Wei-4711"
SECRET_NUMBER = 748159263.25
SECRETS = (SECRET, "748159263", "1943-08-19")
"""What is planted as ids, codes, texts, values and dates, as it would be found where it must not be."""

Place = tuple[str | int, ...]

TEXTS = (
    "", " ", "0", "S9", SECRET, f"{SECRET}/..", f"'; DROP TABLE predictions; -- {SECRET}",
    f"$1 ? %s {SECRET}",
    f"<script>alert('{SECRET}')</script>", f"../../{SECRET}", f"{SECRET}\x00", f"{SECRET}\r\nX-Evil: 1",
    f"\u202e{SECRET}", f"\ud800{SECRET}", f"😀张伟{SECRET}", "e\u0301" * 20, "x" * 200, "x" * 201, "\ufeff",
    "I500", "718-7", "N39.0", "{{7*7}}", "%00", "NaN", "true", "H1", "CNY", "female", "emergency",
    "discharge",
)  # fmt: skip
TIMES = (
    "1850-01-01T00:00:00", "2200-12-31T23:59:59.999999", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "2026-01-07T10:00:00+14:00", "2026-01-07T10:00:00-12:00", "2026-01-07T10:00:00Z",
    "1850-01-01T00:00:00+14:00",
    "2200-12-31T23:59:59-12:00", "2026-01-08T10:00:00", "2025-11-02T09:00:00", "2024-01-10T08:00:00",
    "1986-05-04T00:30:00", "2026-06-30T23:59:60", "2026-02-30T00:00:00", "1943-08-19T08:00:00",
    "2026-01-07 10:00:00",
    "2026-W01-3T10:00", "20260107T100000",
)  # fmt: skip
DAYS = (
    "1850-01-01",
    "2200-12-31",
    "1943-08-19",
    "2026-01-07",
    "2024-02-29",
    "2023-02-29",
    "0000-00-00",
    "1949-10-01",
)
NUMBERS = (
    0, -1, 1, 2, 0.005, -0.0, 1e15, 1.00001e15, 1e308, -1e308, 5e-324, 2**31 - 1, 2**31, -(2**31),
    2**53 + 1, 2**63,
    -(2**63) - 1, 10**30, SECRET_NUMBER, -SECRET_NUMBER, 13, 139.5,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], {"": ""}, [None], {SECRET: SECRET}, float("nan"), float("inf"),
    -float("inf"),
)  # fmt: skip


def places(document: object, at: Place = ()) -> Iterator[Place]:
    """Where the values of a JSON document stand, the whole first."""
    yield at
    if isinstance(document, dict):
        for name, value in document.items():
            yield from places(value, (*at, name))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from places(value, (*at, number))


def at(document: Any, place: Place) -> Any:
    """The value at a place."""
    for part in place:
        document = document[part]
    return document


def like(value: object) -> st.SearchStrategy[Any]:
    """Odd values of a value's own type, so that a change is not refused for its type alone."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int | float):
        return st.sampled_from(NUMBERS) | st.floats(0, 300).map(lambda found: round(found, 2))
    if isinstance(value, str) and value[4:5] == "-" and value[:4].isdigit():
        return st.sampled_from(TIMES if "T" in value else DAYS)
    if isinstance(value, str):
        return st.sampled_from(TEXTS) | st.text(max_size=20)
    return st.sampled_from(OTHERS)


ANY = st.sampled_from((*TEXTS, *TIMES, *DAYS, *NUMBERS, *OTHERS))


@st.composite
def mutated(draw: st.DrawFn, documents: Sequence[Any], most: int = 4) -> Any:
    """One of the documents with up to `most` changes: values replaced, deleted, repeated, moved, wrapped."""
    document = {"": copy.deepcopy(draw(st.sampled_from(documents)))}
    for _ in range(draw(st.integers(0, most))):
        found = [place for place in places(document) if len(place) > 1] or [("",)]
        place = draw(st.sampled_from(found))
        parent, last, value = at(document, place[:-1]), place[-1], at(document, place)
        change = draw(st.sampled_from("llllllllowdrms"))
        if change == "l":
            parent[last] = copy.deepcopy(draw(like(value)))
        elif change == "o":
            parent[last] = copy.deepcopy(draw(ANY))
        elif change == "w":
            parent[last] = draw(st.sampled_from([[value], {"value": value}]))
        elif change == "d":
            del parent[last]
        elif change == "r" and isinstance(parent, list):
            parent[last:last] = [copy.deepcopy(value)] * draw(st.integers(1, 3))
        elif change == "r":
            parent[draw(st.sampled_from(TEXTS))] = copy.deepcopy(value)
        elif change == "m":
            parent[last] = copy.deepcopy(at(document, draw(st.sampled_from(found))))
        elif isinstance(value, list):
            parent[last] = draw(st.permutations(value))
        if ("",) not in set(places(document)):
            break
    return document.get("")
