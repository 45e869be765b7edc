"""The bound on the work that waits: one request too many is told so at once instead of waiting long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from serving.problems import BUSY, Problem


class Gate:
    """Lets at most `n_places` requests in at a time. May be used from many threads at once."""

    def __init__(self, n_places: int) -> None:
        self._free = threading.Semaphore(n_places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place while the block runs. Raises Problem (503), without waiting, if none is free."""
        if not self._free.acquire(blocking=False):
            raise Problem(BUSY, "Send the request again after the seconds that Retry-After names.")
        try:
            yield
        finally:
            self._free.release()
