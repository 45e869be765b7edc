"""The bound on the work that waits: one request too many is told so at once instead of waiting long."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from serving.problems import BUSY, Problem

BYTES_OF_A_PLACE = 512 * 1024
"""A body of so many bytes holds about ten times as many once it is read."""


def places_of(content: bytes) -> int:
    """What a body takes of the gate, however little it asks for."""
    return max(1, math.ceil(len(content) / BYTES_OF_A_PLACE))


class Gate:
    """Lets requests in that hold at most `n_places` at a time. May be used from many threads at once."""

    def __init__(self, n_places: int) -> None:
        self._n_places = self._n_free = n_places
        self._lock = threading.Lock()

    @contextmanager
    def place(self, n: int = 1) -> Iterator[None]:
        """Hold `n` places, all that there are at most, while the block runs.

        Raises Problem (503), without waiting, if so many are not free.
        """
        n = min(n, self._n_places)
        with self._lock:
            if n > self._n_free:
                raise Problem(BUSY, "Send the request again after the seconds that Retry-After names.")
            self._n_free -= n
        try:
            yield
        finally:
            with self._lock:
                self._n_free += n
