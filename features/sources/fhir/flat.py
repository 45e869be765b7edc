"""Flat tables that hold the elements of resources as text, before anything is joined.

`n` numbers the resources in the order in which they are read. `fault` says which element is not valid FHIR.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Row = tuple[str, tuple[str | None, ...]]
"""The flat table and the values of its columns after `n`."""

_BATCH_ROWS = 20_000
_BATCH_BYTES = 32 * 2**20

FLAT_TABLES: dict[str, tuple[str, ...]] = {
    "resources": ("type", "id", "updated", "digest"),
    "links": ("address", "id"),
    "patient": ("id", "birth", "sex", "died_at", "is_dead", "fault"),
    "encounter": (
        "id", "becomes", "status", "patient", "started_at", "ended_at", "booked_at", "admission_type",
        "source", "disposition", "is_readmission", "service", "provider", "part_of", "account",
        "appointment", "fault",
    ),
    "encounter_diagnosis": ("place", "condition", "kind", "rank"),
    "encounter_reason": ("place", "condition", "code", "system"),
    "condition": (
        "id", "encounter", "is_encounter_diagnosis", "code", "system", "presence", "known_at", "fault",
    ),
    "procedure": ("id", "encounter", "code", "system", "performed_at", "is_planned", "fault"),
    "observation": ("patient", "encounter", "taken_at", "code", "value", "unit", "known_at", "fault"),
    "medication": ("id", "code"),
    "medication_use": (
        "patient", "encounter", "started_at", "ended_at", "code", "medication", "route", "known_at", "fault",
    ),
    "claim": (
        "id", "kind", "claim", "total", "patient_paid", "payment_group", "coverage", "insurer", "known_at",
        "fault",
    ),
    "claim_encounter": ("encounter",),
    "claim_diagnosis": ("sequence", "condition", "role", "code", "system", "presence"),
    "claim_procedure": ("sequence", "procedure", "code", "system", "performed_at"),
    "claim_item": ("encounter", "incurred_on", "category", "amount", "item_code"),
    "charge_item": ("encounter", "incurred_on", "category", "amount", "item_code", "known_at", "fault"),
    "account": ("id", "coverage"),
    "coverage": ("id", "payer", "payor"),
    "organization": ("id", "name", "is_department", "part_of"),
    "appointment": ("id", "created", "start"),
}  # fmt: skip
"""Flat table → its columns after `n`."""


@dataclass(frozen=True)
class Terms:
    """What the data set's money is: on which cost basis, in which currency."""

    cost_basis: str
    currency: str


class LeftOut(Exception):  # noqa: N818 - a verdict, no failure
    """The resource has no place in the tables; the words say why, for the notes."""


class Flat:
    """Writes rows of the flat tables, a batch at a time, as `<table>.parquet` of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, list[tuple[int | str | None, ...]]] = {name: [] for name in FLAT_TABLES}
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._n_bytes = 0

    def __enter__(self) -> Flat:
        return self

    def __exit__(self, *_error: object) -> None:
        for name in self._rows:
            self._flush(name)
        for writer in self._writers.values():
            writer.close()

    def add(self, table: str, n: int, values: tuple[str | None, ...]) -> None:
        """Add the row that resource number `n` gives."""
        rows = self._rows[table]
        rows.append((n, *values))
        self._n_bytes += sum(len(value) for value in values if value)
        if self._n_bytes > _BATCH_BYTES:
            for name in self._rows:
                self._flush(name)
            self._n_bytes = 0
        elif len(rows) >= _BATCH_ROWS:
            self._flush(table)

    def _flush(self, name: str) -> None:
        rows = self._rows[name]
        if not rows:
            return
        schema = pa.schema([("n", pa.int64()), *((column, pa.string()) for column in FLAT_TABLES[name])])
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(
                self._folder / f"{name}.parquet", schema, compression="zstd"
            )
        columns = [
            pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
        ]
        self._writers[name].write_table(pa.table(columns, schema=schema))
        rows.clear()
