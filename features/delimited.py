"""Delimited text files, read strictly and streamed into Parquet with every value as text.

One faulty line refuses the file: a reader that guesses where a value ends moves every value behind it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import IO, Literal, cast

import duckdb

from features.sql import identifier, literal, read_from
from features.tables import TableError

_CHUNK_BYTES = 1 << 20
_HEADER_BYTES = 1 << 20
"""Room for the names of some 50,000 columns: what has no line break until then is no table."""
_VALUES_PER_GROUP = 8_000_000
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
_GZIP_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)
_DAMAGED = "is damaged or cut off. Fetch it again."
_NO_VALUE = "'\n', allow_quoted_nulls = false"
"""The engine forgives a value too many where that is null; no unquoted value is a line break, so none is."""


class WrongFormError(TableError):
    """The file has another `setting` (delimiter, encoding) than it is read with; `what` is that alone.

    The message goes on with what to do where a source takes no such setting.
    """

    def __init__(self, what: str, setting: Literal["delimiter", "encoding"], advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.what = what
        self.setting = setting


def csv_to_parquet(
    data: duckdb.DuckDBPyConnection,
    file: Path,
    target: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    header: list[str] | None = None,
    quoted: bool = True,
) -> None:
    """Write the rows of a delimited file (`.gz` too) to the Parquet file `target`, in their order.

    Every value is text, and null where it is empty. Quotes are doubled inside quoted values; unless `quoted`,
    a quote is a character like any other. `header` renames the columns, in the file's order. Raises
    TableError, with the first line at fault but never its content, for a file that is not text in
    `encoding`, is empty or damaged, or has lines with another number of values than its header, be the
    last of them empty.
    """
    names = header or read_header(file, delimiter=delimiter, encoding=encoding)
    quote = '"' if quoted else ""
    if _is_utf8(encoding):
        if file.suffix == ".gz":
            _refuse_damage(file)
        _copy(data, file, target, names, delimiter, quote, encoding)
        return
    recoded = target.with_suffix(".utf8.csv")
    try:
        _recode(file, recoded, encoding)
        _copy(data, recoded, target, names, delimiter, quote, encoding)
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
        with opened(file) as raw:
            start = raw.read(_HEADER_BYTES)
        if len(start) == _HEADER_BYTES and not (b"\n" in start or b"\r" in start):
            raise TableError("has no line break in its first megabyte. Write it again, a row to a line.")
        # Cut within a character, perhaps, but behind the header.
        text = codecs.getincrementaldecoder(_with_mark(encoding))(errors="strict").decode(start)
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error):
        raise _not_text(encoding) from None
    except _GZIP_DAMAGE:
        raise TableError(_DAMAGED) from None
    if not header:
        raise TableError("is empty. Leave it out, or write at least a header.")
    if len(header) == 1 and delimiter != ";" and ";" in header[0]:
        advice = f"Write it again with {_NAMES.get(delimiter, 'other')}s."
        raise WrongFormError("is separated by semicolons.", "delimiter", advice)
    names = [name.strip() for name in header]
    if names_the_unnamed and any(names):
        names = [name or f"column_{place}" for place, name in enumerate(names, start=1)]
    folded = [name.lower() for name in names]
    if not all(names) or len(folded) != len(set(folded)):
        raise TableError("has no header, or one that repeats or leaves out a column's name. Correct it.")
    return names


def _copy(
    data: duckdb.DuckDBPyConnection,
    file: Path,
    target: Path,
    names: list[str],
    delimiter: str,
    quote: str,
    encoding: str,
) -> None:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    values = ", ".join(f"nullif({identifier(name)}, '') AS {identifier(name)}" for name in names)
    data.execute("SET preserve_insertion_order = true")  # the report names row numbers
    try:
        data.execute(
            f"COPY (SELECT {values} FROM read_csv({read_from(file)}, auto_detect = false, header = true, "
            f"columns = {{{columns}}}, delim = {literal(delimiter)}, quote = '{quote}', escape = '{quote}', "
            f"nullstr = {_NO_VALUE}, strict_mode = true, null_padding = false, hive_partitioning = false)) "
            f"TO {literal(target)} (FORMAT parquet, ROW_GROUP_SIZE {_rows_per_group(len(names))})"
        )
    except (duckdb.OutOfMemoryException, duckdb.InterruptException, duckdb.IOException):
        raise  # of the machine, such as a disk that is full: the file's content is never one of these
    except duckdb.Error as error:
        # Only the line's number: the engine's own message quotes the line.
        line = re.search(r"Line: (\d+)", str(error))
        where = f" (first at line {line.group(1)})" if line else ""
        quotes = "quotes doubled inside quoted values" if quote else "no value in quotes"
        raise TableError(
            f"cannot be read as CSV{where}: a {_NAMES.get(delimiter, 'character')}-separated file in "
            f"{_shown(encoding)}, {quotes}, the same number of values in every line. Write it again in this "
            "form."
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
        with opened(file) as raw, target.open("w", encoding="utf-8", newline="") as out:
            while piece := raw.read(_CHUNK_BYTES):
                out.write(decoder.decode(piece))
            out.write(decoder.decode(b"", final=True))
    except UnicodeDecodeError:
        raise _not_text(encoding) from None
    except _GZIP_DAMAGE:
        raise TableError(_DAMAGED) from None


def _refuse_damage(file: Path) -> None:
    """Unpack the file once: the engine reads over a check sum that is wrong."""
    try:
        with opened(file) as raw:
            while raw.read(_CHUNK_BYTES):
                pass
    except _GZIP_DAMAGE:
        raise TableError(_DAMAGED) from None


def opened(file: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where its name ends in `.gz`."""
    return cast(IO[bytes], gzip.open(file) if file.suffix == ".gz" else file.open("rb"))


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _with_mark(encoding: str) -> str:
    """The encoding, with the byte order mark of UTF-8 left out of the first name."""
    return "utf-8-sig" if _is_utf8(encoding) else encoding


def _not_text(encoding: str) -> WrongFormError:
    name = _shown(encoding)
    advice = f"Name its encoding, or write it again in {name}."
    return WrongFormError(f"is not text in {name}.", "encoding", advice)


def _shown(encoding: str) -> str:
    return codecs.lookup(encoding).name.upper()
