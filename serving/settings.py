"""The limits of the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from features.settings import FeatureSettings
from serving.access.settings import AccessSettings

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class ServingSettings:
    """Where the server finds what it needs, whom it lets in, and how much one request may ask for.

    `folder` holds the audit log and, if no `database` is named, the store; by default that of the champions.
    `history` is the data set whose patients may be asked about by their stay alone. `cds_hooks` is a file
    with what the services say, by default the product's own; `hospital` that of encounters that name none.
    `insecure_demo` asks nobody who they are.

    `max_body_bytes` bounds every body, `body_seconds` the time in which it must arrive, `head_seconds` that
    of what stands before it, `request_seconds` that of body and answer together, `max_connections` the
    connections answered at a time. When the server is told to end, it is not ready but goes on answering for
    `drain_seconds`, then waits `shutdown_seconds` for the requests it has taken.
    `max_rows` bounds the rows of one admission with its history, `max_batch` the admissions of one batch,
    `max_waiting` the requests that are computed or wait for it, each of which holds a thread.
    `reload_seconds` is the time between two looks for a new champion (0: every request looks),
    `retry_seconds` between two attempts to load one that was refused. A request computes in one thread,
    whatever `features.threads` says.
    """

    champions: Path
    folder: Path | None = None
    database: str | None = None
    history: Path | None = None
    cds_hooks: Path | None = None
    hospital: str | None = None
    access: AccessSettings = field(default_factory=AccessSettings)
    insecure_demo: bool = False
    max_body_bytes: int = 5 * MEBIBYTE
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    request_seconds: float = 120.0
    max_connections: int = 256
    drain_seconds: float = 2.0
    shutdown_seconds: int = 10
    max_rows: int = 20_000
    max_batch: int = 1_000
    max_waiting: int = 96
    reload_seconds: float = 1.0
    retry_seconds: float = 30.0
    features: FeatureSettings = field(default_factory=FeatureSettings)

    @property
    def work(self) -> Path:
        """The folder of what the server writes."""
        return self.folder or self.champions.parent
