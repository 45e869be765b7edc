"""A folder of canonical tables, as a hospital prepares it or as `wardcast ingest` wrote it.

One Parquet or CSV file, or one (hive-partitioned) folder, per table, and `dataset.toml`.
"""

from __future__ import annotations

import os
from pathlib import Path

from features.dataset import UNSEEN_STAYS, Declaration, read_declaration
from features.progress import Progress, silent
from features.tables import TableError

SUFFIXES = (".parquet", ".csv")
_NOT_TABLES = ("quarantine", "truth")


def stage(path: Path | None, staging: Path, *, progress: Progress = silent) -> Declaration:
    """Link the folder's tables into `staging`, and what it knows of stays that it does not hold.

    Nothing is copied and the folder stays untouched.

    Raises TableError if there is no folder, no `dataset.toml`, or a table is there twice or cannot be read.
    """
    if path is None:
        raise TableError("The source canonical reads a folder of tables. Name one.")
    if not path.is_dir():
        said = "is a file" if path.exists() else "no such folder"
        raise TableError(
            f"{path}: {said}. The source canonical reads a folder of tables. Name one that exists."
        )
    declaration = read_declaration(path)
    entries = sorted(entry for entry in path.iterdir() if _is_table(entry))
    names = [entry.stem if entry.is_file() else entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(
            f"The data set cannot be used.\n{', '.join(twice)}: there is more than one file or folder of "
            "the table. Leave only one."
        )
    closed = [str(entry) for entry in entries if not os.access(entry, os.R_OK)]
    if closed:
        raise TableError(f"{', '.join(closed)}: cannot be read by this account. Let it read them.")
    progress("linking tables", 0, len(entries))
    for name, entry in zip(names, entries, strict=True):
        target = staging / name
        if entry.is_dir():
            target.symlink_to(entry.absolute(), target_is_directory=True)
        else:
            target.mkdir()
            (target / entry.name).symlink_to(entry.absolute())
    if (path / UNSEEN_STAYS).is_file():
        (staging / UNSEEN_STAYS).symlink_to((path / UNSEEN_STAYS).absolute())
    progress("linking tables", len(entries), len(entries))
    return declaration


def _is_table(entry: Path) -> bool:
    if entry.name.startswith((".", "_")) or entry.name in (*_NOT_TABLES, UNSEEN_STAYS):
        return False
    return entry.is_dir() or entry.suffix in SUFFIXES
