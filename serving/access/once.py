"""Tokens that are accepted once: which were used."""

from __future__ import annotations

import heapq
import threading

from serving.problems import ACCESS_UNAVAILABLE, Problem

MAX_TOKENS = 100_000


class UsedTokens:
    """The ids of the used tokens of one issuer, each kept until the token has expired anyway."""

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    def use(self, token_id: str, *, until: float, now: float) -> bool:
        """Note a use; False if there was one. Times in seconds since 1970.

        Raises Problem (503) if so many tokens are in use that another could not be remembered.
        """
        with self._lock:
            while self._ends and self._ends[0][0] < now:
                self._ids.discard(heapq.heappop(self._ends)[1])
            if token_id in self._ids:
                return False
            if len(self._ids) >= self._max_tokens:
                raise Problem(ACCESS_UNAVAILABLE, "Too many one-time tokens are in use. Try again later.")
            self._ids.add(token_id)
            heapq.heappush(self._ends, (until, token_id))
            return True
