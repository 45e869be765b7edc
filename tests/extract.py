"""Hand-made extracts of a source: ingested, read back, and spoilt on purpose."""

from __future__ import annotations

from pathlib import Path

import duckdb

from features.dataset import open_dataset
from features.tables import TABLES

EXTRACTS = Path(__file__).with_name("extracts")


def select(out: Path, table: str, columns: str) -> list[tuple[object, ...]]:
    """Columns of a table of the data set at `out`, rows in a total order."""
    rows = open_dataset(out).select(TABLES[table])
    return duckdb.sql(f"SELECT {columns} FROM ({rows}) ORDER BY ALL").fetchall()


def changed(folder: Path, name: str, old: str, new: str) -> Path:
    """The folder, after `old` in its file became `new`; without `old` there the test itself is wrong."""
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    return folder
