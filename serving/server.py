"""The server process: the API behind uvicorn, with limits, an end in good order, and logs without values."""

from __future__ import annotations

import errno
import functools
import gc
import ipaddress
import json
import logging
import logging.config
import socket
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Any

import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from serving.api import create_app
from serving.operation.connections import IS_ENDING, BoundedConnection
from serving.operation.listening import bound, not_had
from serving.operation.logs import Level, logging_config
from serving.settings import ServingSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_HEAD_BYTES = 32 * 1024
SPARE_THREADS = 16

_log = logging.getLogger("wardcast.serving")


def serve(
    settings: ServingSettings, *, host: str = "127.0.0.1", port: int = 8000, log_level: Level = "info"
) -> None:
    """Serve the API until told to end. By default this machine alone can reach it.

    Raises UserError if the address or the port cannot be had, or the store or the audit log cannot be used.
    """
    # Before the champions are loaded, so that the log tells which were.
    logging.config.dictConfig(logging_config(log_level))
    logging.captureWarnings(True)
    if not is_loopback(host):
        _log.warning(
            "WARNING: other machines reach this address, and nothing is encrypted: keys and records could be "
            "read on the way. Put a reverse proxy with TLS before it."
        )
    # Before anything is opened: who is told that the port is in use need not wait for the models.
    with ExitStack() as ending:
        listeners = [ending.enter_context(each) for each in bound(host, port)]
        serve_on(settings, listeners, host, port)


def serve_on(settings: ServingSettings, listeners: list[socket.socket], host: str, port: int) -> None:
    """Serve on sockets that are bound to the host and port. Raises UserError as `serve` does."""
    app = served_app(settings, host)
    # What is loaded now stays: to look through it for garbage stops every request for a fifth of a second.
    gc.collect()
    gc.freeze()
    try:
        Server(settings, uvicorn_config(app, settings)).run(sockets=listeners)
    except OSError as error:
        # Another process bound the port at the same time, and listened first.
        if error.errno != errno.EADDRINUSE:
            raise
        raise not_had(host, port, error) from None
    finally:
        # At the end it is garbage like any other: libraries would tell the log what they think was leaked.
        gc.unfreeze()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address that the server listens on."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def served_app(settings: ServingSettings, host: str) -> FastAPI:
    """The application as it is served on `host`.

    On a loopback address only requests for this machine's own names are answered: a page in a browser
    here, whose own name was made to point to this machine, could read the answers otherwise.
    """
    hosts = [*LOOPBACK, "[::1]", host] if is_loopback(host) else None
    return create_app(settings, is_loopback=is_loopback(host), hosts=hosts)


def uvicorn_config(app: FastAPI, settings: ServingSettings, **where: Any) -> uvicorn.Config:
    """What uvicorn is told: the limits of a connection, and to write no access log, which names addresses."""
    connection: Any = functools.partial(BoundedConnection, settings=settings)
    return uvicorn.Config(
        app,
        http=connection,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        access_log=False,
        log_config=None,
        server_header=False,
        # Nothing that is answered or logged depends on the client's address.
        proxy_headers=False,
        **where,
    )


class Server(uvicorn.Server):
    """uvicorn's server, which ends in two steps and with exit code 0.

    Told to end (SIGTERM, SIGINT), it says that it is not ready and goes on answering for `drain_seconds`,
    so that whoever distributes requests turns elsewhere. Then it refuses connections and waits for the
    requests it has taken. Told a second time, it does not wait for the first step.
    """

    def __init__(self, settings: ServingSettings, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._settings = settings

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # as uvicorn's
        """Begin to end."""
        if not self.started or self.lifespan.state.get(IS_ENDING):
            self.should_exit = True
            return
        self.lifespan.state[IS_ENDING] = True
        _tell("ending", drain_seconds=self._settings.drain_seconds)
        timer = threading.Timer(self._settings.drain_seconds, self._exit)
        timer.daemon = True
        timer.start()

    def _exit(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and tell where."""
        # Each request that waits holds a thread; health and metrics must find one all the same.
        current_default_thread_limiter().total_tokens = self._settings.max_waiting + SPARE_THREADS
        await super().startup(sockets)
        for listener in self.servers:
            for address in (each.getsockname() for each in listener.sockets):
                _tell("listening", host=address[0], port=address[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse connections, wait for the requests that were taken, and tell when that is done."""
        await super().shutdown(sockets)
        _tell("ended")


def _tell(event: str, **fields: object) -> None:
    _log.info(json.dumps({"event": event, **fields}))
