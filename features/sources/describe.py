"""A mapping file for a flat file that nobody has mapped yet: a proposal, to be decided on by a human.

The proposal is valid as it stands and never generous: a column becomes an input at discharge only, outcomes
are proposed as comments, and what looks like an id, an outcome or a leak by its name is no input at all. It
shows no value that fewer than ten rows have.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from features.codes import categorise, ccs_prefixes
from features.delimited import opened
from features.progress import Progress, silent
from features.sources.described import Column, is_diagnosis, says_who
from features.sources.proposal import proposed
from features.sources.reading import Reader, reader
from features.sources.table import as_parquet, one_file
from features.sources.table_mapping import FileForm
from features.sources.table_sql import ROWS
from features.sql import identifier, literal
from features.tables import TableError

FEWEST_ROWS_SHOWN = 10
MOST_VALUES_SHOWN = 20
SAMPLE_ROWS = 100_000
"""Dates, numbers and codes are told by the first rows; missing and different values are counted over all."""
_ENOUGH = 0.95
_MOST_ROWS_AN_ID = 5
_PIECE_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")
_SIGNS_OF_EMPTY = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "?", "-", "--", ".")
_DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d%b%Y",
    "%Y%m%d",
    "%Y年%m月%d日",
)
_WITH_THOUSANDS = r"[+-]?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]*)?"
_WITH_COMMA = {
    "decimal": "[+-]?[0-9]+(,[0-9]+)?",
    "decimal_thousands": "[+-]?([0-9]{1,3}(\\.[0-9]{3})+|[0-9]+)(,[0-9]*)?",
}
_ICD10 = "[A-Z][0-9][0-9A-Z](\\.?[0-9A-Zx]{1,4}(x[0-9]{3})?)?[+*]?"
_ICD9 = "([0-9]{3}(\\.?[0-9]{1,2})?|V[0-9]{2}(\\.?[0-9]{1,2})?|E[0-9]{3}(\\.?[0-9])?)"


def describe(path: Path, *, progress: Progress = silent) -> str:
    """The text of a proposed mapping file for a flat file.

    Raises TableError if the file cannot be read, or seems to have no header.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such file. Name one that exists.")
    with TemporaryDirectory(prefix="wardcast-describe-") as aside:
        staging = Path(aside) / "staging"
        staging.mkdir()
        with reader(staging) as source:
            progress("reading the file", 0, 1)
            form, names = _opened(source, path)
            progress("reading the file", 1, 1)
            _refuse_without_header(names)
            found = []
            for done, name in enumerate(names):
                progress("describing columns", done, len(names))
                found.append(_column(source, name))
            progress("describing columns", len(names), len(names))
    return "\n".join(proposed(path, form, found)) + "\n"


def _opened(source: Reader, path: Path) -> tuple[FileForm, tuple[str, ...]]:
    """Make the view of the file's rows, with the signs of emptiness that it uses."""
    form = _form(source, path)
    file, names = as_parquet(source, path, form)
    source.open(ROWS, [file], empty=())
    signs = ", ".join(literal(sign) for sign in _SIGNS_OF_EMPTY)
    used: set[str] = set()
    for name in names:
        value = identifier(name.lower())
        found = source.data.execute(f"SELECT DISTINCT {value} FROM {ROWS} WHERE {value} IN ({signs})")
        used |= {row[0] for row in found.fetchall()}
    form = form.model_copy(update={"empty": tuple(sorted(used)) or ("",)})
    source.open(ROWS, [file], empty=form.empty)
    return form, names


def _form(source: Reader, path: Path) -> FileForm:
    """How the file is written, as far as its first piece tells."""
    file = one_file(source, path, None)
    member = None if file == path else file.name
    if file.suffix.lower() == ".parquet":
        return FileForm(member=member)
    piece = _first_piece(file)
    first_line = piece.split(b"\n", 1)[0]
    delimiter = max(_DELIMITERS, key=lambda sign: first_line.count(sign.encode()))
    return FileForm(delimiter=delimiter, encoding=_encoding(piece), member=member)


