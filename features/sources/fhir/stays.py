"""Patients, their encounters and what those name: rows of the flat tables for each resource.

Each function takes the resource, the terms of money, and the path of what is not valid in it, if anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from features.sources.fhir.elements import (
    Node,
    address,
    at,
    codes,
    has_code,
    in_systems,
    node,
    nodes,
    said,
    translated,
)
from features.sources.fhir.flat import LeftOut, Row, Terms

_STATUS = {
    "planned": "booked",
    "arrived": "in",
    "triaged": "in",
    "in-progress": "in",
    "onleave": "in",
    "finished": "discharged",
}


def patient(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """`died_at` as it stands; whoever is dead without a full date of death has `is_dead` alone."""
    died_at = at(resource, "deceasedDateTime")
    is_dead = died_at or resource.get("deceasedBoolean") is True
    yield (
        "patient",
        (
            at(resource, "id"),
            at(resource, "birthDate"),
            at(resource, "gender") or "unknown",
            died_at,
            "true" if is_dead else None,
            fault,
        ),
    )


def encounter(resource: Node, _terms: Terms, fault: str) -> Iterator[Row]:
    """`becomes` is stay, a kind of visit, none (left out), or empty where the class is not known."""
    becomes, status = _becomes(resource), at(resource, "status")
    is_no_visit = becomes not in ("stay", "", "none") and status in ("planned", "cancelled")
    hospitalization = node(resource, "hospitalization")
    planned = [
        at(entry, "period", "start")
        for entry in nodes(resource.get("statusHistory"))
        if at(entry, "status") == "planned"
    ]
    account = next(nodes(resource.get("account")), None)
    appointment = next(nodes(resource.get("appointment")), None)
    yield (
        "encounter",
        (
            at(resource, "id"),
            "none" if is_no_visit else becomes,
            _STATUS.get(status or "", status),
            address(resource.get("subject"), "Patient"),
            at(resource, "period", "start"),
            at(resource, "period", "end"),
            min(filter(None, planned), default=None),
            _admission_type(resource),
            translated(hospitalization.get("admitSource"), "admission_source"),
            translated(hospitalization.get("dischargeDisposition"), "disposition", "disposition_ub04"),
            "true" if hospitalization.get("reAdmission") else None,
            said(resource.get("serviceType")),
            address(resource.get("serviceProvider"), "Organization")
            or at(resource, "serviceProvider", "display"),
            address(resource.get("partOf"), "Encounter"),
            address(account, "Account"),
            address(appointment, "Appointment"),
            fault or ("" if becomes else "class (no code of v3-ActCode that is known)"),
        ),
    )
    for place, diagnosis in enumerate(nodes(resource.get("diagnosis")), start=1):
        use = diagnosis.get("use")
        yield (
            "encounter_diagnosis",
            (
                str(place),
                address(diagnosis.get("condition"), "Condition"),
                translated(use, "diagnosis_role") if use else None,
                at(diagnosis, "rank"),
            ),
        )
    yield from _reasons(resource)
    # Their rows are kept all the same: what belongs to them belongs to no stay.
    if is_no_visit:
        raise LeftOut("visits that are planned or cancelled")
    if becomes == "none":
        raise LeftOut("neither stays nor visits by their class: FLD, PRENC")


def _reasons(resource: Node) -> Iterator[Row]:
    """What the encounter is for: a Condition, or a code of a diagnosis. Words and other codes are none."""
    reasons: list[tuple[str | None, str | None, str | None]] = [
        (found, None, None)
        for reference in nodes(resource.get("reasonReference"))
        if (found := address(reference, "Condition"))
    ]
    for concept in nodes(resource.get("reasonCode")):
        code, system = in_systems(concept, "diagnosis_systems")
        if system in codes()["diagnosis_systems"].values():
            reasons.append((None, code, system))
    for place, reason in enumerate(reasons, start=1):
        yield "encounter_reason", (str(place), *reason)


def _admission_type(resource: Node) -> str:
    """Urgency by priority; else what else tells: birth, or the emergency department on the way in."""
    source = node(resource, "hospitalization").get("admitSource")
    if has_code(source, "born"):
        return "newborn"
    if resource.get("priority"):
        return translated(resource["priority"], "admission_type") or "unknown"
    classes = [at(entry, "class", "code") for entry in nodes(resource.get("classHistory"))]
    return "emergency" if has_code(source, "emd") or "EMER" in classes else "unknown"


def _becomes(resource: Node) -> str:
    found = translated({"coding": [resource.get("class")]}, "class")
    return found if found and found in codes()["class"]["values"].values() else ""


def organization(resource: Node, _terms: Terms, _fault: str) -> Iterator[Row]:
    """A hospital, one of its departments, or a payer."""
    is_department = has_code(resource.get("type"), "dept")
    yield (
        "organization",
        (
            at(resource, "id"),
            at(resource, "name"),
            "true" if is_department else None,
            address(resource.get("partOf"), "Organization"),
        ),
    )


def appointment(resource: Node, _terms: Terms, _fault: str) -> Iterator[Row]:
    """When an encounter was booked, and for when."""
    yield "appointment", (at(resource, "id"), at(resource, "created"), at(resource, "start"))
