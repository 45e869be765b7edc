"""Where the last line of each audit log is kept: in the store, away from the log."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine, insert, select, update

from serving.access.chain import START, Head
from serving.database.connection import reading, writing
from serving.database.tables import AUDIT_HEADS


def head_of(engine: Engine, log: str) -> Head:
    """The last line of a log; the start, if none was ever kept. Raises StoreError."""
    query = select(AUDIT_HEADS.c.sequence, AUDIT_HEADS.c.digest).where(AUDIT_HEADS.c.log == log)
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return START if row is None else Head(row.sequence, row.digest)


def move_head(engine: Engine, log: str, head: Head, at: dt.datetime) -> None:
    """Keep another last line. Raises StoreError."""
    values = {"sequence": head.sequence, "digest": head.digest, "at": at}
    with writing(engine) as connection:
        moved = connection.execute(update(AUDIT_HEADS).where(AUDIT_HEADS.c.log == log).values(values))
        if moved.rowcount == 0:
            connection.execute(insert(AUDIT_HEADS).values(log=log, **values))
