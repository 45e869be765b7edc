"""What happens in encounters, without money: rows of the flat tables for each resource.

Each function takes the resource, the terms of money, and the path of what is not valid in it, if anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from features.sources.fhir.elements import (
    Node,
    address,
    at,
    coded,
    has_code,
    in_systems,
    known,
    moment,
    node,
    nodes,
    presence,
    said,
)
from features.sources.fhir.flat import LeftOut, Row, Terms

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ATC = ("http://www.whocc.no/atc", "urn:oid:2.16.840.1.113883.6.73")

_NOT_GIVEN = ("not-done", "not-taken", "cancelled", "draft", "intended")
_NOT_ORDERED = ("proposal", "plan", "option")


def condition(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """Diagnoses of encounters; which of the others an encounter names is found when they are joined."""
    if has_code(resource.get("verificationStatus"), "refuted"):
        raise LeftOut("refuted")
    is_encounters = has_code(resource.get("category"), "encounter-diagnosis")
    yield (
        "condition",
        (
            at(resource, "id"),
            address(resource.get("encounter"), "Encounter"),
            "true" if is_encounters else None,
            *in_systems(resource.get("code"), "diagnosis_systems"),
            presence(resource),
            known(at(resource, "recordedDate")),
            fault,
        ),
    )


def procedure(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """`performed_at`: the time, or the start of the period, for which one in preparation is planned."""
    status = at(resource, "status")
    if status == "not-done":
        raise LeftOut("not done")
    yield (
        "procedure",
        (
            at(resource, "id"),
            address(resource.get("encounter"), "Encounter"),
            *in_systems(resource.get("code"), "procedure_systems"),
            at(resource, "performedDateTime")
            or at(resource, "performedPeriod", "start")
            or at(resource, "performedString"),
            "true" if status == "preparation" else None,
            fault,
        ),
    )


def observation(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """One row per numeric value: of the observation itself and of each of its components."""
    if at(resource, "status") in ("cancelled", "registered"):
        raise LeftOut("cancelled, or registered without a result")
    subject = address(resource.get("subject"), "Patient")
    if subject and subject.startswith(("Group/", "Device/", "Location/")):
        raise LeftOut("about a group, a device or a place, not a patient")
    shared = (subject, address(resource.get("encounter"), "Encounter"), moment(resource, "effective"))
    issued = known(at(resource, "issued"))
    rows = [
        (*shared, coded(part.get("code"), LOINC), *measured, issued, fault)
        for part in (resource, *nodes(resource.get("component")))
        if (measured := _measured(part))
    ]
    if not rows and not fault:
        raise LeftOut("without a value that is a number")
    for row in rows or [(*shared, coded(resource.get("code"), LOINC), None, None, issued, fault)]:
        yield "observation", row


def _measured(part: Node) -> tuple[str | None, str | None] | None:
    """(value, unit); a bound such as <5 keeps its sign, and so is read as no number."""
    if "valueInteger" in part:
        return at(part, "valueInteger"), "1"
    quantity = node(part, "valueQuantity")
    value = at(quantity, "value")
    if value is None:
        return None
    code = at(quantity, "code") if at(quantity, "system") == UCUM else None
    return f"{at(quantity, 'comparator') or ''}{value}", code or at(quantity, "unit") or at(quantity, "code")


def medication(resource: Node, _terms: Terms, _fault: str) -> Iterator[Row]:
    """A medication that others refer to."""
    yield "medication", (at(resource, "id"), coded(resource.get("code"), *ATC))


def medication_administration(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """Given from the start to the end of the effective time."""
    yield _use(
        resource, resource.get("context"), "effective", fault, route=node(resource, "dosage").get("route")
    )


def medication_request(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """An order, from its validity (else from when it was written) on."""
    if at(resource, "intent") in _NOT_ORDERED or resource.get("doNotPerform") is True:
        raise LeftOut("proposed, planned or forbidden")
    written = at(resource, "authoredOn")
    validity = node(resource, "dispenseRequest", "validityPeriod")
    dosage: Node = next(nodes(resource.get("dosageInstruction")), {})
    name, row = _use(resource, resource.get("encounter"), "", fault, route=dosage.get("route"))
    started_at = at(validity, "start") or written
    yield name, (*row[:2], started_at, at(validity, "end"), *row[4:7], known(written), fault)


def medication_statement(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """Taken, as somebody says."""
    dosage: Node = next(nodes(resource.get("dosage")), {})
    name, row = _use(resource, resource.get("context"), "effective", fault, route=dosage.get("route"))
    yield name, (*row[:7], known(at(resource, "dateAsserted")), fault)


def _use(resource: Node, context: object, time: str, fault: str, *, route: object) -> Row:
    if at(resource, "status") in _NOT_GIVEN:
        raise LeftOut("not given, not taken, or never ordered")
    reference = node(resource, "medicationReference")
    contained = (at(reference, "reference") or "").removeprefix("#")
    within = next((c for c in nodes(resource.get("contained")) if at(c, "id") == contained), {})
    concept = resource.get("medicationCodeableConcept") or node(within).get("code")
    period = node(resource, f"{time}Period")
    encounter_address = address(context, "Encounter")
    if encounter_address and encounter_address.startswith("EpisodeOfCare/"):
        encounter_address = None
    return (
        "medication_use",
        (
            address(resource.get("subject"), "Patient"),
            encounter_address,
            at(resource, f"{time}DateTime") or at(period, "start"),
            at(period, "end"),
            coded(concept, *ATC),
            address(reference, "Medication"),
            said(route),
            None,
            fault,
        ),
    )
