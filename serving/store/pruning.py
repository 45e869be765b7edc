"""How old rows are removed: a few at a time."""

from __future__ import annotations

import datetime as dt
import time

from sqlalchemy import Column, Engine, Table, delete, select

from serving.database.connection import writing

# While one transaction writes, no audit line and no key can be: each is short, and lets others in.
PRUNED_AT_ONCE = 1_000
_LET_IN_SECONDS = 0.05


def prune(engine: Engine, table: Table, at: Column[dt.datetime], before: dt.datetime) -> int:
    """Remove the rows of a table whose instant `at` lies before another; returns how many.

    Raises StoreError: what was removed until then stays removed.
    """
    (key,) = table.primary_key.columns
    some = select(key).where(at < before).limit(PRUNED_AT_ONCE).scalar_subquery()
    n_removed = 0
    while True:
        with writing(engine) as connection:
            removed = connection.execute(delete(table).where(key.in_(some))).rowcount
        n_removed += removed
        if removed < PRUNED_AT_ONCE:
            return n_removed
        time.sleep(_LET_IN_SECONDS)
