"""The server process: the API behind uvicorn, with logs that hold no values."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from serving.api import create_app
from serving.settings import ServingSettings

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(message)s"},
        "named": {"format": "%(levelname)s %(name)s %(message)s"},
    },
    "handlers": {
        "plain": {"class": "logging.StreamHandler", "formatter": "plain"},
        "named": {"class": "logging.StreamHandler", "formatter": "named"},
    },
    "loggers": {
        # Lines of JSON, one for each request, failure and change of the champions; plain words where a person
        # must act.
        "wardcast": {"handlers": ["plain"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["named"], "level": "INFO", "propagate": False},
    },
}


LOOPBACK = ("127.0.0.1", "localhost", "::1")

_log = logging.getLogger("wardcast.serving")


def serve(settings: ServingSettings, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the API until interrupted. By default this machine alone can reach it.

    On another address everybody who reaches it can ask: the log says so. uvicorn's own access log is off:
    it would write addresses, which name stays.
    """
    # Before the champions are loaded, so that the log tells which were.
    logging.config.dictConfig(LOGGING)
    if not is_loopback(host):
        _log.warning(
            "WARNING: there is no access control yet. Everybody who reaches this address can send records, "
            "read predictions and see the models. Put a reverse proxy with authentication and TLS before it."
        )
    uvicorn.run(
        served_app(settings, host),
        host=host,
        port=port,
        access_log=False,
        log_config=LOGGING,
        server_header=False,
        **limits(settings),
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address that the server listens on."""
    return host in LOOPBACK or host.startswith("127.")


def served_app(settings: ServingSettings, host: str) -> FastAPI:
    """The application as it is served on `host`.

    On a loopback address only requests for this machine's own names are answered: a page in a browser
    here, whose own name was made to point to this machine, could read the answers otherwise.
    """
    app = create_app(settings)
    if is_loopback(host):
        names = [*LOOPBACK, "[::1]", host]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)
    return app


def limits(settings: ServingSettings) -> dict[str, Any]:
    """What uvicorn is told to bound: connections, and the wait for requests when the server ends."""
    return {
        "limit_concurrency": settings.max_connections,
        "timeout_graceful_shutdown": settings.shutdown_seconds,
    }
