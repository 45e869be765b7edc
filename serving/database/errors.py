"""What goes wrong with the database, in words that quote nothing that was sent to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from features.errors import UserError
from serving.database.attempts import AwayError

BUSY_SECONDS = 15
"""So long whoever wants to write waits for another process that does."""


class StoreError(UserError):
    """The store's database cannot be used; the message says which, why and what to do, never a password."""


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Raise what the database raises as StoreError, but for IntegrityError: a key that is there already."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError, AwayError, sqlite3.Error) as error:
        raise StoreError(f"{place(engine.url)}: {_reason(error)}") from None


def place(url: URL) -> str:
    """The database in words for a message: never its account, password or options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "this machine"
    return f"the database {url.database or ''} at {host}"


def _reason(error: Exception) -> str:
    """Why the database does not do it; never in its own words, which may quote what was sent to it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    said = str(cause).lower()
    for sign, reason in _REASONS.items():
        if sign in said:
            return reason
    # A SQLite file has no server that could be away; its driver calls nearly everything operational.
    is_away = isinstance(error, AwayError | OperationalError) and not isinstance(cause, sqlite3.Error)
    if is_away:
        return "does not answer, or not to this account. See that it runs; check name and password."
    return f"refused it ({type(error).__name__}). Name an empty database, or one that wardcast made."


_NO_RIGHT = "may not be written to. Give the account the right to make and write tables there."
_BUSY = f"another process has been writing it for {BUSY_SECONDS} seconds. Try again."
_REASONS = {
    "not a database": "not a SQLite database. Name another file.",
    "readonly": _NO_RIGHT,
    "permission denied": _NO_RIGHT,
    "unable to open": _NO_RIGHT,
    "locked": _BUSY,
    "lock timeout": _BUSY,
    "is full": "the disk is full. Free some space, then try again.",
    "queuepool": "all connections to it are in use. Try again.",
    "malformed": "the file is damaged. Restore it from a backup.",
}
