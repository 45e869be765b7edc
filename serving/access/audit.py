"""The audit log: who read which stay's prediction, when, of which models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from serving.access.caller import Caller


class AuditLog:
    """An append-only file of hash-chained lines."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def record(self, caller: Caller, action: str, stay_ids: Iterable[str], models: Iterable[str]) -> None:
        """Write that `caller` reads these stays, before it is answered. Raises Problem (503)."""
