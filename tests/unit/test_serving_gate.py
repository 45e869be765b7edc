"""The gate of the server: so many places, none of them waited for, all of them given back."""

from __future__ import annotations

import pytest

from serving.problems import BUSY, Problem
from serving.routes.gate import Gate, places_of


def test_who_finds_too_few_places_is_refused_and_takes_none() -> None:
    gate = Gate(3)
    with gate.place(2):
        with pytest.raises(Problem) as refused, gate.place(2):
            pass
        assert refused.value.kind is BUSY
        with gate.place():
            pass
    with gate.place(3):
        pass


def test_who_asks_for_more_places_than_there_are_takes_all() -> None:
    gate = Gate(2)
    with gate.place(5), pytest.raises(Problem), gate.place():
        pass


@pytest.mark.parametrize(
    ("n_bytes", "places"), [(0, 1), (9_000, 1), (524_288, 1), (524_289, 2), (5 * 1024 * 1024, 10)]
)
def test_a_large_body_takes_more_places(n_bytes: int, places: int) -> None:
    """A place for every half mebibyte."""
    assert places_of(b" " * n_bytes) == places


def test_places_are_given_back_when_the_block_fails() -> None:
    gate = Gate(1)
    with pytest.raises(ValueError, match="failed"), gate.place():
        raise ValueError("failed")
    with gate.place():
        pass
