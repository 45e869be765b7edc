"""A canonical data set: a folder of tables and the `dataset.toml` that says what they mean."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.sql import parquet_rows
from features.tables import DIAGNOSES, SQL_TYPES, TABLES, Table, TableError

UNSEEN_STAYS = "unseen_stays.parquet"
"""Beside the tables: patient and admission of every quarantined stay, where there are any."""

DiagnosisSystem = Literal["icd10", "icd10cm", "icd10gb", "icd10cn_insurance", "icd9cm"]
ProcedureSystem = Literal["icd9cm3", "icd10pcs"]


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads a folder of files


def _time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError("not an IANA time zone such as Asia/Shanghai")
    return name


class CodeSystems(BaseModel):
    """The code systems of a data set's diagnoses and procedures; none for one that it does not hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    diagnosis: DiagnosisSystem | None = None
    procedure: ProcedureSystem | None = None


class ReadmissionLabel(BaseModel):
    """How the readmission label comes about: derived from dates and codes, or given by the extract."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["derived", "given"]
    variant: Literal["cms", "front_page"] = "cms"
    definition: str | None = None


class Labels(BaseModel):
    """The labels' declarations."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    readmission: ReadmissionLabel = ReadmissionLabel(kind="derived")


class Declaration(BaseModel):
    """The content of `dataset.toml`; see `docs/data-contract.md` for every setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    source: str
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    cost_basis: Literal["billed", "cost", "paid"]
    time_zone: Annotated[str, AfterValidator(_time_zone)]
    timeline: Literal["real", "shifted", "none"]
    observed_from: dt.date | None = None
    observed_until: dt.date | None = None
    complete_by: Literal["discharge", "admission"]
    deaths: Literal["registry", "in_hospital"]
    hashed_ids: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None
    """Which key hashed the identifiers (`IdKey.key_id`); none where they are as the extract has them."""
    code_systems: CodeSystems
    labels: Labels = Labels()
    buckets: Annotated[int, Field(ge=1)] = 1

    @property
    def has_timeline(self) -> bool:
        """Whether the records carry dates at all, be they shifted."""
        return self.timeline != "none"

    def requires(self, table: Table) -> bool:
        """Whether a data set must hold the table: diagnoses only where their code system is declared."""
        return table.required and (table is not DIAGNOSES or self.code_systems.diagnosis is not None)

    @property
    def has_calendar(self) -> bool:
        """Whether one patient's dates can be held against another's: not where each patient's are shifted."""
        return self.timeline == "real"

    @model_validator(mode="after")
    def _observation_is_declared(self) -> Declaration:
        if self.has_timeline:
            if self.observed_from is None or self.observed_until is None:
                raise ValueError("observed_from and observed_until are required unless timeline is none")
            if self.observed_from > self.observed_until:
                raise ValueError("observed_from lies after observed_until")
        # A day of grace: elsewhere it may be tomorrow already.
        tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
        if self.timeline == "real" and self.observed_until is not None and self.observed_until > tomorrow:
            raise ValueError("observed_until lies in the future: no extract is complete until then")
        return self

    def to_toml(self) -> str:
        """The declaration as the text of `dataset.toml`."""
        lines = []
        for name, value in self.model_dump(exclude={"code_systems", "labels"}, exclude_none=True).items():
            lines.append(f"{name} = {_toml_value(value)}")
        systems = self.code_systems.model_dump(exclude_none=True)
        lines.append(f"code_systems = {_toml_table(systems)}")
        lines.append("\n[labels]")
        lines.append(f"readmission = {_toml_table(self.labels.readmission.model_dump(exclude_none=True))}")
        return "\n".join(lines) + "\n"


def _toml_value(value: object) -> str:
    if isinstance(value, str):
        # A basic string of TOML is one of JSON, but for the delete character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value.isoformat()) if isinstance(value, dt.date) else str(value)


def _toml_table(values: dict[str, object]) -> str:
    inner = ", ".join(f"{name} = {_toml_value(value)}" for name, value in values.items())
    return f"{{ {inner} }}"


