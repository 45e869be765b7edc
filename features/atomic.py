"""Write aside, then rename: an interrupted command leaves no half-written output."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import UserError


class OutputError(UserError):
    """Nothing can be written there; the message says why."""


@contextmanager
def written_aside(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a path beside `target` to write a file (or a `folder`) to; on success it becomes `target`.

    The path does not exist yet. Whatever stood at `target` stays untouched until the new content is
    complete, and stays for good if the block raises or is interrupted. Raises OutputError at once where a
    folder stands in the place of a file, or a file in the place of a folder.
    """
    if target.exists() and target.is_dir() != folder:
        wanted, there = ("folder", "file") if folder else ("file", "folder")
        raise OutputError(f"{target}: is a {there}. Name a {wanted}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    fresh = aside / target.name
    former = aside / "former content"
    try:
        yield fresh
        if target.is_dir():
            target.rename(former)
        fresh.replace(target)
    finally:
        # A folder cannot be replaced in one step: interrupted between the two, the former one goes back.
        if former.exists() and not target.exists():
            former.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
