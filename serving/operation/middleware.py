"""What surrounds every request: a log line without values, and no failure that shows its insides."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.responses import problem_response
from serving.operation.connections import IS_ENDING, IS_OVER_THE_LIMIT
from serving.operation.metrics import METHODS, Metrics
from serving.problems import AMBIGUOUS, BUSY, ENDING, NOT_READY, Problem, as_problem

READY_ROUTE = "/health/ready"
PROBLEM = "problem"
"""Where the `state` of a request holds the kind of the problem that answers it, if one does."""

_UUID = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CUT_OFF = Problem(ENDING, "Send the request again: to another server, or when this one is back.")
_log = logging.getLogger("wardcast.access")


class QuietRequests:
    """Logs and counts a request by its route's template, never its address, body or answer.

    An unforeseen failure becomes a problem document here, before the server could log its message. Every
    answer names its request in `X-Request-Id`: the client's own id if it is a UUID, which holds no value,
    else a new one.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics | None = None) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at, status = time.perf_counter(), 0
        request_id = scope.setdefault("state", {})["request_id"] = _request_id(scope)
        # Whoever serves is about to leave, or has no place for one more: the connection ends with the answer.
        is_last = bool(scope["state"].get(IS_ENDING) or scope["state"].get(IS_OVER_THE_LIMIT))

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                # Answers hold patients' data: no cache on the way may keep them.
                headers.append((b"cache-control", b"no-store"))
                if is_last:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        try:
            if refusal := _refusal(scope):
                raise refusal
            await self._app(scope, receive, watched_send)
        except ClientDisconnect:
            # Nobody is left to be answered, and nothing of the server's failed: its status stays 0.
            scope["state"][PROBLEM] = "disconnected"
        except (Exception, asyncio.CancelledError) as error:
            # A request is cancelled when the time that an ending server has for it is over.
            problem = as_problem(error) if isinstance(error, Exception) else _CUT_OFF
            scope["state"][PROBLEM] = problem.kind.name
            if status == 0:
                await problem_response(problem)(scope, receive, watched_send)
        seconds = time.perf_counter() - started_at
        line: dict[str, Any] = {
            "event": "request",
            "request_id": request_id,
            "method": scope["method"] if scope["method"] in METHODS else "other",
            "route": getattr(scope.get("route"), "path", "unmatched"),
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
        }
        kind = scope["state"].get(PROBLEM)
        if self._metrics is not None:
            self._metrics.request_ended(line["route"], line["method"], status, seconds)
            if kind is not None:
                self._metrics.problem_answered(kind)
        _log.info(json.dumps(line if kind is None else line | {"problem": kind}))


def _request_id(scope: Scope) -> str:
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode().lower() if _UUID.fullmatch(sent) else str(uuid.uuid4())


def _refusal(scope: Scope) -> Problem | None:
    """Why a request is not even looked at, by its head and what the server process knows of itself."""
    if scope["state"].get(IS_OVER_THE_LIMIT):
        return Problem(BUSY, "Too many connections are open. Send it again after the seconds of Retry-After.")
    if scope["state"].get(IS_ENDING) and scope["path"] == READY_ROUTE:
        return Problem(NOT_READY, "The server is ending. Send requests to another one.")
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        # Whoever stands before the server may see another request begin in the body (RFC 9112, 6.1).
        return Problem(AMBIGUOUS, "Send Content-Length or Transfer-Encoding, not both.")
    return None
