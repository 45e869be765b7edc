"""One run at a time: a work folder is held against every other process until its run ends."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from features.errors import UserError

LOCK = "lock"


class ClaimedError(UserError):
    """Another process is at the same work; the message says which."""


@contextmanager
def claimed(folder: Path, output: str) -> Iterator[None]:
    """Make `folder`, in which `output` is made, where there is none, and hold it until the block ends.

    The file `lock` in it tells the process. What holds is the system's lock on that file, which ends with
    the process: the leftover of a run that was killed stands in nobody's way. The block may remove the
    folder. Raises ClaimedError.
    """
    with _held(folder, output):
        yield


def _held(folder: Path, output: str) -> TextIO:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = (folder / LOCK).open("a+", encoding="ascii")
        except FileNotFoundError:
            # The run before has just removed the folder at its end.
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_there(folder, file):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        except BlockingIOError:
            file.seek(0)
            process = file.read()
            file.close()
            raise ClaimedError(
                f"{output}: another run (process {process}) is writing it. "
                "Wait until that has ended, or name another file."
            ) from None
        except BaseException:
            file.close()
            raise
        file.close()


def _is_still_there(folder: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat((folder / LOCK).stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def cleared(folder: Path) -> None:
    """Remove what a former run left in a claimed folder."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()
