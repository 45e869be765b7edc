"""Whether an audit log is whole: no line removed, altered, moved, inserted or cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.access.chain import START, AuditKey, Head, Line, read

MAX_GROUP = 100
"""The most lines that are written at once, and so the most that the log may be ahead of the head kept."""
MAX_FINDINGS = 20
_UNKNOWN = ""


@dataclass(frozen=True)
class Verification:
    """What was found. `last` is the last line; `n_newer` lines and `n_unfinished` bytes follow the head kept.

    Both are no findings: they are being written, or the server stopped before they were done.
    """

    last: Head
    n_lines: int
    n_newer: int
    n_unfinished: int
    findings: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether nothing speaks of a change by another hand."""
        return not self.findings


def verify(file: Path, key: AuditKey, head: Callable[[], Head]) -> Verification:
    """Check a log, which may be written meanwhile, against the head kept elsewhere; at most 20 findings.

    Raises OSError if the file cannot be read; a file that is not there is an empty one.
    """
    before = head()
    walk = _Walk(before)
    if file.exists():
        with file.open("rb") as stream:
            for line in read(walk.complete(stream), key):
                walk.take(line)
    after = head()
    walk.end(before, after)
    return Verification(
        last=walk.last,
        n_lines=walk.n_lines,
        n_newer=max(0, walk.last.sequence - after.sequence),
        n_unfinished=walk.n_unfinished,
        findings=tuple(walk.findings[:MAX_FINDINGS]),
    )


class _Walk:
    """Goes through the lines once and keeps only what is needed of those before."""

    def __init__(self, kept: Head) -> None:
        self.last = START
        self.n_lines = 0
        self.n_unfinished = 0
        self.findings: list[str] = []
        self._kept = kept
        self._digest_at_kept: str | None = START.digest if kept.sequence == 0 else None

    def complete(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        for line in stream:
            if line.endswith(b"\n"):
                yield line
            else:
                self.n_unfinished = len(line)

    def take(self, line: Line) -> None:
        self.n_lines = line.number
        expected = self.last.sequence + 1
        if line.record is None:
            self._find(f"line {line.number} was altered")
            self._go_on(Head(expected, _UNKNOWN))
            return
        sequence, previous = line.record["sequence"], line.record["previous"]
        if sequence < expected:
            self._find(f"line {line.number} has the number {sequence}: it was moved, or written twice")
            return
        if sequence > expected:
            missing = f"number {expected}" if sequence == expected + 1 else f"{expected} to {sequence - 1}"
            self._find(f"line {line.number} has the number {sequence}: {missing} missing before it")
        elif self.last.digest not in (_UNKNOWN, previous):
            self._find(f"line {line.number} does not follow the line before it: one of them was replaced")
        self._go_on(Head(sequence, line.digest))

    def _go_on(self, head: Head) -> None:
        self.last = head
        if head.sequence == self._kept.sequence:
            self._digest_at_kept = head.digest

    def _find(self, finding: str) -> None:
        self.findings.append(finding)

    def end(self, before: Head, after: Head) -> None:
        last = self.last.sequence
        if last < before.sequence:
            self._find(f"the end is cut off: the last number is {last}, and {before.sequence} was written")
        elif not self.findings and self._digest_at_kept != before.digest:
            self._find(f"number {before.sequence} is not the line that was written: the log was made anew")
        if last - after.sequence > MAX_GROUP:
            self._find(
                f"{last - after.sequence} lines follow the head that is kept, and at most {MAX_GROUP} are "
                "written at once: the head was set back"
            )
