"""The files of an extract: found, their encoding, separator and layout told, opened as one view."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.delimited import opened, read_header
from features.sources.front_page.layouts import Layout, all_fields, fitting
from features.sources.reading import TEXT_SUFFIXES, Reader, unpacked
from features.sql import identifier, literal
from features.tables import TableError

EMPTY = ("-",)
"""What the form says where there is nothing to fill in."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Page:
    """A file of the extract and how it is read; `header` in lower case."""

    file: Path
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    layout: Layout

    @property
    def n_unknown_columns(self) -> int:
        """Columns that the layout does not have."""
        return len(self.header) - self.layout.n_known(self.header)


def find_files(path: Path | None, scratch: Path) -> list[Path]:
    """The text files of an extract: one file, a zip, or a folder with all that lies below it.

    Raises TableError where there is none.
    """
    if path is None or not path.exists():
        raise TableError("The source front_page reads a file or a folder. Name one that exists.")
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
    else:
        found = unpacked(path, scratch / "unpacked") if path.suffix.lower() == ".zip" else [path]
    files = [file for file in found if file.name.lower().endswith(TEXT_SUFFIXES)]
    if not files:
        raise TableError(
            f"{path.name}: no text file of front pages there ({', '.join(TEXT_SUFFIXES)}). Name one."
        )
    return files


def look_at(
    files: Sequence[Path], *, layout: str | None, encoding: str | None, has_hospital: bool
) -> list[Page]:
    """How each file is to be read. Raises TableError with the problems of every file."""
    if encoding is not None:
        _known_encoding(encoding)
    pages, problems = [], []
    for file in files:
        try:
            pages.append(_look_at(file, layout, encoding, has_hospital))
        except TableError as error:
            problems.append(f"{file.name} {error}")
    if problems:
        raise TableError("\n".join(problems))
    return pages


def open_pages(
    source: Reader, pages: Sequence[Page], *, hospital: str | None, person_column: str | None
) -> int:
    """Make the view `pages` of every row of the files with every field as text; return how many there are.

    `place` numbers the rows over all files. `hospital` stands where the file does not give it;
    `person_column` becomes the field `person`.
    """
    selections, first = [], 0
    for number, page in enumerate(pages):
        view = f"file_{number}"
        n_rows = source.open(view, [page.file], delimiter=page.delimiter, encoding=page.encoding, empty=EMPTY)
        columns = page.layout.columns_of(page.header)
        fields = [_field(name, columns, hospital) for name in all_fields()]
        person = "NULL::VARCHAR" if person_column is None else identifier(person_column.lower())
        fields += [f"{person} AS person", f"_row + {first} AS place"]
        selections.append(f"SELECT {', '.join(fields)} FROM {view}")
        first += n_rows
    source.data.execute(f"CREATE VIEW pages AS {' UNION ALL '.join(selections)}")
    return first


def told_encoding(file: Path) -> str:
    """UTF-8 if the whole file is text in it, else GB18030 (whose reader refuses what is neither)."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
    try:
        with opened(file) as raw:
            while piece := raw.read(_CHUNK_BYTES):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return "utf-8"  # the reader says that the file is damaged
    return "utf-8"


def _look_at(file: Path, layout: str | None, encoding: str | None, has_hospital: bool) -> Page:
    text = encoding or told_encoding(file)
    delimiter = ","
    header = read_header(file, delimiter=delimiter, encoding=text)
    if len(header) == 1 and "\t" in header[0]:
        delimiter = "\t"
        header = read_header(file, delimiter=delimiter, encoding=text)
    names = tuple(name.lower() for name in header)
    return Page(file, text, delimiter, names, fitting(names, wanted=layout, has_hospital=has_hospital))


def _known_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise TableError("No encoding has the name given. Try gb18030 or utf-8.") from None


def _field(name: str, columns: Mapping[str, str], hospital: str | None) -> str:
    column = columns.get(name)
    value = "NULL::VARCHAR" if column is None else identifier(column)
    if name == "hospital" and column is None and hospital is not None:
        value = literal(hospital)
    return f"{value} AS {name}"
