"""Reading the files of an extract into the flat tables, with an account of what is not in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from features.progress import Progress
from features.sources.fhir import billing, events, stays
from features.sources.fhir.elements import Node, at, has_code, identified, nodes, plain_address
from features.sources.fhir.flat import Flat, LeftOut, Row, Terms
from features.sources.fhir.stream import Found, Resource, Tally, name_of, resources_of
from features.sources.fhir.validate import fault_of, is_type

ROWS_OF: dict[str, Callable[[Node, Terms, str], Iterator[Row]]] = {
    "Patient": stays.patient,
    "Encounter": stays.encounter,
    "Condition": events.condition,
    "Procedure": events.procedure,
    "Observation": events.observation,
    "Medication": events.medication,
    "MedicationAdministration": events.medication_administration,
    "MedicationRequest": events.medication_request,
    "MedicationStatement": events.medication_statement,
    "Claim": billing.claim,
    "ExplanationOfBenefit": billing.explanation_of_benefit,
    "ChargeItem": billing.charge_item,
    "Account": billing.account,
    "Coverage": billing.coverage,
    "Organization": stays.organization,
    "Appointment": stays.appointment,
}
"""Type of resource → its rows. Each takes the resource, the basis and currency of money, and its fault."""

_IDENTIFIED = ("Patient", "Encounter", "Organization")
_NO_REFERENCES_TO = ("Observation", "ChargeItem")
_USED_AS_READ = ("Medication", "Account", "Coverage", "Organization", "Appointment")
_MOST_NOTES = 20
_TOLD_EVERY = 5_000


@dataclass
class Reading:
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


def read(files: list[Path], flat: Flat, terms: Terms, progress: Progress) -> Reading:
    reading, n, done = Reading(), 0, 0
    total = sum(file.stat().st_size for file in files)
    for number, file in enumerate(files, start=1):
        progress("reading resources", done, total)
        name = name_of(file, number, len(files))
        for found in resources_of(file, name, reading.tally):
            n += 1
            take(found, n, flat, terms, reading)
            if n % _TOLD_EVERY == 0:
                progress("reading resources", done + reading.tally.n_bytes_of_file, total)
        done += file.stat().st_size
    progress("reading resources", total, total)
    return reading


class Rows(Protocol):
    """What takes the rows of the flat tables."""

    def add(self, table: str, n: int, values: tuple[str | None, ...]) -> None: ...


def take(found: Found, n: int, flat: Rows, terms: Terms, reading: Reading) -> None:
    """Add the rows of resource number `n`, and what becomes of it to the account."""
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
