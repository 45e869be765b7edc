"""Lines of the audit log: each bears the digest of the one before, and its own under a secret key.

A line is one JSON object. Its digest covers every byte before it, so that nothing of a line can change, and
through `previous` all lines before. The digest is keyed (HMAC-SHA256): who can write the file alone cannot
make a line that fits. A stay is written as its pseudonym under the same key: whoever has the key and knows
the stay finds it; nobody reads a stay out of the file.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

FIRST = "0" * 64
"""Stands where the digest of the line before the first would be."""

_END = re.compile(rb',"digest":"([0-9a-f]{64})"\}\n')
_END_BYTES = len(',"digest":""}\n') + 64
_PSEUDONYM_HEX_DIGITS = 32  # 128 bits, as everywhere


@dataclass(frozen=True)
class Head:
    """A line by its number, from 1 on, and its digest. Number 0 is before the first line."""

    sequence: int
    digest: str


START = Head(0, FIRST)


@dataclass(frozen=True)
class AuditKey:
    """The secret under which digests and pseudonyms are made, each in a key of its own."""

    secret: bytes = field(repr=False)

    def digest(self, content: bytes) -> str:
        """The digest of a line's bytes."""
        return self._hmac(b"chain", content).hex()

    def pseudonym(self, stay_id: str) -> str:
        """What stands in the log for a stay."""
        return self._hmac(b"stay", stay_id.encode("utf-8", "surrogatepass")).hex()[:_PSEUDONYM_HEX_DIGITS]

    def _hmac(self, use: bytes, content: bytes) -> bytes:
        return hmac.digest(hmac.digest(self.secret, b"wardcast audit: " + use, "sha256"), content, "sha256")


@dataclass(frozen=True)
class Entry:
    """What one line tells: who (identity) did what (such as read_worklist), of which stays' models."""

    caller: str
    action: str
    stays: tuple[str, ...]
    models: tuple[str, ...]


def written(entry: Entry, after: Head, at: dt.datetime, key: AuditKey) -> tuple[bytes, Head]:
    """The line of an entry that follows `after`, and the head with it."""
    sequence = after.sequence + 1
    record = {
        "sequence": sequence,
        "at": at.astimezone(dt.UTC).isoformat(timespec="milliseconds"),
        "caller": entry.caller,
        "action": entry.action,
        "stays": entry.stays,
        "models": entry.models,
        "previous": after.digest,
    }
    content = json.dumps(record, separators=(",", ":")).encode("ascii")
    digest = key.digest(content)
    return content[:-1] + f',"digest":"{digest}"}}\n'.encode("ascii"), Head(sequence, digest)


@dataclass(frozen=True)
class Line:
    """A line as it was found, at place `number` of the file. `record` is None where it was altered."""

    number: int
    record: dict[str, Any] | None
    digest: str

    @property
    def head(self) -> Head | None:
        """What the head is while this is the last line; None where it was altered."""
        return None if self.record is None else Head(self.record["sequence"], self.digest)


def read(lines: Iterable[bytes], key: AuditKey) -> Iterator[Line]:
    """The lines of a log, each with its digest checked by itself."""
    for number, line in enumerate(lines, start=1):
        end = _END.fullmatch(line, max(0, len(line) - _END_BYTES))
        if end is None:
            yield Line(number, None, "")
            continue
        content, digest = line[:-_END_BYTES] + b"}", end[1].decode("ascii")
        is_right = hmac.compare_digest(key.digest(content), digest)
        yield Line(number, json.loads(content) if is_right else None, digest)
