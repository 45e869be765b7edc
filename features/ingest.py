"""From a source to a checked canonical data set: stage, check, quarantine, write by bucket."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from features.atomic import written_aside
from features.dataset import (
    UNSEEN_STAYS,
    DataSet,
    Declaration,
    bucket_sql,
    connect,
    empty_select,
    read_declaration,
)
from features.progress import Progress, silent
from features.pseudonyms import read_key
from features.quality.check import TRUTH, Checked, examine
from features.quality.jumps import jumps
from features.quality.report import Quality, TableCount
from features.quality.shape import SHAPE_FILE, shape_of
from features.sources import stage_extract, stage_of
from features.sql import literal, parquet_rows
from features.tables import TABLES, Table, TableError

STAYS_PER_BUCKET = 80_000
"""Stays that one bucket holds, so that the work on one bucket stays under 1 GB."""


def ingest(
    source: str,
    path: Path | None,
    out: Path,
    *,
    options: Mapping[str, object] | None = None,
    hash_ids: Path | None = None,
    max_quarantine_share: float = 0.05,
    buckets: int | None = None,
    threads: int = 2,
    memory_limit_mb: int = 700,
    progress: Progress = silent,
) -> Quality:
    """Write the source's records to `out` as a checked canonical data set, and return its report.

    `out` gets one folder per table (bucketed by patient), `dataset.toml`, `quality.json`, `shape.json`
    and the rows that broke a rule in `quarantine/`. It appears only when it is complete; a data set that
    stood there is replaced, and a warning of the returned report names it if it was another one. `buckets`
    defaults to one per 80,000 stays. The same input gives the same bytes.
    With `hash_ids`, the file of a secret key, patients, stays and visits get pseudonyms everywhere (see
    `features.pseudonyms`); what the data contract does not declare, and a made-up truth, is then not kept.

    Raises TableError for a fatal problem, or if the quarantined share of all rows or of one table
    passes `max_quarantine_share`, or if `out` holds what an ingest did not write or lies in a data set,
    KeyFileError for a key that cannot be used; nothing is left at `out` then.
    """
    key = read_key(hash_ids, apart_from=[out, *([path] if path else [])]) if hash_ids else None
    _refuse_foreign_folder(out, path)
    former = _former_declaration(out)
    stage_of(source)  # a name that is not known is refused before anything is written
    with written_aside(out, folder=True) as fresh:
        fresh.mkdir()
        staging, scratch = fresh.parent / ".staging", fresh.parent / ".scratch"
        staging.mkdir()
        scratch.mkdir()
        extract = stage_extract(source, path, staging, progress=progress, **(options or {}))
        if extract.must_hash_ids and key is None:
            raise TableError(
                "The identifiers of this extract are those of persons, which are not kept. Name a key for "
                "them (--hash-ids)."
            )
        if key is not None and extract.declaration.hashed_ids is not None:
            raise TableError("The identifiers of this extract are hashed already. Leave the key out.")
        with closing(connect(threads=threads, memory_limit_mb=memory_limit_mb, spill=scratch)) as data:
            checked = examine(data, staging, extract, scratch, key=key, progress=progress)
            _refuse_bad_extract(checked, max_quarantine_share)
            n_buckets = buckets or _n_buckets(checked)
            settled = {"buckets": n_buckets} | ({"hashed_ids": key.key_id} if key else {})
            declaration = extract.declaration.model_copy(update=settled)
            checked = replace(checked, declaration=declaration)
            quality = _write_tables(checked, fresh, scratch, progress)
            if checked.n_quarantined("stays") or checked.has_earlier_unseen:
                _copy(checked, checked.unseen_stays_sql(), fresh / UNSEEN_STAYS)
        (fresh / "dataset.toml").write_text(quality.declaration.to_toml(), "utf-8")
        (fresh / "quality.json").write_text(quality.to_json(), "utf-8")
        (fresh / SHAPE_FILE).write_text(quality.shape.to_json(), "utf-8")
        if (staging / TRUTH).is_dir() and key is None:
            shutil.move(staging / TRUTH, fresh / TRUTH)
    # Said, and not written: the same input gives the same report.
    return replace(quality, warnings=(*quality.warnings, *_replaced(out, former, quality.declaration)))


def _refuse_foreign_folder(out: Path, path: Path | None) -> None:
    """A mistyped `--out` must not replace somebody's folder, what lies in it, nor the extract itself."""
    if path is not None and (path.resolve() == out.resolve() or out.resolve() in path.resolve().parents):
        raise TableError(f"{out}: holds the source itself. Name another folder for the data set.")
    around = next((folder for folder in out.resolve().parents if _is_data_set(folder)), None)
    if around is not None:
        raise TableError(f"{out}: lies in the data set {around}. Name a folder outside of it.")
    if not out.exists() or _is_empty_folder(out):
        return
    if not (out / "quality.json").is_file():
        raise TableError(f"{out}: exists and is not a data set of wardcast's. Name another folder.")
    foreign = _foreign_entries(out)
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise TableError(
            f"{out}: the data set there would be replaced, and with it what an ingest did not write: "
            f"{', '.join(foreign[:3])}{more}. Move it away, or name another folder for the data set."
        )


