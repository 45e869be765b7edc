"""What goes wrong with the database, in words that quote nothing that was sent to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from features.errors import UserError
from serving.database.attempts import AwayError

BUSY_SECONDS = 15
"""So long whoever wants to write waits for another process that does."""


class StoreError(UserError):
    """The store's database cannot be used; the message says which, why and what to do, never a password.

    `kind` names the reason in a word or two, `code` is the driver's own name of it, such as SQLITE_FULL.
    """

    def __init__(self, message: str, kind: str = "refused", code: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code


def tell_failures(engine: Engine, tell: Callable[[StoreError], None]) -> None:
    """Have every later failure of the engine's database told to `tell`, before it is raised."""
    engine.update_execution_options(**{_TELL: tell})


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Raise what the database raises as StoreError, but for IntegrityError: a key that is there already."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError, AwayError, sqlite3.Error) as error:
        failure = _failure(error, engine.url)
        if tell := engine.get_execution_options().get(_TELL):
            tell(failure)
        raise failure from None


def place(url: URL) -> str:
    """The database in words for a message: never its account, password or options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "this machine"
    return f"the database {url.database or ''} at {host}"


def _failure(error: Exception, url: URL) -> StoreError:
    """Why the database does not do it; never in its own words, which may quote what was sent to it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "pgcode", None)
    said = str(cause).lower()
    for sign, (kind, reason) in _REASONS.items():
        if sign in said:
            return StoreError(f"{place(url)}: {reason}", kind, code)
    # A SQLite file has no server that could be away; its driver calls nearly everything operational.
    is_away = isinstance(error, AwayError | OperationalError) and not isinstance(cause, sqlite3.Error)
    if is_away:
        reason = "does not answer, or not to this account. See that it runs; check name and password."
        return StoreError(f"{place(url)}: {reason}", "away", code)
    reason = f"refused it ({type(error).__name__}). Name an empty database, or one that wardcast made."
    return StoreError(f"{place(url)}: {reason}", "refused", code)


DAMAGED = "damaged"
"""The kind of failure that does not end by itself."""
_TELL = "wardcast_tell"
_RESTORE = "Restore it from the backup (docs/operate.md)."
_NO_RIGHT = (
    "not writable",
    "may not be written to. Give the account the right to make and write tables there.",
)
_BUSY = ("locked", f"another process has been writing it for {BUSY_SECONDS} seconds. Try again.")
_REASONS = {
    "not a database": (
        DAMAGED,
        f"not a SQLite database, or one whose beginning is damaged. If it is the store: {_RESTORE} "
        "If it is something else, name another file.",
    ),
    "readonly": _NO_RIGHT,
    "permission denied": _NO_RIGHT,
    "unable to open": _NO_RIGHT,
    "locked": _BUSY,
    "lock timeout": _BUSY,
    "is full": ("disk full", "the disk is full. Free some space, then try again."),
    "disk i/o error": (
        "disk error",
        "the disk does not read or write it. See the machine's log; where the file was cut short or "
        f"removed: {_RESTORE}",
    ),
    "queuepool": ("no connection free", "all connections to it are in use. Try again."),
    "disk image is malformed": (DAMAGED, f"the file is damaged. {_RESTORE}"),
    "malformed database schema": (DAMAGED, f"the file is damaged. {_RESTORE}"),
}
"""By what the driver says of it: kind and reason."""
