"""The database of the store: a SQLite file by default, PostgreSQL by address; its migrations."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from serving.database.attempts import Attempts
from serving.database.errors import BUSY_SECONDS, StoreError, place, told

__all__ = [
    "VERSION_TABLE",
    "StoreError",
    "connect",
    "downgrade",
    "file_address",
    "open_database",
    "reading",
    "writing",
]

VERSION_TABLE = "wardcast_version"
"""Of its own name: other programs that migrate with Alembic may use the same database."""

CONNECT_SECONDS = 5
IDLE_SECONDS = 60
"""So long a transaction in PostgreSQL may do nothing: none of ours waits for anything but the database."""
_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that no other program locks: it marks the migration of this store.
_MIGRATION_LOCK = 7_281_950_155
_WRITE = "wardcast_write"


def file_address(file: Path) -> URL:
    """The address of a SQLite file, whatever characters its name holds."""
    return URL.create("sqlite", database=str(file.absolute()))


def open_database(url: str | URL) -> Engine:
    """Open the database at an address, made or migrated to what this version of wardcast needs.

    `sqlite:///FOLDER/FILE`, a `file_address`, or `postgresql://USER@HOST/DATABASE`. Processes that start at
    the same time wait for the one that migrates. Raises StoreError if the address is none, nothing answers
    there, the account may not do it, or what is there is no database or one of a newer version.
    """
    engine = connect(url)
    try:
        with told(engine):
            _prepare(engine)
        with reading(engine) as connection:
            is_current = _revision(connection) == _script().get_current_head()
        if not is_current:
            with writing(engine) as connection:
                _lock_migrations(connection)
                _migrate(connection, engine.url)
    except BaseException:
        engine.dispose()
        raise
    return engine


def downgrade(engine: Engine) -> None:
    """Take back the latest migration with what it alone can hold, to go back to an older version."""
    with writing(engine) as connection:
        _lock_migrations(connection)
        command.downgrade(_config(connection), "-1")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads. Raises StoreError if the database fails."""
    with told(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: committed at the end of the block, undone if it fails.

    SQLite has one writer at a time: it is waited for here, not in the middle, where what was read before
    would make the wait fail. Raises StoreError if the database fails; IntegrityError, for a key that is
    there already, is left to the caller.
    """
    with told(engine), engine.execution_options(**{_WRITE: True}).begin() as connection:
        yield connection


def connect(url: str | URL) -> Engine:
    """An engine for the address; nothing is read or migrated yet. Raises StoreError for no address."""
    parsed = _parse(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            _make_file(parsed)
            engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
            event.listen(engine, "connect", _configure_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        engine = create_engine(
            parsed, pool_pre_ping=True, pool_timeout=CONNECT_SECONDS, connect_args=_patience()
        )
        event.listen(engine, "connect", _configure_postgresql)
        attempts = Attempts()

        @event.listens_for(engine, "do_connect")
        def attempt(dialect: Dialect, _record: object, arguments: Any, options: Any) -> Any:
            return attempts.attempt(lambda: dialect.connect(*arguments, **options))

        return engine
    except ModuleNotFoundError:
        raise StoreError(
            "PostgreSQL needs the driver psycopg2: install wardcast[postgres], or name a SQLite file."
        ) from None


def _patience() -> dict[str, int]:
    """How long the driver waits for a server: to connect, and for one that went away in silence."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": CONNECT_SECONDS * 1000,
        "keepalives_idle": 30,
        "keepalives_interval": CONNECT_SECONDS,
        "keepalives_count": 3,
    }


def _parse(url: str | URL) -> URL:
    form = "Give sqlite:///FOLDER/FILE or postgresql://USER:PASSWORD@HOST/DATABASE."
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise StoreError(f"The address of the database is none. {form}") from None
    if backend not in ("sqlite", "postgresql"):
        raise StoreError(f"The store can be kept in SQLite and PostgreSQL, not in {backend}. {form}")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError(f"The store needs a file that outlives the process. {form}")
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg2")
    return parsed


def _make_file(url: URL) -> None:
    """An empty file where there is none, which nobody but its owner may read."""
    if "uri" in url.query:
        return
    file = Path(str(url.database))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"{file}: {os.strerror(error.errno or 0)}. Name a file in a folder that may be written to."
        ) from None


def _configure_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transactions leave out what defines tables: `_begin_sqlite` begins them instead.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _configure_postgresql(connection: Any, _record: object) -> None:
    # A process that hangs, or was cut off, in the middle of a transaction would hold up all others for ever.
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    is_write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _prepare(engine: Engine) -> None:
    """Let readers of a SQLite file go on while one process writes."""
    if engine.dialect.name != "sqlite":
        return
    until = time.monotonic() + BUSY_SECONDS
    connection = engine.raw_connection()
    try:
        while True:
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # This switch does not wait by itself for another process that makes it.
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.05)
    finally:
        connection.close()


def _lock_migrations(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})


def _migrate(connection: Connection, url: URL) -> None:
    try:
        command.upgrade(_config(connection), "head")
    except CommandError:
        raise StoreError(
            f"{place(url)}: made by a newer version of wardcast. Use that version, or another database."
        ) from None


def _revision(connection: Connection) -> str | None:
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(_MIGRATIONS))


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    # A percent sign is the beginning of a variable to Alembic.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
