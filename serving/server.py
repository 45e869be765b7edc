"""The server process: the API behind uvicorn, with logs that hold no values."""

from __future__ import annotations

from typing import Any

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
        # Lines of JSON: one for each request and each failure.
        "wardcast": {"handlers": ["plain"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["named"], "level": "INFO", "propagate": False},
    },
}


def serve(settings: ServingSettings, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the API until interrupted. By default this machine alone can reach it.

    uvicorn's own access log is off: it would write addresses, which name stays.
    """
    import uvicorn

    uvicorn.run(
        create_app(settings), host=host, port=port, access_log=False, log_config=LOGGING, server_header=False
    )
