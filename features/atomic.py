"""Write aside, then rename: an interrupted command leaves no half-written output."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TextIO

from features.errors import UserError

_HELD = "held while writing"


class OutputError(UserError):
    """Nothing can be written there; the message says why."""


@contextmanager
def written_aside(target: Path, *, folder: bool = False, replace: bool = True) -> Iterator[Path]:
    """Yield a path beside `target` to write a file (or a `folder`) to; on success it becomes `target`.

    The path does not exist yet. Whatever stood at `target` stays untouched until the new content is
    complete, and stays for good if the block raises or is interrupted. Without `replace` a file that another
    process has made there meanwhile stays, and the new one is dropped. What a killed process left aside for
    this target is removed first. Raises OutputError at once where a folder stands in the place of a file, or
    a file in the place of a folder.
    """
    if target.exists() and target.is_dir() != folder:
        wanted, there = ("folder", "file") if folder else ("file", "folder")
        raise OutputError(f"{target}: is a {there}. Name a {wanted}.")
    with folder_beside(target) as aside:
        fresh = aside / target.name
        former = aside / "former content"
        try:
            yield fresh
            if target.is_dir():
                target.rename(former)
            if replace:
                fresh.replace(target)
            else:
                _put(fresh, target)
        finally:
            # A folder cannot be replaced in one step: interrupted between the two, the former one goes back.
            if former.exists() and not target.exists():
                former.rename(target)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """Yield an empty hidden folder beside `target`, which is removed at the end, whatever happens.

    What a killed process left there for this target is removed first.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with _held(aside):
            yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put(fresh: Path, target: Path) -> None:
    """Put a file in its place in one step, unless there is one."""
    try:
        os.link(fresh, target)
    except FileExistsError:
        return


@contextmanager
def _held(aside: Path) -> Iterator[None]:
    """Mark a folder as in use, by the system's lock on a file in it, which ends with the process."""
    fresh = aside / f"{_HELD}, soon"
    with fresh.open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # It bears its name only once it is locked: nobody takes a new folder for a leftover.
        fresh.rename(aside / _HELD)
        yield


def _remove_leftovers(target: Path) -> None:
    """Remove what killed processes left aside for this target: it may hold patients' records.

    Where the former content had already been moved there and nothing took its place, it goes back.
    """
    # Exactly what mkdtemp appends: another target's name may begin with this one's.
    for aside in target.parent.glob(f".{escape(target.name)}.????????"):
        try:
            file = (aside / _HELD).open("r+", encoding="ascii")
        except OSError:
            continue
        with file:
            if _is_free(file):
                former = aside / "former content"
                if former.exists() and not target.exists():
                    former.rename(target)
                shutil.rmtree(aside, ignore_errors=True)


def _is_free(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
