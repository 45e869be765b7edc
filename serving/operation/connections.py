"""The limits of a connection: the time for a request's head, for its answer, and how many may be open.

uvicorn bounds the idle time between two requests, and nothing else: whoever sends one byte of a head from
time to time, or does not read an answer, would hold a connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.settings import ServingSettings

IS_ENDING, IS_OVER_THE_LIMIT = "is_ending", "is_over_the_limit"
"""What a server process tells its application about itself in the `state` of a request."""


class BoundedConnection(H11Protocol):
    """uvicorn's connection with deadlines.

    A head has `head_seconds`, from the connection's start or the first byte after an answer; the body and
    the answer together have `request_seconds`. Then the connection is cut. Requests of a connection beyond
    `max_connections` say so to the application; beyond twice as many it is cut at once.
    """

    def __init__(self, *args: Any, settings: ServingSettings, **options: Any) -> None:
        super().__init__(*args, **options)
        self._settings = settings
        self._deadline: asyncio.TimerHandle | None = None
        self._is_answering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for a head."""
        super().connection_made(transport)
        n_open = len(self.connections)
        if n_open > 2 * self._settings.max_connections:
            transport.abort()
            return
        if n_open > self._settings.max_connections:
            self.app_state = {**self.app_state, IS_OVER_THE_LIMIT: True}
        self._set_deadline(self._settings.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        super().connection_lost(exc)
        self._clear_deadline()

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a head, whose time began with its first, or of a body."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Wait for the next request, whose head may have come already."""
        self._is_answering = False
        self._clear_deadline()
        super().on_response_complete()
        if self.cycle is not None and not self.cycle.response_complete:
            self._follow()

    def timeout_keep_alive_handler(self) -> None:
        """Cut an idle connection, even if its last answer was never read."""
        super().timeout_keep_alive_handler()
        self.transport.abort()

    def _follow(self) -> None:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and not self._is_answering:
            self._set_deadline(self._settings.request_seconds)
        elif not is_answering and self._deadline is None:
            self._set_deadline(self._settings.head_seconds)
        self._is_answering = is_answering

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
