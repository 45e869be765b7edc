"""What may be away, such as a database server, and is tried by one at a time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

_Made = TypeVar("_Made")

RETRY_SECONDS = 1.0
"""So long after an attempt that failed nobody makes another."""


class AwayError(Exception):
    """The last attempt failed, and it is not the time for another."""


class Attempts:
    """One attempt at a time, and none for a second after one that failed.

    While a server is away an attempt may take seconds. Whoever comes meanwhile is told at once that it is
    away, instead of making an attempt of its own or waiting for its turn.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempting = threading.Lock()
        # When the last attempt failed, if it did.
        self._failed_at = -math.inf

    def attempt(self, make: Callable[[], _Made]) -> _Made:
        """What `make` makes, or the error that it raises. Raises AwayError."""
        # As long as the server answers, who comes at the same time waits for its turn.
        is_ours = self._attempting.acquire(blocking=self._failed_at == -math.inf)
        if not is_ours:
            raise AwayError
        try:
            if self._clock() - self._failed_at < RETRY_SECONDS:
                raise AwayError
            try:
                made = make()
            except Exception:
                self._failed_at = self._clock()
                raise
            self._failed_at = -math.inf
            return made
        finally:
            self._attempting.release()
