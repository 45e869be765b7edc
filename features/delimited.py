"""Delimited text files, read strictly and streamed into Parquet with every value as text.

One faulty line refuses the file: a reader that guesses where a value ends moves every value behind it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from pathlib import Path
from typing import IO, cast

import duckdb

from features.sql import literal
from features.tables import TableError

_CHUNK_BYTES = 1 << 20
_VALUES_PER_GROUP = 8_000_000
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
_GZIP_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)


def csv_to_parquet(
    data: duckdb.DuckDBPyConnection,
    file: Path,
    target: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    header: list[str] | None = None,
) -> None:
    """Write the rows of a delimited file (`.gz` too) to the Parquet file `target`, in their order.

    Quotes are doubled inside quoted values. `header` renames the columns, in the file's order. Raises
    TableError, with the first line at fault but never its content, for a file that is not text in
    `encoding`, is empty, or has lines with another number of values than its header.
    """
    names = header or read_header(file, delimiter=delimiter, encoding=encoding)
    if _is_utf8(encoding):
        _copy(data, file, target, names, delimiter)
        return
    recoded = target.with_suffix(".utf8.csv")
    try:
        _recode(file, recoded, encoding)
        _copy(data, recoded, target, names, delimiter)
    finally:
        recoded.unlink(missing_ok=True)


def read_header(
    file: Path, *, delimiter: str = ",", encoding: str = "utf-8", names_the_unnamed: bool = False
) -> list[str]:
    """The column names in the file's order. Raises TableError where they are missing, empty or repeated.

    With `names_the_unnamed`, one that is empty becomes `column_` and its place: tables written with their
    row numbers have such a first column.
    """
    try:
        with _opened(file) as raw, codecs.getreader(_with_mark(encoding))(raw) as lines:
            header = next(csv.reader(lines, delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error):
        raise TableError(_not_text(encoding)) from None
    except _GZIP_DAMAGE:
        raise TableError("is damaged or cut off. Fetch it again.") from None
    if not header:
        raise TableError("is empty. Leave it out, or write at least a header.")
    if len(header) == 1 and delimiter != ";" and ";" in header[0]:
        raise TableError(
            f"is separated by semicolons. Write it again with {_NAMES.get(delimiter, 'other')}s."
        )
    names = [name.strip() for name in header]
    if names_the_unnamed and any(names):
        names = [name or f"column_{place}" for place, name in enumerate(names, start=1)]
    folded = [name.lower() for name in names]
    if not all(names) or len(folded) != len(set(folded)):
        raise TableError("has no header, or one that repeats or leaves out a column's name. Correct it.")
    return names


def _copy(
    data: duckdb.DuckDBPyConnection, file: Path, target: Path, names: list[str], delimiter: str
) -> None:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    data.execute("SET preserve_insertion_order = true")  # the report names row numbers
    try:
        data.execute(
            f"COPY (SELECT * FROM read_csv({literal(file)}, auto_detect = false, header = true, "
            f"columns = {{{columns}}}, delim = {literal(delimiter)}, quote = '\"', escape = '\"', "
            f"strict_mode = true, null_padding = false, hive_partitioning = false)) "
            f"TO {literal(target)} (FORMAT parquet, ROW_GROUP_SIZE {_rows_per_group(len(names))})"
        )
    except duckdb.Error as error:
        if isinstance(error, (duckdb.OutOfMemoryException, duckdb.InterruptException)):
            raise
        # Only the line's number: the engine's own message quotes the line.
        line = re.search(r"Line: (\d+)", str(error))
        where = f" (first at line {line.group(1)})" if line else ""
        raise TableError(
            f"cannot be read as CSV{where}: a {_NAMES.get(delimiter, 'character')}-separated file in UTF-8, "
            "quotes doubled inside quoted values, the same number of values in every line. Write it again in "
            "this form."
        ) from None
    finally:
        data.execute("SET preserve_insertion_order = false")


def _rows_per_group(n_columns: int) -> int:
    """Fewer rows for wide files: the engine holds every value of a group before it writes it."""
    return max(2_048, min(122_880, _VALUES_PER_GROUP // n_columns // 2_048 * 2_048))


def _recode(file: Path, target: Path, encoding: str) -> None:
    """Write the file again in UTF-8, a piece at a time."""
    decoder = codecs.getincrementaldecoder(_with_mark(encoding))(errors="strict")
    try:
        with _opened(file) as raw, target.open("w", encoding="utf-8", newline="") as out:
            while piece := raw.read(_CHUNK_BYTES):
                out.write(decoder.decode(piece))
            out.write(decoder.decode(b"", final=True))
    except UnicodeDecodeError:
        raise TableError(_not_text(encoding)) from None
    except _GZIP_DAMAGE:
        raise TableError("is damaged or cut off. Fetch it again.") from None


def _opened(file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file) if file.suffix == ".gz" else file.open("rb"))


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _with_mark(encoding: str) -> str:
    """The encoding, with the byte order mark of UTF-8 left out of the first name."""
    return "utf-8-sig" if _is_utf8(encoding) else encoding


def _not_text(encoding: str) -> str:
    name = codecs.lookup(encoding).name.upper()
    return f"is not text in {name}. Name its encoding, or write it again in {name}."
