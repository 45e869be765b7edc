"""FHIR R4 (4.0.1): bundles and NDJSON bulk export, in one file or a folder of them, packed with gzip or not.

Follows the published specification (http://hl7.org/fhir/R4) and the Bulk Data Access guide. Bundles may be
of any type, one for all or one per patient; what a line or an entry is, its resourceType says. Everything
is read as a stream; nothing is ever fetched from an address that a resource names. Resources are validated
by the models of the package fhir.resources.

What is read, and as what:

- Patient → patients. A year or month of birth gives no birth_date but age_years, right to one year. Dead
  without a full date: no death_date, and a note.
- Encounter of class IMP, ACUTE, NONACUTE, OBSENC or SS → stays (planned → booked; arrived, triaged,
  in-progress, onleave → in; finished → discharged), with serviceType, serviceProvider (of a department:
  what it is part of), priority, hospitalization, Appointment and the planned time of statusHistory. Parts
  (partOf) of a stay belong to it and give its departments. EMER, AMB, HH and VR → visits.
  hospitalization.reAdmission → a fact.
- Condition of category encounter-diagnosis, or named by Encounter.diagnosis (use, rank), and the diagnoses
  of claims → diagnoses, by the ICD systems' addresses. Position 1 is the first by rank, the principal one
  of a claim, or the only one; where several have no order, positions begin at 2. Problem lists are left
  out. Where none is called admitting, what Encounter.reasonReference and reasonCode name is.
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

from collections.abc import Iterator, Mapping
from pathlib import Path

from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.fhir import staged_tables
from features.sources.fhir.flat import Flat, Terms
from features.sources.fhir.joined import open_flat
from features.sources.fhir.stream import files_of
from features.sources.fhir.take import Reading, read
from features.sources.fhir.written import FOUND, held_tables, written_sql
from features.sources.reading import Reader, reader
from features.tables import TableError

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
            reading = read(files, flat, terms, progress)
        notes = [*reading.notes(), *open_flat(tables.data, tables.scratch)]
        notes += _written(tables, reading, told.time_zone, hospital)
    return Extract(told, tuple(notes))


def _written(tables: Reader, reading: Reading, time_zone: str, hospital: str | None) -> Iterator[str]:
    """Stage every table that the extract holds; the notes on what was found meanwhile."""
    if not reading.has("Patient"):
        raise TableError("No resource of type Patient is in the extract. Export the patients too.")
    _refuse_without_stays(tables)
    queries = written_sql(time_zone, hospital)
    held = held_tables(reading, lambda what: _any(tables, FOUND[what]))
    for name in ("payers", "claim_owners", "costs"):
        tables.data.execute(f"CREATE TABLE {name} AS {queries[name]}")
    for name in held:
        if name == "diagnoses":
            tables.data.execute(f"CREATE TABLE found_diagnoses AS {queries['found_diagnoses']}")
            yield from _counted(tables, staged_tables.DIAGNOSIS_COUNTS)
        tables.write(name, queries[name])
    yield from _counted(tables, staged_tables.COUNTS)


def _refuse_without_stays(tables: Reader) -> None:
    if _any(tables, "FROM encounter WHERE becomes = 'stay'"):
        return
    if _any(tables, "FROM encounter WHERE becomes = ''"):
        raise TableError(
            "No Encounter has a class of v3-ActCode that makes it a stay (IMP, ACUTE, NONACUTE, OBSENC, SS). "
            "Export Encounter.class in that code system."
        )
    raise TableError("No Encounter of inpatients (class IMP, ACUTE …) is in the extract. Export them too.")


def _any(tables: Reader, rows: str) -> bool:
    return bool(tables.data.execute(f"SELECT EXISTS ({rows})").fetchall()[0][0])


def _counted(tables: Reader, counts: Mapping[str, str]) -> Iterator[str]:
    for note, sql in counts.items():
        count = int(tables.data.execute(sql).fetchall()[0][0])
        if count:
            yield note.format(count)