@dataclass(frozen=True)
class DataSet:
    """A checked canonical data set on disk."""

    path: Path
    declaration: Declaration

    def has(self, table: str) -> bool:
        """Whether the table is in the extract: an absent table means unknown, not none."""
        return (self.path / table).is_dir()

    def select(self, table: Table, bucket: int | None = None) -> str:
        """SQL that reads a table with its declared columns and types, of one bucket or of all.

        An absent table reads as no rows; `has` tells the two apart.
        """
        if not self.has(table.name):
            return empty_select(table)
        files = "*.parquet"
        if table.owner is not None:
            files = f"bucket={'*' if bucket is None else bucket}/{files}"
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        return f"SELECT {columns} FROM {parquet_rows(self.path / table.name, files)}"

    def unseen_stays(self, bucket: int) -> str:
        """SQL of the quarantined stays of a bucket: patient_id, admitted_at (null where it is not readable).

        They are no stays to learn from, but what became of their patients is not known either.
        """
        file = self.path / UNSEEN_STAYS
        if not file.is_file():
            return "SELECT NULL::VARCHAR AS patient_id, NULL::TIMESTAMP AS admitted_at WHERE false"
        own = f"{bucket_sql('patient_id', self.declaration.buckets)} = {bucket}"
        return f"SELECT patient_id, admitted_at FROM {parquet_rows(file)} WHERE {own}"

    def damaged(self) -> list[str]:
        """The files of the data set that are not there or cannot be read, by their place in it.

        Every file is read whole: this is to say what is wrong once something is.
        """
        parts = ["data.parquet"], [f"bucket={n}/data.parquet" for n in range(self.declaration.buckets)]
        return [
            f"{name}/{part}"
            for name, table in TABLES.items()
            if self.has(name)
            for part in parts[table.owner is not None]
            if not _is_readable(self.path / name / part)
        ]

    def stamp(self) -> tuple[int, int]:
        """Another one where the data set was written anew; unlike its digest, it costs nothing."""
        return stamp_of(self.path)

    def digest(self) -> str:
        """SHA-256 over the declaration and every table's bytes, in a fixed order."""
        total = hashlib.sha256((self.path / "dataset.toml").read_bytes())
        files = [file for name in TABLES for file in sorted((self.path / name).rglob("*.parquet"))]
        for file in (*files, *self.path.glob(UNSEEN_STAYS)):
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()


def stamp_of(folder: Path) -> tuple[int, int]:
    """The stamp of the data set in a folder. Raises OSError if there is none."""
    status = (folder / "dataset.toml").stat()
    return status.st_ino, status.st_mtime_ns


def _is_readable(file: Path) -> bool:
    try:
        with pq.ParquetFile(file) as content:
            for group in range(content.num_row_groups):
                content.read_row_group(group)
    except (OSError, pa.ArrowException):
        return False
    return True


def empty_select(table: Table) -> str:
    """SQL for a table without rows."""
    columns = ", ".join(f'NULL::{SQL_TYPES[column.type]} AS "{column.name}"' for column in table.columns)
    return f"SELECT {columns} WHERE false"


def read_declaration(folder: Path) -> Declaration:
    """Read and validate `dataset.toml` of a folder. Raises TableError with every problem at once."""
    file = folder / "dataset.toml"
    if not file.is_file():
        raise TableError(
            f"{folder}: no dataset.toml there. Name a folder that `wardcast ingest` wrote, or add one."
        )
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TableError(f"{file}: not readable as TOML ({error}). Correct the file.") from error
    return parse_declaration(found, file)


def parse_declaration(settings: Mapping[str, object], file: Path) -> Declaration:
    """The declaration of these settings. Raises TableError, naming `file`, with every problem at once."""
    try:
        return Declaration.model_validate(settings)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'dataset'}: {problem_words(problem)}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise TableError(f"{file}: {problems}. Correct these settings.") from error


def problem_words(problem: Mapping[str, Any]) -> str:
    """What is wrong with a setting, from a validation error's entry."""
    kind, message = str(problem["type"]), str(problem["msg"])
    if kind.startswith("date_"):
        return "is no date. Write it like 2020-12-31, without quotes"
    if kind == "too_short":
        return "is empty. Name at least one"
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "no such key here. Remove it or correct its name"
    if kind == "string_pattern_mismatch":
        return "has not the form that it must have (a currency: three capital letters, such as CNY)"
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def open_dataset(folder: Path) -> DataSet:
    """Open a data set that `wardcast ingest` has checked. Raises TableError if it was not."""
    declaration = read_declaration(folder)
    required = [name for name, table in TABLES.items() if declaration.requires(table)]
    missing = [name for name in required if not (folder / name).is_dir()]
    if missing:
        raise TableError(
            f"{folder}: not a checked data set (no {', '.join(missing)}). "
            f"Run `wardcast ingest canonical {folder} --out DIR` and use DIR."
        )
    return DataSet(folder, declaration)


def bucket_sql(patient_id: str, buckets: int) -> str:
    """SQL for a patient's bucket: the first 8 bytes of SHA-256 of the id, modulo the number of buckets."""
    return f"(('0x' || substr(sha256({patient_id}), 1, 16))::UBIGINT % {buckets})::INTEGER"


def connect(*, threads: int, memory_limit_mb: int, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory data engine that spills to `spill` and reaches nothing outside this machine."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "memory_limit": f"{memory_limit_mb}MB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    if spill is not None:
        config["temp_directory"] = str(spill)
    return duckdb.connect(":memory:", config=config)
