"""From a resource to rows of flat tables that hold its elements as text, before anything is joined.

`n` numbers the resources in the order in which they are read. `fault` says which element is not valid FHIR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from features.sources.fhir.elements import (
    Node,
    address,
    at,
    charge_category,
    coded,
    codes,
    codings,
    has_code,
    in_systems,
    known,
    moment,
    money,
    node,
    nodes,
    presence,
    said,
    translated,
)

Row = tuple[str, tuple[str | None, ...]]
"""The flat table and the values of its columns after `n`."""


@dataclass(frozen=True)
class Terms:
    """What the data set's money is: on which cost basis, in which currency."""

    cost_basis: str
    currency: str


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

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ATC = ("http://www.whocc.no/atc", "urn:oid:2.16.840.1.113883.6.73")

_STATUS = {
    "planned": "booked",
    "arrived": "in",
    "triaged": "in",
    "in-progress": "in",
    "onleave": "in",
    "finished": "discharged",
}
_NOT_GIVEN = ("not-done", "not-taken", "cancelled", "draft", "intended")
_NOT_ORDERED = ("proposal", "plan", "option")


class LeftOut(Exception):  # noqa: N818 - a verdict, no failure
    """The resource has no place in the tables; the words say why, for the notes."""


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
    # Their rows are kept all the same: what belongs to them belongs to no stay.
    if is_no_visit:
        raise LeftOut("visits that are planned or cancelled")
    if becomes == "none":
        raise LeftOut("neither stays nor visits by their class: FLD, PRENC")


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


def claim(resource: Node, terms: Terms, fault: str) -> Iterator[Row]:
    """A Claim: what was asked for, in the currency of the data set."""
    yield from _claim(resource, terms, fault, "claim", {"submitted": resource.get("total")})


def explanation_of_benefit(resource: Node, terms: Terms, fault: str) -> Iterator[Row]:
    """An ExplanationOfBenefit: its totals by category, and what was paid."""
    totals: dict[str, object] = {}
    for total in nodes(resource.get("total")):
        for _, code in codings(total.get("category")):
            totals.setdefault(code, total.get("amount"))
    totals["paid"] = node(resource, "payment").get("amount")
    yield from _claim(resource, terms, fault, "eob", totals)


def _claim(resource: Node, terms: Terms, fault: str, kind: str, totals: dict[str, object]) -> Iterator[Row]:
    if at(resource, "status") in ("cancelled", "draft"):
        raise LeftOut("cancelled or drafts")
    if at(resource, "use") in ("preauthorization", "predetermination"):
        raise LeftOut("about care that was not yet given")
    if has_code(resource.get("type"), "pharmacy", "vision", "oral"):
        raise LeftOut("of a pharmacy, for glasses or for teeth")
    wanted = codes()["totals"]
    amounts = [money(totals.get(name), terms.currency) for name in wanted.get(terms.cost_basis, [])]
    of_patient = [money(totals.get(name), terms.currency) for name in wanted["patient"]]
    insurance = [entry for entry in nodes(resource.get("insurance")) if entry.get("coverage")]
    first = next((entry for entry in insurance if entry.get("focal") is True), next(iter(insurance), None))
    yield (
        "claim",
        (
            at(resource, "id"),
            kind,
            address(resource.get("claim"), "Claim"),
            next(filter(None, amounts), None),
            next(filter(None, of_patient), None),
            _payment_group(resource),
            address(node(first).get("coverage"), "Coverage"),
            at(resource, "insurer", "display") or address(resource.get("insurer"), "Organization"),
            known(at(resource, "created")),
            fault,
        ),
    )
    yield from _claim_codes(resource)
    encounters = set()
    for item in nodes(resource.get("item")):
        named = [found for entry in nodes(item.get("encounter")) if (found := address(entry, "Encounter"))]
        encounters |= set(named)
        yield "claim_item", _item(item, terms, named[0] if len(named) == 1 else None)
    for found in sorted(encounters):
        yield "claim_encounter", (found,)


