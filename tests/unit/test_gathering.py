"""Questions of many threads are computed together, each is answered, and none harms another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import pytest

from serving.predictions.gathering import MOST_SIZE, MOST_TOGETHER, WORKERS, Gathering

Computed = Sequence["str | Exception"]


class Held:
    """A computation that notes what it computes together, and waits for `go_on` before the first of them."""

    def __init__(self, answers: Callable[[str], str | Exception] = str.upper) -> None:
        self.groups: list[list[str]] = []
        self.busy = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._answers = answers

    def __call__(self, items: Sequence[str]) -> Computed:
        self.groups.append([*items])
        self.busy.release()
        assert self.go_on.wait(30)
        return [self._answers(item) for item in items]


def asked_meanwhile(
    held: Held,
    items: Sequence[str],
    *,
    alike: Callable[[str], object] = len,
    size: Callable[[str], int] = lambda _item: 1,
) -> list[Future[str]]:
    """All items asked for while every worker is busy with an item `busy…` of its own."""
    gathering = Gathering[str, str](held)
    pool = ThreadPoolExecutor(WORKERS + len(items))
    answers = []
    for worker in range(WORKERS):
        answers.append(pool.submit(gathering.answer, f"busy{worker}", alike=("busy", worker)))
        assert held.busy.acquire(timeout=30)
    for place, item in enumerate(items, start=1):
        answers.append(pool.submit(gathering.answer, item, alike=alike(item), size=size(item)))
        while len(gathering._waiting) < place:
            threading.Event().wait(0.001)
    held.go_on.set()
    pool.shutdown()
    assert not gathering._waiting
    return answers[WORKERS:]


def test_one_alone_is_computed_at_once_and_alone() -> None:
    held = Held()
    held.go_on.set()
    assert Gathering[str, str](held).answer("a", alike=1) == "A"
    assert held.groups == [["a"]]


def test_those_that_come_meanwhile_are_computed_together_and_each_gets_its_own_answer() -> None:
    held = Held()
    answers = asked_meanwhile(held, ["a", "b", "c"])
    assert [answer.result() for answer in answers] == ["A", "B", "C"]
    assert held.groups[WORKERS:] == [["a", "b", "c"]]


def test_only_those_that_are_alike_are_together_and_the_longest_waiting_come_first() -> None:
    held = Held()
    asked_meanwhile(held, ["a", "bb", "c", "dd"])
    # Two workers: which of them notes its group first is open.
    assert sorted(held.groups[WORKERS:]) == [["a", "c"], ["bb", "dd"]]


def test_a_group_has_a_bounded_size() -> None:
    held = Held()
    items = [f"{place:03d}" for place in range(MOST_TOGETHER + 5)]
    answers = asked_meanwhile(held, items)
    assert [answer.result() for answer in answers] == items
    assert sorted(len(group) for group in held.groups[WORKERS:]) == [5, MOST_TOGETHER]


def test_large_ones_are_not_all_computed_together() -> None:
    held = Held()
    sizes = {"huge": 3 * MOST_SIZE, "half": MOST_SIZE // 2, "most": MOST_SIZE - 1, "tiny": 1}
    answers = asked_meanwhile(held, [*sizes], size=sizes.__getitem__)
    assert [answer.result() for answer in answers] == ["HUGE", "HALF", "MOST", "TINY"]
    # What is too large stands alone; half and most are together too large, half and tiny are not.
    assert sorted(held.groups[WORKERS:]) == [["half", "tiny"], ["huge"], ["most"]]


def test_a_few_have_their_turn_together_and_each_is_answered_or_fails_by_itself() -> None:
    bad = ValueError("bad")
    held = Held(lambda item: bad if item == "b" else item.upper())
    held.go_on.set()
    assert Gathering[str, str](held).answers(["a", "b", "c"], alike=1, size=3) == ["A", bad, "C"]
    assert held.groups == [["a", "b", "c"]]


def test_one_that_fails_harms_no_other() -> None:
    held = Held(lambda item: ValueError("bad") if item == "b" else item.upper())
    good, bad, other = asked_meanwhile(held, ["a", "b", "c"])
    assert (good.result(), other.result()) == ("A", "C")
    with pytest.raises(ValueError, match="bad"):
        bad.result()


def test_nobody_waits_for_ever_when_the_computation_breaks() -> None:
    def broken(_items: Sequence[str]) -> Computed:
        raise SystemExit

    gathering = Gathering[str, str](broken)
    for _ in range(WORKERS + 1):
        with pytest.raises(SystemExit):
            gathering.answer("a", alike=1)


def test_an_answer_too_few_is_no_answer_for_anybody_missed() -> None:
    gathering = Gathering[str, str](lambda _items: [])
    with pytest.raises(ValueError, match="shorter"):
        gathering.answer("a", alike=1)


def test_at_the_end_what_is_computed_is_answered_and_nobody_waits_for_the_rest() -> None:
    held = Held()
    gathering = Gathering[str, str](held)
    with ThreadPoolExecutor(WORKERS + 2) as pool:
        computed = [pool.submit(gathering.answer, f"a{n}", alike=n) for n in range(WORKERS)]
        for _ in computed:
            assert held.busy.acquire(timeout=30)
        waiting = pool.submit(gathering.answer, "b", alike="b")
        while not gathering._waiting:
            threading.Event().wait(0.001)
        closed = pool.submit(gathering.close)
        while not gathering._workers._shutdown:
            threading.Event().wait(0.001)
        held.go_on.set()
        closed.result(30)
        assert [each.result(30) for each in computed] == [f"A{n}" for n in range(WORKERS)]
        with pytest.raises(CancelledError):
            waiting.result(30)
    with pytest.raises(RuntimeError):
        gathering.answer("late", alike="late")