def _first_piece(file: Path) -> bytes:
    try:
        with opened(file) as stream:
            return stream.read(_PIECE_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise TableError(f"{file.name}: damaged or cut off. Fetch it again.") from None


def _encoding(piece: bytes) -> str:
    """UTF-8 where the piece is that; else GB18030 where bytes beyond ASCII come in pairs, or Windows-1252.

    Windows-1252 has all printed characters of Latin-1, which is left for the few bytes that it does not know.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(piece)
        return "utf-8"
    except UnicodeDecodeError:
        runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", piece)]
    if sum(run for run in runs if run % 2 == 0) > 0.8 * sum(runs):
        return "gb18030"
    try:
        piece.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _refuse_without_header(names: tuple[str, ...]) -> None:
    """The values of a first row must not be taken, nor shown, for names."""
    n = sum(bool(re.fullmatch(r"[\d\s.,:/+-]+", name)) for name in names)
    if n > len(names) / 4:
        raise TableError(
            f"{n} of {len(names)} names of columns are numbers or dates: the file seems to have no header. "
            "Write one as its first line."
        )


def _column(source: Reader, name: str) -> Column:
    value = identifier(name.lower())

    def ask(sql: str) -> tuple[Any, ...]:
        return tuple(source.data.execute(sql).fetchall()[0])

    n_rows, n_there = ask(f"SELECT count(*), count({value}) FROM {ROWS}")
    grouped = f"SELECT {value} AS value, count(*) AS n FROM {ROWS} WHERE {value} IS NOT NULL GROUP BY 1"
    (n_different,) = ask(f"SELECT count(*) FROM ({grouped})")
    kind, formats = _kind(source, name)
    if kind in ("icd10", "icd9", "text") and _is_numbered(source, name):
        kind = "numbered"
    elif kind in ("icd10", "icd9") and not _has_known_categories(source, name, kind):
        kind = "text"
    frequent: list[tuple[str, int]] = []
    if n_different <= MOST_VALUES_SHOWN and not says_who(name):
        frequent = source.data.execute(
            f"SELECT value, n FROM ({grouped}) WHERE n >= {FEWEST_ROWS_SHOWN} ORDER BY n DESC, value"
        ).fetchall()
    return Column(
        name,
        kind,
        formats,
        n_rows,
        n_rows - n_there,
        n_different,
        n_there == n_rows and n_different == n_rows and n_rows > 1,
        tuple(frequent),
        n_different - len(frequent),
    )


def _kind(source: Reader, name: str) -> tuple[str, tuple[str, ...]]:
    """What nearly all values of the first rows are, and the formats of a date that fit most of them."""
    value = identifier(name.lower())
    dates = [
        f"count(*) FILTER (year(try_strptime({value}, {literal(form)})) BETWEEN 1880 AND 2100"
        + (f" AND length({value}) = 8)" if form == "%Y%m%d" else ")")
        for form in _DATE_FORMATS
    ]
    patterns = (_ICD10, _ICD9, _WITH_THOUSANDS, *_WITH_COMMA.values())
    forms = [f"regexp_full_match({value}, {literal(form)})" for form in patterns]
    counts = [f"count(*) FILTER ({form})" for form in forms]
    found = source.data.execute(
        f"SELECT count(*), count(try_cast({value} AS DOUBLE)), {', '.join([*counts, *dates])} "
        f"FROM {ROWS} WHERE {value} IS NOT NULL AND _row <= {SAMPLE_ROWS}"
    ).fetchall()[0]
    n, n_numbers, n_icd10, n_icd9 = found[:4]
    written = dict(zip(("thousands", *_WITH_COMMA), found[4:7], strict=True))
    by_format = dict(zip(_DATE_FORMATS, found[7:], strict=True))
    most = max(by_format.values())
    if not n:
        return "empty", ()
    if most >= _ENOUGH * n:
        return "date", tuple(form for form, count in by_format.items() if count == most)
    # Codes of ICD-9 may look like numbers: only the name tells.
    if n_icd9 >= _ENOUGH * n and (n_numbers < _ENOUGH * n or is_diagnosis(name)):
        return "icd9", ()
    if n_numbers >= _ENOUGH * n:
        return "number", ()
    # The first of those that read the most: 1,234 alone is taken for a thousand and more.
    form = max(written, key=lambda each: written[each])
    if written[form] >= _ENOUGH * n:
        return form, ()
    return ("icd10" if n_icd10 >= _ENOUGH * n else "text"), ()


def _is_numbered(source: Reader, name: str) -> bool:
    """Whether the values are a constant beginning and a number of constant width, few rows to each.

    Numbers of patients may have the form of codes of ICD-10, and begin like some that exist.
    """
    value = identifier(name.lower())
    n, n_different, n_beginnings, n_widths, n_formed = source.data.execute(
        f"SELECT count(*), count(DISTINCT {value}), count(DISTINCT regexp_extract({value}, '^[^0-9]+')), "
        f"count(DISTINCT length({value})), count(*) FILTER (regexp_full_match({value}, '[^0-9]+[0-9]{{4,}}'))"
        f" FROM {ROWS} WHERE {value} IS NOT NULL AND _row <= {SAMPLE_ROWS}"
    ).fetchall()[0]
    return bool(n_beginnings == n_widths == 1 and n_formed == n and n <= _MOST_ROWS_AN_ID * n_different)


def _has_known_categories(source: Reader, name: str, kind: str) -> bool:
    """Whether most of the different codes have a category in the code set."""
    value = identifier(name.lower())
    found = source.data.execute(
        f"SELECT DISTINCT upper(replace({value}, '.', '')) FROM {ROWS} "
        f"WHERE {value} IS NOT NULL AND _row <= {SAMPLE_ROWS}"
    ).fetchall()
    prefixes = ccs_prefixes("icd10" if kind == "icd10" else "icd9cm")
    known = categorise((code for (code,) in found), prefixes)
    return sum(ccs is not None for ccs in known.values()) > len(known) / 2
