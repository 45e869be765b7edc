"""FHIR R4 (4.0.1): bundles and NDJSON bulk export, in one file or a folder of them, packed with gzip or not.

Follows the published specification (http://hl7.org/fhir/R4) and the Bulk Data Access guide. Bundles may be
of any
type, one for all or one per patient; what a line or an entry is, its resourceType says. Everything is read
as
a stream; nothing is ever fetched from an address that a resource names. Resources are validated by the
models of
the package fhir.resources.

What is read, and as what:

- Patient → patients. A year or month of birth gives no birth_date but age_years, right to one year. Dead
  without a full date: no death_date, and a note.
- Encounter of class IMP, ACUTE, NONACUTE, OBSENC or SS → stays (planned → booked; arrived, triaged, in-
  progress, onleave → in; finished → discharged), with serviceType, serviceProvider (of a department: what
  it is part of), priority, hospitalization, Appointment and the planned time of statusHistory. Parts
  (partOf) of a stay belong to it and give its departments. EMER, AMB, HH and VR → visits.
  hospitalization.reAdmission → a fact.
- Condition of category encounter-diagnosis, or named by Encounter.diagnosis (use, rank), and the diagnoses
  of claims → diagnoses, by the ICD systems' addresses. Position 1 is the first by rank, the principal one
  of a claim, or the only one; where several have no order, positions begin at 2. Problem lists are left
  out.
- Procedure and the procedures of claims → procedures; status preparation → is_planned.
- Observation with its components → observations, where the value is a number. A period counts at its end. A
  bound such as <5 is no number, and so is quarantined.
- MedicationAdministration, MedicationRequest and MedicationStatement → medications, side by side.
- ExplanationOfBenefit, else Claim, else ChargeItem → total_cost by the declared cost basis (billed:
  submitted; paid: payment; FHIR knows no cost), patient_paid, payment_group, visits.cost and charges (by
  UB-04 revenue code). Coverage, Account and insurer → payer. Amounts in another currency are quarantined.

Ids are the resources' ids. A reference that nothing resolves stays as it is, so that the check finds it.
Times keep their offset. A time of an event that is a year or a month alone stays as it is and is
quarantined; one of recording (recordedDate) counts at its last day. Resources entered in error, not done,
cancelled, or of other types are left out, and the notes count them. Of several versions of a resource the
newest counts.

A resource that is not valid is quarantined as a row, with the path of the element in place of a time or
number; the notes say where the first one is. What is no JSON or cut short is an error: nobody knows what is
missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.fhir import staged_tables
from features.sources.fhir.elements import at, has_code, identified, nodes, plain_address
from features.sources.fhir.joined import open_flat
from features.sources.fhir.rows import FLAT_TABLES, ROWS_OF, LeftOut, Terms
from features.sources.fhir.stream import Found, Resource, Tally, files_of, name_of, resources_of
from features.sources.fhir.validate import fault_of, is_type
from features.sources.reading import Reader, reader
from features.tables import TableError

_BATCH_ROWS = 20_000
_BATCH_BYTES = 32 * 2**20
_IDENTIFIED = ("Patient", "Encounter", "Organization")
_NO_REFERENCES_TO = ("Observation", "ChargeItem")
_USED_AS_READ = ("Medication", "Account", "Coverage", "Organization", "Appointment")
_MOST_NOTES = 20
_TOLD_EVERY = 5_000
_FORMAT_SAYS = {"source": "fhir 4.0.1"}


def stage(
    path: Path | None,
    staging: Path,
    *,
    progress: Progress = silent,
    declaration: Path | None = None,
    hospital: str | None = None,
) -> Extract:
    """Write the resources of a bundle, an NDJSON file or a folder of them as canonical tables.

    `declaration` is a TOML file with the keys of dataset.toml (default: dataset.toml beside the resources);
    `hospital` is the id of the hospital where an encounter names no serviceProvider.

    Raises TableError, naming file and line or entry, for files that are no FHIR, damaged, or hold two
    different resources with the same id; and where there is no Patient or no Encounter that is a stay.
    """
    files = files_of(path)
    told = declared(path or Path(), declaration, _FORMAT_SAYS)
    terms = Terms(told.cost_basis, told.currency)
    with reader(staging) as tables:
        with Flat(tables.scratch) as flat:
            reading = _read(files, flat, terms, progress)
        notes = [*reading.notes(), *open_flat(tables.data, tables.scratch)]
        _write(tables, reading, told.time_zone, hospital)
        notes += _counted(tables)
    return Extract(told, tuple(notes))


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


@dataclass
class _Reading:
    """What the files held: how many resources of which type, and which were left out or not valid."""

    tally: Tally = field(default_factory=Tally)
    types: Counter[str] = field(default_factory=Counter)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    without_place: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_fault: dict[tuple[str, str], str] = field(default_factory=dict)

    def has(self, *types: str) -> bool:
        """Whether the extract holds resources of the types, or an empty file that is named after one."""
        return any(self.types[kind] or kind in self.tally.named_types for kind in types)

    def notes(self) -> Iterator[str]:
        """What was left out, and which resources are not valid."""
        faults = sorted(self.faults.items())
        for (kind, path), count in faults[:_MOST_NOTES]:
            used = "what can be read of it is used" if kind in _USED_AS_READ else "in quarantine"
            first = self.first_fault[kind, path]
            yield f"{kind}: {count} not valid FHIR R4 at {path} (first: {first}); {used}."
        if beyond := sum(count for _, count in faults[_MOST_NOTES:]):
            yield f"{beyond} further resources are not valid FHIR R4."
        for (kind, reason), count in sorted(self.left_out.items()):
            yield f"{kind}: {count} left out ({reason})."
        if self.without_place:
            found = ", ".join(f"{kind} {count}" for kind, count in sorted(self.without_place.items()))
            yield f"Resources that no table has a place for are left out: {found}."
        if self.tally.n_entries_without_resource:
            yield f"Entries of bundles without a resource: {self.tally.n_entries_without_resource}."
        if self.tally.n_foreign_files:
            yield f"Files left out, JSON without a resourceType: {self.tally.n_foreign_files}."
        if self.tally.n_further_pages:
            yield (
                f"Bundles that name a next page, which is not fetched: {self.tally.n_further_pages}. "
                "Put every page into the folder."
            )


def _read(files: list[Path], flat: Flat, terms: Terms, progress: Progress) -> _Reading:
    reading, n, done = _Reading(), 0, 0
    total = sum(file.stat().st_size for file in files)
    for number, file in enumerate(files, start=1):
        progress("reading resources", done, total)
        name = name_of(file, number, len(files))
        for found in resources_of(file, name, reading.tally):
            n += 1
            _add(found, n, flat, terms, reading)
            if n % _TOLD_EVERY == 0:
                progress("reading resources", done + reading.tally.n_bytes_of_file, total)
        done += file.stat().st_size
    progress("reading resources", total, total)
    return reading


def _add(found: Found, n: int, flat: Flat, terms: Terms, reading: _Reading) -> None:
    kind, resource = found.resource["resourceType"], found.resource
    if kind not in ROWS_OF:
        reading.without_place[kind if is_type(kind) else "of no type of R4"] += 1
        return
    reading.types[kind] += 1
    place = plain_address(found.address) if found.address else None
    if place and "id" not in resource:
        resource = {**resource, "id": re.sub(rf"^({kind}/|urn:uuid:|urn:oid:)", "", place)}
    identity = at(resource, "id")
    if identity:
        flat.add("resources", n, (kind, identity, at(resource, "meta", "lastUpdated"), _digest(resource)))
        for address in _addresses(resource, kind, place):
            flat.add("links", n, (address, identity))
    if at(resource, "status") == "entered-in-error" or has_code(
        resource.get("verificationStatus"), "entered-in-error"
    ):
        reading.left_out[kind, "entered in error"] += 1
        return
    fault = fault_of(resource, kind)
    if fault:
        key = kind, re.sub(r"\.\d+", "", fault)
        reading.faults[key] += 1
        reading.first_fault.setdefault(key, found.place)
    try:
        for table, values in ROWS_OF[kind](resource, terms, fault):
            flat.add(table, n, values)
    except LeftOut as reason:
        reading.left_out[kind, str(reason)] += 1


def _addresses(resource: Resource, kind: str, place: str | None) -> Iterator[str]:
    """The addresses, beside type and id, by which others may refer to the resource."""
    if place and not place.startswith(f"{kind}/") and kind not in _NO_REFERENCES_TO:
        yield place
    if kind in _IDENTIFIED:
        for identifier in nodes(resource.get("identifier")):
            address = identified(kind, identifier)
            if address:
                yield address


def _digest(resource: Resource) -> str | None:
    """What two copies of a resource share, whatever their meta says."""
    try:
        content = json.dumps({**resource, "meta": None}, sort_keys=True, default=str)
    except (RecursionError, ValueError, TypeError):
        return None
    return hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _write(tables: Reader, reading: _Reading, time_zone: str, hospital: str | None) -> None:
    if not reading.has("Patient"):
        raise TableError("No resource of type Patient is in the extract. Export the patients too.")
    _refuse_without_stays(tables)
    for name, sql in (
        ("payers", staged_tables.PAYERS),
        ("claim_owners", staged_tables.CLAIM_OWNERS),
        ("costs", staged_tables.COSTS),
    ):
        tables.data.execute(f"CREATE TABLE {name} AS {sql}")
    tables.write("patients", staged_tables.patients(time_zone))
    tables.write("stays", staged_tables.stays(hospital))
    if reading.has("Condition") or _any(tables, "claim_diagnosis"):
        tables.write("diagnoses", staged_tables.DIAGNOSES)
    if reading.has("Procedure") or _any(tables, "claim_procedure"):
        tables.write("procedures", staged_tables.PROCEDURES)
    if reading.has("ChargeItem") or _any(tables, "claim_item"):
        tables.write("charges", staged_tables.charges(time_zone))
    if reading.has("Observation"):
        tables.write("observations", staged_tables.OBSERVATIONS)
    if reading.has("MedicationAdministration", "MedicationRequest", "MedicationStatement"):
        tables.write("medications", staged_tables.MEDICATIONS)
    if _any(tables, "encounter", "becomes NOT IN ('stay', '', 'none')"):
        tables.write("visits", staged_tables.VISITS)
    if _any(tables, "encounter", "is_readmission IS NOT NULL"):
        tables.write("facts", staged_tables.FACTS)


def _refuse_without_stays(tables: Reader) -> None:
    if _any(tables, "encounter", "becomes = 'stay'"):
        return
    if _any(tables, "encounter", "becomes = ''"):
        raise TableError(
            "No Encounter has a class of v3-ActCode that makes it a stay (IMP, ACUTE, NONACUTE, OBSENC, SS). "
            "Export Encounter.class in that code system."
        )
    raise TableError("No Encounter of inpatients (class IMP, ACUTE …) is in the extract. Export them too.")


def _any(tables: Reader, view: str, condition: str = "true") -> bool:
    return bool(tables.data.execute(f"SELECT EXISTS (FROM {view} WHERE {condition})").fetchall()[0][0])


def _counted(tables: Reader) -> Iterator[str]:
    for note, sql in staged_tables.COUNTS.items():
        count = int(tables.data.execute(sql).fetchall()[0][0])
        if count:
            yield note.format(count)
