"""Where the last line of each audit log is kept: in the store, away from the log."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from serving.access.chain import START, Head
from serving.database.connection import reading, writing
from serving.database.tables import AUDIT_HEADS


class ForeignHeadError(Exception):
    """Another process keeps the head of a log of the same name, or another hand changed it."""


def head_of(engine: Engine, log: str) -> Head:
    """The last line of a log; the start, if none was ever kept. Raises StoreError."""
    query = select(AUDIT_HEADS.c.sequence, AUDIT_HEADS.c.digest).where(AUDIT_HEADS.c.log == log)
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return START if row is None else Head(row.sequence, row.digest)


def move_head(engine: Engine, log: str, after: Head, head: Head, at: dt.datetime) -> None:
    """Keep another last line, where `after` is kept now.

    The same may be done again, if nobody knows whether it was done. Raises ForeignHeadError if another line
    is kept, StoreError if the database fails.
    """
    values = {"sequence": head.sequence, "digest": head.digest, "at": at}
    ours = (AUDIT_HEADS.c.log == log) & AUDIT_HEADS.c.digest.in_([after.digest, head.digest])
    try:
        with writing(engine) as connection:
            moved = connection.execute(update(AUDIT_HEADS).where(ours).values(values))
            if moved.rowcount == 0 and after == START:
                connection.execute(insert(AUDIT_HEADS).values(log=log, **values))
            elif moved.rowcount == 0:
                raise ForeignHeadError
    except IntegrityError:
        raise ForeignHeadError from None
