"""Whether the server can answer now: models, and whatever else an answer needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from sqlalchemy import Engine, select

from serving.champions.loaded import ChampionSet
from serving.database.connection import StoreError, reading
from serving.database.errors import DAMAGED
from serving.database.tables import METADATA
from serving.operation.failures import StoreFailures
from serving.problems import NOT_READY, Problem


def store_answers(engine: Engine, failures: StoreFailures) -> None:
    """Raise StoreError unless the newest row of each table can be read, and no damage was met anywhere.

    To look through the whole file would take seconds. Damage elsewhere shows when somebody reads there;
    from then on the server is not ready until it is started anew.
    """
    with reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            # Pages in memory would hide what became of the file.
            connection.exec_driver_sql("PRAGMA shrink_memory")
        for table in METADATA.sorted_tables:
            newest = [column.desc() for column in table.primary_key]
            connection.execute(select(table).order_by(*newest).limit(1)).all()
    if failures.is_damaged:
        raise StoreError("Damage was met since the start.", DAMAGED)


class Readiness:
    """What `/health/ready` tells.

    `checks` name what an answer needs beside the models, such as the store and the audit log; each
    raises an exception while its part cannot be used.
    """

    def __init__(
        self,
        champions: Callable[[], ChampionSet],
        checks: Mapping[str, Callable[[], object]],
        *,
        again_seconds: float = 1.0,
    ) -> None:
        self._champions = champions
        self._checks = dict(checks)
        self._again_seconds = again_seconds
        self._checking = threading.Lock()
        self._checked_at = float("-inf")
        self._in_the_way: str | None = None

    def champions(self) -> ChampionSet:
        """The champions in force. Raises Problem (503) if there is none, or a part cannot be used.

        Nobody needs a key to ask: the checks are made once in `again_seconds` at the most, one at a time, and
        whoever asks meanwhile is told what was found last.
        """
        champions = self._champions()
        is_first = self._checked_at == float("-inf")
        if self._checking.acquire(blocking=is_first):
            try:
                if time.monotonic() - self._checked_at >= self._again_seconds:
                    self._in_the_way = self._found()
                    self._checked_at = time.monotonic()
            finally:
                self._checking.release()
        if self._in_the_way is not None:
            raise Problem(NOT_READY, self._in_the_way)
        return champions

    def _found(self) -> str | None:
        for name, check in self._checks.items():
            try:
                check()
            except Exception as error:
                # Never the message, which may quote an address or a value.
                kind = error.kind if isinstance(error, StoreError) else type(error).__name__
                return f"The {name} cannot be used ({kind}). See the server's log and its settings."
        return None
