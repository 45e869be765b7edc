"""The audit log from its end: the newest reads first, a bounded number of lines at a time."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from serving.access.chain import START, AuditKey, Head, Line, read
from serving.access.reads import Record, Sought, day_of, matching

MAX_LINES = 20_000
"""The most lines that one page looks at, so that no question holds the server for long."""
_BLOCK_BYTES = 64 * 1024
# A line of a batch of 1,000 stays takes 36 kB.
_MAX_LINE_BYTES = 1024 * 1024
# A clock that is set back leaves later lines with earlier times.
_CLOCK_SET_BACK = dt.timedelta(days=1)

ReadAt = Callable[[int, int], bytes]
"""So many bytes of the log from a place on, as `os.pread` gives them."""


class NoSuchPageError(Exception):
    """No line of the log begins at that place."""


@dataclass(frozen=True)
class Page:
    """Reads that were found, the newest first, among the lines with the numbers `oldest` to `newest`.

    `next` is where the page of older lines begins; None: there is none. `is_intact`: each of the lines is as
    it was written and follows the one before, and the newest is the head, or is followed by the page before.
    """

    reads: tuple[Record, ...]
    oldest: int
    newest: int
    is_intact: bool
    next: int | None


def page_of(
    read_at: ReadAt,
    n_bytes: int,
    head: Head,
    key: AuditKey,
    sought: Sought,
    *,
    before: int | None,
    limit: int,
) -> Page:
    """At most `limit` reads from among the lines before a place, `next` of another page, or from the end.

    `n_bytes` is the length of the log, `head` its last line. Raises NoSuchPageError; OSError where lines
    cannot be told apart.
    """
    matches = matching(sought, key)
    last_day = "" if sought.since is None else (sought.since - _CLOCK_SET_BACK).isoformat()
    expected = head if before is None else _line_before(read_at, n_bytes, before, key)
    newest, found, is_intact = expected.sequence, [], True
    n_left, is_past = before or n_bytes, False
    for place, content in islice(_backwards(read_at, n_left), MAX_LINES):
        line, n_left = _line(content, key), place
        is_intact = is_intact and line.head == expected
        if line.record is None:
            expected = Head(expected.sequence - 1, "")
            continue
        expected = Head(line.record["sequence"] - 1, line.record["previous"])
        if matches(line.record):
            found.append(line.record)
        is_past = day_of(line.record) < last_day
        if is_past or len(found) == limit:
            break
    if n_left == 0:
        is_intact = is_intact and expected == START
    is_end = is_past or n_left == 0
    return Page(tuple(found), expected.sequence + 1, newest, is_intact, None if is_end else n_left)


def _line(content: bytes, key: AuditKey) -> Line:
    (line,) = read([content], key)
    return line


def _line_before(read_at: ReadAt, n_bytes: int, place: int, key: AuditKey) -> Head:
    """The line before a place, as the one that begins there bears it. Raises NoSuchPageError."""
    if not 0 < place < n_bytes:
        raise NoSuchPageError
    line = _line(io.BytesIO(read_at(min(_MAX_LINE_BYTES, n_bytes - place), place)).readline(), key)
    if line.record is None:
        raise NoSuchPageError
    return Head(line.record["sequence"] - 1, line.record["previous"])


def _backwards(read_at: ReadAt, end: int) -> Iterator[tuple[int, bytes]]:
    """The lines that end before a place, the last first, each with the place at which it begins."""
    start, rest = end, b""
    while start > 0:
        n_bytes = min(_BLOCK_BYTES, start)
        start -= n_bytes
        # The first of the block's lines may begin before it.
        first, *lines = io.BytesIO(read_at(n_bytes, start) + rest)
        place = start + len(first) + sum(len(line) for line in lines)
        for line in reversed(lines):
            place -= len(line)
            yield place, line
        if len(first) > _MAX_LINE_BYTES:
            raise OSError("a line of the audit log has no end")
        rest = first
    if rest:
        yield 0, rest
