"""Whether the server can answer now: models, and whatever else an answer needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Engine, select

from serving.champions.loaded import ChampionSet
from serving.database.connection import reading
from serving.database.tables import AUDIT_HEADS
from serving.problems import NOT_READY, Problem


def store_answers(engine: Engine) -> None:
    """Raise StoreError unless the database answers."""
    with reading(engine) as connection:
        # A table, since SQLite looks at no file for less.
        connection.execute(select(AUDIT_HEADS.c.log).limit(1))


class Readiness:
    """What `/health/ready` tells.

    `checks` name what an answer needs beside the models, such as the store and the audit log; each
    raises an exception while its part cannot be used.
    """

    def __init__(
        self, champions: Callable[[], ChampionSet], checks: Mapping[str, Callable[[], object]]
    ) -> None:
        self._champions = champions
        self._checks = dict(checks)

    def champions(self) -> ChampionSet:
        """The champions in force. Raises Problem (503) if there is none, or a part cannot be used."""
        champions = self._champions()
        for name, check in self._checks.items():
            try:
                check()
            except Exception as error:
                kind = type(error).__name__  # Never the message, which may quote an address or a value.
                detail = f"The {name} cannot be used ({kind}). See the server's log and its settings."
                raise Problem(NOT_READY, detail) from None
        return champions