def _is_data_set(folder: Path) -> bool:
    return (folder / "dataset.toml").is_file() and any(
        (folder / name).exists() for name in ("quality.json", "stays", "stays.parquet", "stays.csv")
    )


def _foreign_entries(out: Path) -> list[str]:
    """What lies in a data set's folder and was not written by an ingest, by its place there."""
    files = {"dataset.toml", "quality.json", SHAPE_FILE, UNSEEN_STAYS}
    folders = {*TABLES, "quarantine", TRUTH}
    foreign = []
    for entry in sorted(out.iterdir()):
        if entry.name in folders and entry.is_dir() and not entry.is_symlink():
            foreign += [
                file.relative_to(out).as_posix()
                for file in sorted(entry.rglob("*"))
                if not file.is_dir() and file.suffix != ".parquet"
            ]
        elif entry.name not in files or not entry.is_file():
            foreign.append(entry.name)
    return foreign


def _former_declaration(out: Path) -> Declaration | None:
    """The declaration of the data set that stands at `out`; None where there is none, or none to read."""
    try:
        return read_declaration(out)
    except TableError:
        return None


def _replaced(out: Path, former: Declaration | None, now: Declaration) -> tuple[str, ...]:
    """A warning if the data set that stood there was another one."""
    if former is None or (former.name, former.source) == (now.name, now.source):
        return ()
    return (f"{out}: replaces the data set {former.name} (source {former.source}) that stood there.",)


def _is_empty_folder(out: Path) -> bool:
    return out.is_dir() and not any(out.iterdir())


def _refuse_bad_extract(checked: Checked, max_quarantine_share: float) -> None:
    rows = {name: staged.n_rows for name, staged in checked.staged.items()}
    bad = {name: checked.n_quarantined(name) for name in rows}
    shares = {name: bad[name] / max(rows[name], 1) for name in rows}
    shares["all tables"] = sum(bad.values()) / max(sum(rows.values()), 1)
    beyond = [f"{name} {share:.2%}" for name, share in shares.items() if share > max_quarantine_share]
    if not beyond:
        return
    found = (
        f"{rule.table}: {rule.n_rows} of {rows[rule.table]} rows {rule.rule}"
        f"{' in ' + ', '.join(rule.columns) if rule.columns else ''} "
        f"(first at row {rule.first_row}). {rule.what_to_do}"
        for rule in checked.rules
    )
    raise TableError(
        "\n".join(
            (
                f"More than {max_quarantine_share:.2%} of the rows would be quarantined: "
                f"{', '.join(beyond)}. Correct the extract, or raise --max-quarantine-share.",
                *found,
                *checked.warnings,
            )
        )
    )


def _n_buckets(checked: Checked) -> int:
    n_stays = checked.staged["stays"].n_rows - checked.n_quarantined("stays")
    return max(1, math.ceil(n_stays / STAYS_PER_BUCKET))


