"""Logs: lines of JSON that hold no patient's value, whoever writes them."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
from typing import Any, Literal

Level = Literal["debug", "info", "warning", "error"]


class JsonLines(logging.Formatter):
    """One JSON object a line: `at` (UTC), `level`, `logger`, and the event with its fields.

    The product's own lines are JSON objects of declared fields, or plain words. Of anybody else's line
    only the template's first line is written, never its arguments, and of an exception only the type and
    the place: both may quote an address, a query or a value.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name == "wardcast" or record.name.startswith("wardcast."):
            line |= _own(record.getMessage())
        elif record.name == "py.warnings":
            line |= {"event": "warning", "place": _place_of_warning(record.getMessage())}
        else:
            line |= {"event": "message", "message": str(record.msg).split("\n", 1)[0]}
        if record.exc_info and record.exc_info[0] is not None:
            line |= {"error": record.exc_info[0].__name__}
        return json.dumps(line, ensure_ascii=False)


def _own(message: str) -> dict[str, Any]:
    try:
        fields = json.loads(message)
    except ValueError:
        fields = None
    return fields if isinstance(fields, dict) else {"event": "message", "message": message}


def _place_of_warning(text: str) -> str:
    """File, line and category of Python's own text of a warning; what follows may quote a value."""
    found = re.match(r"(.+?:\d+: \w+): ", text)
    return found[1] if found else "unknown"


def logging_config(level: Level = "info") -> dict[str, Any]:
    """The configuration of the server process; `level` is that of the product's own lines.

    Libraries, the HTTP server among them, speak up only to warn.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": JsonLines}},
        "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": {"wardcast": {"level": level.upper()}},
        "root": {"handlers": ["lines"], "level": "WARNING"},
    }