def _item(item: Node, terms: Terms, of_encounter: str | None) -> tuple[str | None, ...]:
    adjudicated: dict[str, object] = {}
    for entry in nodes(item.get("adjudication")):
        for _, code in codings(entry.get("category")):
            adjudicated.setdefault(code, entry.get("amount"))
    amounts = [adjudicated.get(name) for name in codes()["totals"].get(terms.cost_basis, [])]
    if terms.cost_basis == "billed":
        amounts.append(item.get("net"))
    return (
        of_encounter,
        at(item, "servicedDate") or at(item, "servicedPeriod", "start"),
        charge_category(item.get("revenue"), item.get("productOrService"), item.get("category")),
        next(filter(None, (money(amount, terms.currency) for amount in amounts)), None),
        coded(item.get("productOrService")),
    )


def _claim_codes(resource: Node) -> Iterator[Row]:
    for diagnosis in nodes(resource.get("diagnosis")):
        concept = diagnosis.get("diagnosisCodeableConcept")
        roles = [translated(kind, "claim_diagnosis") for kind in nodes(diagnosis.get("type"))]
        yield (
            "claim_diagnosis",
            (
                at(diagnosis, "sequence"),
                address(diagnosis.get("diagnosisReference"), "Condition"),
                next((role for role in ("principal", "admitting") if role in roles), None),
                *(in_systems(concept, "diagnosis_systems") if concept else (None, None)),
                presence(diagnosis),
            ),
        )
    for performed in nodes(resource.get("procedure")):
        concept = performed.get("procedureCodeableConcept")
        yield (
            "claim_procedure",
            (
                at(performed, "sequence"),
                address(performed.get("procedureReference"), "Procedure"),
                *(in_systems(concept, "procedure_systems") if concept else (None, None)),
                at(performed, "date"),
            ),
        )


def _payment_group(resource: Node) -> str | None:
    for information in nodes(resource.get("supportingInfo")):
        if has_code(information.get("category"), "drg", "ms-drg", "msdrg"):
            return coded(information.get("code"))
    packages = (diagnosis.get("packageCode") for diagnosis in nodes(resource.get("diagnosis")))
    return next((found for package in packages if (found := coded(package))), None)


def charge_item(resource: Node, terms: Terms, fault: str) -> Iterator[Row]:
    """A single charge. Its price is the one that overrides the price list, which is not in the resource."""
    if at(resource, "status") in ("not-billable", "aborted", "planned"):
        raise LeftOut("not billable, aborted or planned")
    amount = money(resource.get("priceOverride"), terms.currency)
    if (amount is None or terms.cost_basis != "billed") and not fault:
        raise LeftOut("without a billed price of their own, where the cost basis is billed")
    yield (
        "charge_item",
        (
            address(resource.get("context"), "Encounter"),
            at(resource, "occurrenceDateTime") or at(resource, "occurrencePeriod", "start"),
            charge_category(resource.get("code")),
            amount,
            coded(resource.get("code")),
            known(at(resource, "enteredDate")),
            fault,
        ),
    )


def account(resource: Node, _terms: Terms, _fault: str) -> Iterator[Row]:
    """Where the payer of an encounter may be found."""
    first: Node = next(nodes(resource.get("coverage")), {})
    yield "account", (at(resource, "id"), address(first.get("coverage"), "Coverage"))


def coverage(resource: Node, _terms: Terms, _fault: str) -> Iterator[Row]:
    """Who pays: in words, or as the organization that is named."""
    payor: Node = next(nodes(resource.get("payor")), {})
    found = address(payor, "Organization")
    is_self = bool(found and found.startswith(("Patient/", "RelatedPerson/")))
    yield "coverage", (at(resource, "id"), "self" if is_self else at(payor, "display"), found)


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


ROWS_OF: dict[str, Callable[[Node, Terms, str], Iterator[Row]]] = {
    "Patient": patient,
    "Encounter": encounter,
    "Condition": condition,
    "Procedure": procedure,
    "Observation": observation,
    "Medication": medication,
    "MedicationAdministration": medication_administration,
    "MedicationRequest": medication_request,
    "MedicationStatement": medication_statement,
    "Claim": claim,
    "ExplanationOfBenefit": explanation_of_benefit,
    "ChargeItem": charge_item,
    "Account": account,
    "Coverage": coverage,
    "Organization": organization,
    "Appointment": appointment,
}
"""Type of resource → its rows. Each takes the resource, the basis and currency of money, and its fault."""
