"""Any flat file with one row per admission, and a mapping file that says what its columns mean.

The file: CSV, TSV or other delimited text (`.gz` too), one such file in a zip, or Parquet. The mapping
file is TOML, by default `<file>.toml` beside it; `docs/data-contract.md` explains its keys and `wardcast
ingest table FILE --describe` proposes one. Columns that it does not name are never used, and counted in
a warning. A value that it cannot translate stays as it is, for the check to find. Nothing is guessed.

Left out: several rows an admission, and tables of events (observations, medications, visits). A file
with those is better given as canonical tables.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import mkdtemp

import duckdb

from features.dataset import Declaration, parse_declaration
from features.delimited import WrongFormError, csv_to_parquet, read_header
from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.reading import SUFFIXES, Reader, reader, unpacked
from features.sources.table_mapping import FileForm, TableMapping, close_to, read_mapping
from features.sources.table_sql import ROWS, contradictions_sql, numbers_sql, queries, unreadable_numbers_sql
from features.sql import literal, parquet_rows
from features.tables import TableError

_QUERIES_AT_ONCE = 100


def stage(
    path: Path | None,
    staging: Path,
    *,
    mapping: Path | None = None,
    declaration: Path | None = None,
    progress: Progress = silent,
) -> Extract:
    """Write the file's rows as canonical tables, as the mapping file says.

    `declaration` names a file with settings that stand over the mapping's `[dataset]`. Raises TableError if
    the file or the mapping cannot be read, a column is mapped that the file lacks, or a fact that the
    mapping calls a number holds something else.
    """
    if path is None or not path.is_file():
        named = "none was named" if path is None else f"{path} is not there"
        raise TableError(f"The source table reads one file, and {named}. Name one that exists.")
    place = mapping or path.with_name(f"{path.name}.toml")
    how = read_mapping(place)
    says = {"name": path.name.split(".")[0], "source": "table 1", **how.dataset}
    meaning, undeclared = None, []
    try:
        meaning = declared(path, declaration, says) if declaration else _parsed(says, place)
    except TableError as error:
        undeclared = [str(error)]
    with reader(staging) as source:
        progress("reading the file", 0, 1)
        columns = open_table(source, path, how.file)
        progress("reading the file", 1, 1)
        problems = [*_missing_columns(how, columns), *_bad_formats(source, how)]
        problems += _unused(how, meaning) if meaning else undeclared
        if problems or meaning is None:
            raise TableError("\n".join((f"{place.name} does not fit {path.name}.", *problems)))
        wrong = _no_numbers(source, how)
        if wrong:
            raise TableError("\n".join((f"{path.name} holds values that are no numbers.", *wrong)))
        # Row numbers of the report are those of the file.
        source.data.execute("SET preserve_insertion_order = true")
        tables = queries(how)
        for done, (name, selects) in enumerate(tables.items()):
            progress("mapping tables", done, len(tables))
            for start in range(0, len(selects), _QUERIES_AT_ONCE):
                source.write(name, " UNION ALL BY NAME ".join(selects[start : start + _QUERIES_AT_ONCE]))
        progress("mapping tables", len(tables), len(tables))
        notes = (*_contradictions(source, how), *_nearly_numbers(source, how), *_not_mapped(how, columns))
        return Extract(meaning, notes)


def open_table(source: Reader, path: Path, form: FileForm) -> tuple[str, ...]:
    """Make the view of the file's rows; return its columns as the file spells them.

    Raises TableError where the file cannot be read.
    """
    file, names = as_parquet(source, path, form)
    source.open(ROWS, [file], empty=form.empty)
    return names


def as_parquet(source: Reader, path: Path, form: FileForm) -> tuple[Path, tuple[str, ...]]:
    """The file as Parquet, and its columns as it spells them; one without a name is `column_` and its place.

    Raises TableError where the file cannot be read.
    """
    file = one_file(source, path, form.member)
    if not file.name.lower().endswith(SUFFIXES):
        raise TableError(f"{file.name}: not a kind of file that is read: {', '.join(SUFFIXES)} or .zip.")
    if file.suffix.lower() == ".parquet":
        return file, _spelled(source, file)
    delimiter = form.delimiter or ("\t" if ".tsv" in file.suffixes else ",")
    target = Path(mkdtemp(dir=source.scratch)) / f"{file.name}.parquet"
    try:
        names = read_header(file, delimiter=delimiter, encoding=form.encoding, names_the_unnamed=True)
        csv_to_parquet(source.data, file, target, delimiter=delimiter, encoding=form.encoding, header=names)
    except WrongFormError as error:
        advice = f"Set its {error.setting} under [file] in the mapping file."
        raise TableError(f"{file.name} {error.what} {advice}") from None
    except TableError as error:
        raise TableError(f"{file.name} {error}") from None
    return target, tuple(names)


def one_file(source: Reader, path: Path, member: str | None) -> Path:
    """The file itself; of a zip the one table file in it, or the one that is named."""
    if path.suffix.lower() != ".zip":
        return path
    if not zipfile.is_zipfile(path):
        raise TableError(f"{path.name}: damaged or not a zip. Fetch it again.")
    inside = unpacked(path, Path(mkdtemp(dir=source.scratch)))
    files = [file for file in inside if file.name.lower().endswith(SUFFIXES)]
    chosen = [file for file in files if member is None or file.name == Path(member).name]
    if len(chosen) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise TableError(
            f"{path.name}: {len(chosen)} files to read, not 1. Name one as file.member in the mapping "
            f"file; there are: {names}."
        )
    return chosen[0]


def _spelled(source: Reader, file: Path) -> tuple[str, ...]:
    try:
        described = source.data.execute(f"DESCRIBE SELECT * FROM {parquet_rows(file)}").fetchall()
    except duckdb.Error:
        # The engine's own message may quote the file's content.
        raise TableError(f"{file.name}: cannot be read as Parquet. Replace the file.") from None
    return tuple(row[0] for row in described)


def _parsed(says: dict[str, object], place: Path) -> Declaration:
    try:
        return parse_declaration(says, place)
    except TableError as error:
        raise TableError(f"{error} They stand under [dataset].") from None


def _missing_columns(mapping: TableMapping, columns: tuple[str, ...]) -> list[str]:
    there = {column.lower() for column in columns}
    named = [*mapping.used()]
    named += [(f"left_out.{reason}", column) for reason, each in mapping.left_out.items() for column in each]
    return [
        f"{path}: the file has no column {column}.{close_to(column, columns)}"
        for path, column in named
        if column.lower() not in there
    ]


def _bad_formats(source: Reader, mapping: TableMapping) -> list[str]:
    problems = []
    for path, value in mapping.values():
        for form in value.formats:
            try:
                source.data.execute(f"SELECT strptime('', {literal(form)}) WHERE false").fetchall()
            except duckdb.Error:
                problems.append(f"{path}: {form} is no format of a date. Write it like %d/%m/%Y %H:%M.")
    return problems


def _unused(mapping: TableMapping, meaning: Declaration) -> list[str]:
    """Outcomes that would be mapped for nothing."""
    if "readmission" not in mapping.outcomes or meaning.labels.readmission.kind == "given":
        return []
    return [
        "outcomes.readmission: not used while readmission is derived from dates and codes. Remove it, or add "
        'these two lines:\n[dataset.labels]\nreadmission = { kind = "given", definition = "…" }'
    ]


def _no_numbers(source: Reader, mapping: TableMapping) -> list[str]:
    problems = []
    for path, fact in zip(mapping.facts_path, mapping.all_facts, strict=True):
        if fact.type != "number" and not fact.is_number:
            continue
        n_rows, first_row = source.data.execute(unreadable_numbers_sql(fact)).fetchall()[0]
        if n_rows:
            problems.append(
                f"{path}: {n_rows} values of {fact.column} (first at row {first_row}). If they are written "
                'like 130,4 or 1.234,5, say decimal = "," and thousands = "."; else name them in file.empty, '
                'give them in map, say else = "" if they are as good as none, or make the fact a category.'
            )
    return problems


def _contradictions(source: Reader, mapping: TableMapping) -> list[str]:
    notes = []
    for name, value in mapping.patients.items():
        if name == "patient_id" or value.column is None:
            continue
        n_patients = source.data.execute(contradictions_sql(mapping, name)).fetchall()[0][0]
        if n_patients:
            notes.append(
                f"patients: {n_patients} patients have rows that contradict each other in {name}; it counts "
                "as unknown."
            )
    return notes


def _nearly_numbers(source: Reader, mapping: TableMapping) -> list[str]:
    """Facts that texts among their numbers, or decimal commas, turn into categories, a level for each."""
    open_ended = [fact for fact in mapping.all_facts if fact.type is None and fact.columns]
    if not open_ended:
        return []
    counted = source.data.execute(numbers_sql(open_ended)).fetchall()[0]
    counts = zip(counted[::3], counted[1::3], counted[2::3], strict=True)
    notes = []
    for fact, (n, n_numbers, n_commas) in zip(open_ended, counts, strict=True):
        if n_commas and n / 2 <= n_numbers + n_commas:
            notes.append(
                f"facts: {n_commas} of {n} values of {fact.name} look like numbers with a comma, so that all "
                'of it is read as a category. If it is a number, say decimal = "," (130,4; with thousands = '
                '"." for 1.234,5) or thousands = "," (1,234) in [[facts]].'
            )
        elif n / 2 <= n_numbers < n:
            notes.append(
                f"facts: {n - n_numbers} of {n} values of {fact.name} are no numbers, so that all of it is "
                'read as a category. If it is a number, say type = "number" in [[facts]] and what the others '
                "mean."
            )
    return notes


def _not_mapped(mapping: TableMapping, columns: tuple[str, ...]) -> list[str]:
    used = {column.lower() for _, column in mapping.used()}
    meant = {column.lower() for each in mapping.left_out.values() for column in each}
    rest = [column for column in columns if column.lower() not in used]
    if not rest:
        return []
    n_meant = sum(column.lower() in meant for column in rest)
    return [
        f"{len(rest)} of {len(columns)} columns of the file are not mapped and not used"
        + (f", {n_meant} of them on purpose (left_out)." if n_meant else ".")
    ]