def _settle_buckets(checked: Checked) -> None:
    """One hash per patient, not one per row, however many rows a patient has."""
    bucket = bucket_sql("patient_id", checked.declaration.buckets)
    checked.data.execute(
        f"CREATE TABLE bucket_of_patient_id AS SELECT patient_id, {bucket} AS _bucket FROM kept_patients"
    )
    checked.data.execute(
        "CREATE TABLE bucket_of_stay_id AS SELECT s.stay_id, b._bucket "
        "FROM kept_stays s JOIN bucket_of_patient_id b USING (patient_id)"
    )


def _write_tables(checked: Checked, out: Path, scratch: Path, progress: Progress) -> Quality:
    _settle_buckets(checked)
    counts = {}
    for done, (name, staged) in enumerate(checked.staged.items()):
        progress("writing tables", done, len(checked.staged))
        n_quarantined = 0
        if checked.n_quarantined(name):
            (out / "quarantine").mkdir(exist_ok=True)
            n_quarantined = _copy(
                checked, checked.quarantine_sql(name), out / "quarantine" / f"{name}.parquet"
            )
        n_out = _write_table(checked, staged.table, out / name, scratch)
        counts[name] = TableCount(staged.n_rows, n_out, n_quarantined)
    progress("writing tables", len(checked.staged), len(checked.staged))
    written = DataSet(out, checked.declaration)
    kept = {name: written.select(staged.table) for name, staged in checked.staged.items()}
    shape = shape_of(checked.data, kept, checked.declaration, progress=progress)
    return Quality(checked.declaration, counts, checked.rules, checked.warnings, jumps(shape), shape)


def _write_table(checked: Checked, table: Table, folder: Path, scratch: Path) -> int:
    """Write the kept rows, sorted, one file per bucket; return how many rows the files hold."""
    kept, n_buckets = checked.kept_sql(table.name), checked.declaration.buckets
    if table.owner is None or n_buckets == 1:
        place = folder if table.owner is None else folder / "bucket=0"
        place.mkdir(parents=True)
        return _copy(checked, _sorted_sql(table, kept), place / "data.parquet")
    parts = scratch / table.name
    _partition(checked, table, kept, parts)
    n_out = 0
    for bucket in range(n_buckets):
        (folder / f"bucket={bucket}").mkdir(parents=True)
        part = parts / f"_bucket={bucket}"
        rows = f"SELECT * FROM {parquet_rows(part, '*.parquet')}"
        rows = rows if part.is_dir() else empty_select(table)
        n_out += _copy(checked, _sorted_sql(table, rows), folder / f"bucket={bucket}" / "data.parquet")
    shutil.rmtree(parts)
    return n_out


def _partition(checked: Checked, table: Table, kept: str, parts: Path) -> None:
    """One pass that splits the table by bucket, so that each bucket is then sorted by itself."""
    checked.data.execute(
        f"COPY (SELECT {_columns(table, 't.')}, o._bucket FROM ({kept}) t "
        f"JOIN bucket_of_{table.owner} o ON t.{table.owner} = o.{table.owner}) "
        f"TO {literal(parts)} (FORMAT parquet, PARTITION_BY (_bucket))"
    )


def _sorted_sql(table: Table, rows: str) -> str:
    """The declared columns in a total order: by key, or by every column where there is no key."""
    order = ", ".join(f'"{name}"' for name in table.key) or _columns(table)
    return f"SELECT {_columns(table)} FROM ({rows}) ORDER BY {order}"


def _columns(table: Table, prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{column.name}"' for column in table.columns)


def _copy(checked: Checked, sql: str, file: Path) -> int:
    """Write the query's rows to a file; return the rows that the file holds."""
    checked.data.execute(f"COPY ({sql}) TO {literal(file)} (FORMAT parquet, COMPRESSION zstd)")
    return int(checked.data.execute(f"SELECT count(*) FROM {parquet_rows(file)}").fetchall()[0][0])
