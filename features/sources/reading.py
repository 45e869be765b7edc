"""How sources read their files: any delimited text or Parquet becomes a view, SQL becomes a staged table.

Everything streams through the data engine: no file needs memory of its size. In a view every column is
text, its name is lower case, and what is empty (or a declared sign of it) is null; what the
text means is the source's to say, and whether it can be read the common check's.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import duckdb

from features.dataset import connect
from features.delimited import csv_to_parquet
from features.sql import identifier, literal, parquet_rows
from features.tables import TableError

TEXT_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet")
_RESERVED = ("_row", "file_row_number")
"""Names of columns that reading adds."""
_MEMORY_MB = 700
_THREADS = 2


@dataclass(frozen=True)
class Reader:
    """The data engine of a source, the folder that it may fill meanwhile, and the one that it stages to."""

    data: duckdb.DuckDBPyConnection
    scratch: Path
    staging: Path

    def open(
        self,
        name: str,
        files: Sequence[Path],
        *,
        required: Sequence[str] = (),
        optional: Sequence[str] = (),
        delimiter: str | None = None,
        encoding: str = "utf-8",
        empty: Sequence[str] = ("",),
    ) -> int:
        """Make the view `name` of the rows of all `files`, in their order; return how many there are.

        Its columns are those of the files, in lower case, each text without blanks around it and null where
        it is one of `empty`; `_row` numbers the rows from 1. Columns named `optional` that no
        file has are there and null. `delimiter` defaults to a tab for `.tsv` and a comma else.

        Raises TableError, naming the files, where one cannot be read or a `required` column is missing.
        """
        parts, problems = [], []
        for number, file in enumerate(files):
            try:
                parts.append(self._as_parquet(file, f"{name}.{number}", delimiter, encoding))
            except TableError as error:
                problems.append(f"{file.name} {error}")
        if problems:
            raise TableError("\n".join(problems))
        selections, first = [], 1
        for part, file in zip(parts, files, strict=True):
            columns = self._columns(part)
            own = [column for column in columns if column in _RESERVED]
            if own:
                problems.append(
                    f"{file.name}: has a column named {own[0]}, which reading needs for itself. Rename it."
                )
            missing = [column for column in required if column not in columns]
            if missing:
                problems.append(f"{file.name}: columns are missing: {', '.join(missing)}. Add them.")
            selections.append(_selection(part, columns, empty, first))
            first += self._count(part)
        if problems:
            raise TableError("\n".join(problems))
        rows = " UNION ALL BY NAME ".join(selections)
        self.data.execute(f"CREATE OR REPLACE VIEW {identifier(name)} AS {rows}")
        present = set(self.columns(name))
        absent = [column for column in optional if column not in present]
        if absent:
            nulls = ", ".join(f"NULL::VARCHAR AS {identifier(column)}" for column in absent)
            self.data.execute(f"CREATE OR REPLACE VIEW {identifier(name)} AS SELECT *, {nulls} FROM ({rows})")
        return first - 1

    def columns(self, name: str) -> tuple[str, ...]:
        """The columns of a view, without `_row`."""
        found = self.data.execute(f"DESCRIBE {identifier(name)}").fetchall()
        return tuple(row[0] for row in found if row[0] != "_row")

    def write(self, table: str, sql: str) -> None:
        """Stage the rows of a query as (a further part of) a canonical table.

        Each column has the canonical name; its type may be natural or text.
        """
        folder = self.staging / table
        folder.mkdir(exist_ok=True)
        part = folder / f"{len(list(folder.iterdir())):04}.parquet"
        self.data.execute("SET preserve_insertion_order = true")  # the report names row numbers
        self.data.execute(f"COPY ({sql}) TO {literal(part)} (FORMAT parquet)")

    def _as_parquet(self, file: Path, name: str, delimiter: str | None, encoding: str) -> Path:
        if file.suffix == ".parquet":
            return file
        target = self.scratch / f"{name}.parquet"
        tab = ".tsv" in file.suffixes
        csv_to_parquet(
            self.data, file, target, delimiter=delimiter or ("\t" if tab else ","), encoding=encoding
        )
        return target

    def _columns(self, part: Path) -> dict[str, str]:
        """Lower-case name → name in the file."""
        try:
            found = self.data.execute(f"DESCRIBE SELECT * FROM {parquet_rows(part)}").fetchall()
        except duckdb.Error:
            # The engine's own message may quote the file's content.
            raise TableError(f"{part.name}: cannot be read as Parquet. Replace the file.") from None
        return {row[0].lower(): row[0] for row in found}

    def _count(self, part: Path) -> int:
        return int(self.data.execute(f"SELECT count(*) FROM {parquet_rows(part)}").fetchall()[0][0])


@contextmanager
def reader(staging: Path) -> Iterator[Reader]:
    """A reader that stages to `staging`; its own files lie beside it and are gone at the end."""
    with TemporaryDirectory(dir=staging.parent, prefix=".reading-") as aside:
        scratch = Path(aside)
        spill = scratch / "spill"
        with closing(connect(threads=_THREADS, memory_limit_mb=_MEMORY_MB, spill=spill)) as data:
            yield Reader(data, scratch, staging)


def files_of(folder: Path, name: str) -> list[Path]:
    """The files of one table of an extract: `name` with a known suffix, or all those in a folder `name`.

    Letter case does not matter. Empty where there is none.
    """
    found = [entry for entry in sorted(folder.iterdir()) if _stem(entry).lower() == name.lower()]
    inside = [sorted(entry.rglob("*")) if entry.is_dir() else [entry] for entry in found]
    return [file for files in inside for file in files if file.is_file() and _is_table_file(file)]


def unpacked(archive: Path, folder: Path) -> list[Path]:
    """Unpack the files of a zip into `folder`, a piece at a time, by their bare names.

    Raises TableError for an archive that is damaged, encrypted or packed in a rare way, that would fill
    the disk, or that holds two files of one name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    try:
        with zipfile.ZipFile(archive) as content:
            # No more than it says here is ever unpacked of a file.
            n_bytes = sum(member.file_size for member in content.infolist())
            if n_bytes > shutil.disk_usage(folder).free:
                raise TableError(
                    f"{archive.name}: unpacks to {n_bytes / 1e9:,.1f} GB, more than the disk has left. "
                    "Make room, or read its files one by one."
                )
            for member in content.infolist():
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise TableError(f"{archive.name}: packed in a way that is not read. Unpack it by hand.")
                name = PurePosixPath(member.filename).name
                if member.is_dir() or not name:
                    continue
                target = folder / name
                if target.exists():
                    raise TableError(f"{archive.name}: holds two files of one name. Unpack it by hand.")
                with content.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
                files.append(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise TableError(f"{archive.name}: damaged or encrypted. Fetch it again.") from None
    return sorted(files)


def dated(column: str, *formats: str) -> str:
    """SQL of a date or time as ISO text, read in the first of the formats (as strftime's) that fits.

    What fits none stays as it is, so that the check finds it.
    """
    tries = ", ".join(f"try_strptime({column}, {literal(form)})" for form in formats)
    has_time = any("%H" in form for form in formats)
    iso = "%Y-%m-%d %H:%M:%S" if has_time else "%Y-%m-%d"
    return f"coalesce(strftime(coalesce({tries}), {literal(iso)}), {column})"


def mapped(column: str, values: dict[str, str]) -> str:
    """SQL of a value's canonical name; a value that has none stays as it is, so that the check finds it."""
    cases = " ".join(f"WHEN {literal(value)} THEN {literal(name)}" for value, name in values.items())
    return f"CASE {column} {cases} ELSE {column} END"


def _selection(part: Path, columns: dict[str, str], empty: Sequence[str], first: int) -> str:
    signs = ", ".join(literal(sign) for sign in {"", *empty})
    texts = ", ".join(
        f"CASE WHEN trim(CAST({identifier(name)} AS VARCHAR)) NOT IN ({signs}) "
        f"THEN trim(CAST({identifier(name)} AS VARCHAR)) END AS {identifier(lower)}"
        for lower, name in columns.items()
    )
    rows = parquet_rows(part, numbered=True)
    return f"SELECT {texts}, file_row_number + {first} AS _row FROM {rows}"


def _stem(entry: Path) -> str:
    if entry.is_dir():
        return entry.name
    return next((entry.name[: -len(s)] for s in SUFFIXES if entry.name.lower().endswith(s)), entry.name)


def _is_table_file(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)
