"""Who read what: the lines of the audit log that are looked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import UserError
from serving.access.caller import is_named
from serving.access.chain import AuditKey, read

Record = Mapping[str, Any]
"""A line of the log: sequence, at, caller, action, stays, models, previous."""


@dataclass(frozen=True)
class Sought:
    """Which reads are looked for; what is None is any.

    `caller` is an identity, or the name or the id of an API key. `since` and `until` are the first and the
    last day, in UTC.
    """

    stay_id: str | None = None
    caller: str | None = None
    action: str | None = None
    since: dt.date | None = None
    until: dt.date | None = None


def matching(sought: Sought, key: AuditKey) -> Callable[[Record], bool]:
    """Whether a line of the log with this key is one that is looked for."""
    pseudonym = None if sought.stay_id is None else key.pseudonym(sought.stay_id)
    since, until = (sought.since or dt.date.min).isoformat(), (sought.until or dt.date.max).isoformat()

    def matches(record: Record) -> bool:
        return (
            (pseudonym is None or pseudonym in record["stays"])
            and (sought.caller is None or is_named(sought.caller, record["caller"]))
            and sought.action in (None, record["action"])
            and since <= day_of(record) <= until
        )

    return matches


def day_of(record: Record) -> str:
    """The day of a line, in UTC, as ISO has it: the order of such texts is that of the days."""
    return str(record["at"])[: len("2026-11-22")]


def reads_of(file: Path, sought: Sought, key: AuditKey) -> Iterator[dict[str, Any]]:
    """The reads in the order of the log: sequence, at, caller, action, models.

    Raises UserError if there is no log, or a line of it was altered: it may have told of a read.
    """
    matches = matching(sought, key)
    if not file.exists():
        raise UserError(f"{file}: there is no audit log. Name the work folder of the server with --work.")
    with file.open("rb") as stream:
        complete = (line for line in stream if line.endswith(b"\n"))
        for line in read(complete, key):
            if line.record is None:
                raise UserError(f"{file}: line {line.number} was altered. Run `wardcast audit verify`.")
            if matches(line.record):
                names = ("sequence", "at", "caller", "action", "models")
                yield {name: line.record[name] for name in names}
