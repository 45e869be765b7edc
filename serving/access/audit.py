"""The audit log: who read which stay's prediction, when, of which models."""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from features.errors import UserError
from serving.access.caller import Caller
from serving.access.chain import START, AuditKey, Entry, Head, read, written
from serving.access.heads import ForeignHeadError, head_of, move_head
from serving.access.pages import NoSuchPageError, Page, page_of
from serving.access.reads import Sought
from serving.access.verification import MAX_GROUP, verify
from serving.database.connection import StoreError
from serving.problems import AUDIT_UNAVAILABLE, FieldError, Problem, invalid

_TAIL_BYTES = 64 * 1024

_log = logging.getLogger("wardcast.serving")


class AuditLogError(UserError):
    """The log cannot be written from now on; the message says why and what to do."""


@dataclass
class _Waiting:
    entry: Entry
    writes: bool = False
    is_written: bool = False
    needs: str = "the audit log"
    called: threading.Event = field(default_factory=threading.Event)


class AuditLog:
    """An append-only file of hash-chained lines, written by one process at a time.

    A line is on the disk, and the head in the store, before `record` returns. Requests that come at once
    share one write: the first in line writes for all that wait. So the file is ahead of the head by one
    such group at the most, and never behind it.
    """

    def __init__(
        self,
        file: Path,
        key: AuditKey,
        engine: Engine,
        *,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Go on with the log, or begin it. What a crash left unfinished is taken over, and a line tells so.

        Raises AuditLogError if another process writes it, or it is not as it was written.
        """
        self._file = file
        self._key = key
        self._engine = engine
        self._now = now
        self._adding = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        # Whether one of those who asked writes now.
        self._is_being_written = False
        # The last line, and the one that the store keeps as such.
        self._head = self._kept = START
        self._n_bytes = 0
        self._descriptor = _locked(file)
        try:
            self._go_on()
        except BaseException:
            os.close(self._descriptor)
            raise

    def record(self, caller: Caller, action: str, stay_ids: Iterable[str], models: Iterable[str]) -> None:
        """Write that `caller` reads these stays' predictions by these models, before it is answered.

        `action` names what was done, such as read_worklist. All stays of one request go into one line. Raises
        Problem (503) if it cannot be written: then nothing may be answered.
        """
        stays = tuple(self._key.pseudonym(stay_id) for stay_id in dict.fromkeys(stay_ids))
        waiting = _Waiting(Entry(caller.identity, action, stays, tuple(dict.fromkeys(models))))
        with self._adding:
            self._waiting.append(waiting)
            waiting.writes, self._is_being_written = not self._is_being_written, True
        if not waiting.writes:
            waiting.called.wait()
        if waiting.writes:
            self._write_group()
        if not waiting.is_written:
            raise Problem(
                AUDIT_UNAVAILABLE, f"Reads must be recorded, and {waiting.needs} cannot be written."
            )

    def page(self, sought: Sought, *, before: int | None, limit: int) -> Page:
        """Reads that are sought, the newest first; `before` is the `next` of another page.

        Raises Problem: 422 for a `before` that is none, 503 if the log cannot be read. A line that another
        hand changed is told in the page and in the server's log.
        """
        try:
            with self._writing:
                self._refuse_foreign_change()
                n_bytes, head = self._n_bytes, self._head
            read_at = partial(os.pread, self._descriptor)
            page = page_of(read_at, n_bytes, head, self._key, sought, before=before, limit=limit)
        except NoSuchPageError:
            raise invalid([FieldError("query.before", "is not the `next` of an answer")]) from None
        except OSError:
            raise Problem(AUDIT_UNAVAILABLE, "The audit log cannot be read.") from None
        if not page.is_intact:
            _log.error(json.dumps({"event": "audit_altered", "oldest": page.oldest, "newest": page.newest}))
        return page

    def check(self) -> None:
        """Raise OSError if no line could be written now: the file was changed, or the disk is full."""
        with self._writing:
            self._refuse_foreign_change()
            if os.fstatvfs(self._descriptor).f_bavail == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Let another process write the log."""
        with self._writing:
            os.close(self._descriptor)

    def _write_group(self) -> None:
        """Write for all that wait, and call the first of those who came meanwhile to write next."""
        with self._adding:
            group = [self._waiting.popleft() for _ in range(min(MAX_GROUP, len(self._waiting)))]
        try:
            with self._writing:
                self._write([waiting.entry for waiting in group])
            for waiting in group:
                waiting.is_written = True
        except (OSError, StoreError, ForeignHeadError) as error:
            for waiting in group:
                waiting.needs = _needed(error)
            line = {"event": "audit_unwritable", "kind": type(error).__name__, "cause": _cause(error)}
            _log.error(json.dumps(line))
        finally:
            with self._adding:
                self._is_being_written = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].writes = True
                    self._waiting[0].called.set()
            for waiting in group:
                waiting.called.set()

    def _write(self, entries: Iterable[Entry]) -> None:
        if self._kept != self._head:
            self._keep_head()
        self._refuse_foreign_change()
        content, head, at = bytearray(), self._head, self._now()
        for entry in entries:
            line, head = written(entry, head, at, self._key)
            content += line
        try:
            _write_all(self._descriptor, content)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._n_bytes)
            raise
        self._n_bytes += len(content)
        self._head = head
        self._keep_head()

    def _keep_head(self) -> None:
        move_head(self._engine, self._file.name, self._kept, self._head, self._now())
        self._kept = self._head

    def _refuse_foreign_change(self) -> None:
        """The file must be the one that was opened, as this process left it."""
        opened = os.fstat(self._descriptor)
        if opened.st_size != self._n_bytes or not os.path.samestat(self._file.stat(), opened):
            raise OSError("the audit log was changed by another process")

    def _go_on(self) -> None:
        self._head = self._kept = kept = head_of(self._engine, self._file.name)
        self._n_bytes = os.fstat(self._descriptor).st_size
        if _ends_with(self._file, self._n_bytes, kept, self._key):
            return
        found = verify(self._file, self._key, lambda: kept)
        if not found.is_intact:
            raise AuditLogError(
                f"{self._file}: the audit log is not as it was written ({found.findings[0]}). Run `wardcast "
                "audit verify`, keep the file, and name another with audit_log under [access]."
            )
        self._n_bytes -= found.n_unfinished
        os.ftruncate(self._descriptor, self._n_bytes)
        self._head = found.last
        self._keep_head()
        took_over = f"went on after a stop: {found.n_newer} lines newer than the head, "
        cut = f"{found.n_unfinished} bytes of an unfinished line cut off"
        self._write([Entry("wardcast", took_over + cut, (), ())])


