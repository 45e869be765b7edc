"""Failures of the store, as the log tells them and readiness remembers them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable

from serving.database.errors import DAMAGED, StoreError

PERIOD_SECONDS = 60.0
"""A failure that was not met for so long is a new one when it comes again."""

_log = logging.getLogger("wardcast.serving")


class StoreFailures:
    """Takes every failure of the store; the log tells each kind once for as long as it lasts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last_met: dict[tuple[str, str | None], float] = {}
        self._is_damaged = False

    def add(self, failure: StoreError) -> None:
        """Note a failure, of whatever thread."""
        now, key = self._clock(), (failure.kind, failure.code)
        with self._lock:
            is_new = now - self._last_met.get(key, float("-inf")) > PERIOD_SECONDS
            self._last_met[key] = now
            self._is_damaged |= failure.kind == DAMAGED
        if is_new:
            # Never the message, which names a place; kind and code are words of the program and the driver.
            _log.error(json.dumps({"event": "store_failed", "kind": failure.kind, "code": failure.code}))

    @property
    def is_damaged(self) -> bool:
        """Whether damage was met: it does not heal, and what is read beside it may be of another time."""
        return self._is_damaged
