"""What surrounds every request: a log line without values, and no failure that shows its insides."""

from __future__ import annotations

import json
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answers import as_problem
from serving.problems import MEDIA_TYPE

_log = logging.getLogger("wardcast.access")


class QuietRequests:
    """Logs a request by its route's template, never its address, body or answer.

    An unforeseen failure becomes a problem document here, before the server could log its message.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at, status = time.perf_counter(), 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Answers hold patients' data: no cache on the way may keep them.
                message["headers"] = [*message.get("headers", ()), (b"cache-control", b"no-store")]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            problem = as_problem(error)
            if status == 0:
                body = json.dumps(problem.document()).encode()
                headers = [
                    (b"content-type", MEDIA_TYPE.encode()),
                    (b"content-length", str(len(body)).encode()),
                ]
                await watched_send({"type": "http.response.start", "status": 500, "headers": headers})
                await watched_send({"type": "http.response.body", "body": body})
        _log.info(
            json.dumps(
                {
                    "event": "request",
                    "method": scope["method"],
                    "route": getattr(scope.get("route"), "path", "unmatched"),
                    "status": status,
                    "milliseconds": round((time.perf_counter() - started_at) * 1000, 1),
                }
            )
        )