def _needed(error: Exception) -> str:
    if isinstance(error, StoreError):
        return "the store, which keeps the audit log's last line,"
    return "the audit log"


def _cause(error: Exception) -> str:
    """Why a line could not be written, in a word or two of the program, the system or the driver."""
    if isinstance(error, StoreError):
        return error.kind
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "changed by another hand"


def _locked(file: Path) -> int:
    is_new = not file.exists()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise AuditLogError(f"{file}: the audit log cannot be opened ({error.strerror}).") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_new:
            _sync_folder(file.parent)
    except BlockingIOError:
        os.close(descriptor)
        raise AuditLogError(
            f"{file}: another process writes this audit log. Stop it, or give each server a log of its own "
            "with audit_log under [access]."
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytearray) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _ends_with(file: Path, n_bytes: int, head: Head, key: AuditKey) -> bool:
    """Whether the last line is the head. Looks at the end alone: a log may be large."""
    if n_bytes == 0:
        return head.sequence == 0
    n_read = _TAIL_BYTES
    with file.open("rb") as stream:
        while True:
            stream.seek(max(0, n_bytes - n_read))
            lines = stream.read().splitlines(keepends=True)
            if len(lines) > 1 or n_read >= n_bytes:
                break
            n_read *= 2
    (last,) = read(lines[-1:], key)
    return last.head == head
