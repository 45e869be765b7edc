"""Questions of many threads answered together: one feature query and one call of each model for all of them.

Nobody waits for company: a question that finds a free worker is computed at once, those that come while all
workers are busy are computed together as soon as one is free. A long list comes in parts, each of them when
the one before is answered, so that others have their turn in between.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_TOGETHER = 32
"""So many are computed while the next ones wait: more would be cheaper each, and the wait longer."""
MOST_SIZE = 10_000
"""The sizes of those computed together add up to no more, unless one alone does: they share the memory."""
WORKERS = 2
"""While one is at the features, which another engine computes, the other can be at the models."""


@dataclass(frozen=True)
class _Waiting(Generic[Item, Answer]):
    alike: Hashable
    size: int
    items: Sequence[Item]
    answers: Future[list[Answer | Exception]] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Gathering(Generic[Item, Answer]):
    """Answers questions in the order in which they come, those that are alike together.

    A question is one item or a few. Each is answered, so that the wait is bounded by those before it; how
    many may wait is the callers' to bound. `compute` gives each item's answer or what it failed with, in
    their order; `gathered` is told how many seconds each question of those computed together has waited.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        gathered: Callable[[Sequence[float]], None] = lambda _waited: None,
    ) -> None:
        self._compute = compute
        self._gathered = gathered
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(WORKERS, "gathering")

    def __len__(self) -> int:
        """How many questions wait whose computation has not begun."""
        return len(self._waiting)

    def answer(self, item: Item, *, alike: Hashable, size: int = 1) -> Answer:
        """The item's answer, computed with that of others that are `alike`; raises what it failed with.

        `size` is what the item takes of `MOST_SIZE`.
        """
        (found,) = self.answers([item], alike=alike, size=size)
        if isinstance(found, Exception):
            raise found
        return found

    def answers(self, items: Sequence[Item], *, alike: Hashable, size: int) -> list[Answer | Exception]:
        """As `answer`, for items that have their turn together: each one's answer, or what it failed with."""
        waiting = _Waiting[Item, Answer](alike, size, items)
        with self._lock:
            self._waiting.append(waiting)
        self._workers.submit(self._answer_next)
        return waiting.answers.result()

    def close(self) -> None:
        """Wait for what is being computed. Whoever waits fails (CancelledError), as does who comes later."""
        self._workers.shutdown(cancel_futures=True)
        for each in self._waiting:
            each.answers.cancel()

    def _answer_next(self) -> None:
        """Answer the one that has waited longest and all that are like it; nothing if all are answered."""
        together = self._next()
        if not together:
            return
        try:
            now = time.perf_counter()
            self._gathered([now - each.since for each in together])
            items = [item for each in together for item in each.items]
            answers = iter([answer for _, answer in zip(items, self._compute(items), strict=True)])
            for each in together:
                each.answers.set_result([*islice(answers, len(each.items))])
        except BaseException as error:
            # Whoever waits must not wait for ever.
            for each in together:
                if not each.answers.done():
                    each.answers.set_exception(error)
            raise

    def _next(self) -> list[_Waiting[Item, Answer]]:
        together: list[_Waiting[Item, Answer]] = []
        left: deque[_Waiting[Item, Answer]] = deque()
        size = 0
        with self._lock:
            while self._waiting and len(together) < MOST_TOGETHER:
                each = self._waiting.popleft()
                if not together or (each.alike == together[0].alike and size + each.size <= MOST_SIZE):
                    together.append(each)
                    size += each.size
                else:
                    left.append(each)
            self._waiting = left + self._waiting
        return together
