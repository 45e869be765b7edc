"""From numbers to the columns of a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.sources.synthetic.codes import Floats, Integers
from features.tables import TableError

_NUMBERS = 999_999_937
"""A prime: multiplying by a fixed factor modulo it shuffles the numbers 0 … prime − 1."""

_FACTOR = 387_420_489
_MINUTES = 24 * 60


def pseudonyms(prefix: str, numbers: Integers) -> Any:
    """Ids such as S012345678: one each for the numbers, showing neither order nor time."""
    if len(numbers) and int(numbers.max()) >= _NUMBERS:
        raise TableError(f"The made-up hospital has room for {_NUMBERS} ids of one kind. Ask for fewer.")
    shuffled = ((numbers.astype(np.int64) + 1) * _FACTOR) % _NUMBERS
    digits = shuffled[:, None] // 10 ** np.arange(8, -1, -1) % 10 + ord("0")
    text = np.empty((len(numbers), 10), dtype=np.uint8)
    text[:, 0] = ord(prefix)
    text[:, 1:] = digits
    offsets = np.arange(0, 10 * (len(numbers) + 1), 10, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))


def instants(days: Floats) -> Any:
    """Days since 1970 as timestamps to the minute; nan becomes null."""
    missing = np.isnan(days)
    minutes = np.floor(np.where(missing, 0, days) * _MINUTES + 1e-6).astype(np.int64)
    return pa.array(minutes * 60_000_000, mask=missing).cast(pa.timestamp("us"))


def dates(days: Floats) -> Any:
    """Days since 1970 as dates; nan becomes null."""
    missing = np.isnan(days)
    return pa.array(np.floor(np.where(missing, 0, days)).astype(np.int32), mask=missing).cast(pa.date32())


def money(amount: Floats) -> Any:
    """Amounts rounded to 0.01; nan becomes null."""
    return pa.array(np.round(amount, 2), from_pandas=True)


def texts(values: Any) -> Any:
    """Text, where an empty text means null."""
    found = np.asarray(values, dtype=object)
    return pa.array(found, type=pa.string(), mask=found == "")


def write_part(folder: Path, part: int | str, columns: dict[str, Any]) -> None:
    """Write one part file of a table."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"part-{part:05d}.parquet" if isinstance(part, int) else f"part-{part}.parquet"
    pq.write_table(
        pa.table(columns), folder / name, compression="snappy", store_schema=False, write_statistics=False
    )
