"""Who read a stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.errors import UserError
from serving.access.chain import AuditKey, read


def reads_of(file: Path, stay_id: str, key: AuditKey) -> Iterator[dict[str, Any]]:
    """The reads of a stay in the order of the log: sequence, at, caller, action, models.

    Raises UserError if there is no log, or a line of it was altered: it may have told of a read.
    """
    pseudonym = key.pseudonym(stay_id)
    if not file.exists():
        raise UserError(f"{file}: there is no audit log. Name the work folder of the server with --work.")
    with file.open("rb") as stream:
        complete = (line for line in stream if line.endswith(b"\n"))
        for line in read(complete, key):
            if line.record is None:
                raise UserError(f"{file}: line {line.number} was altered. Run `wardcast audit verify`.")
            if pseudonym in line.record["stays"]:
                names = ("sequence", "at", "caller", "action", "models")
                yield {name: line.record[name] for name in names}
