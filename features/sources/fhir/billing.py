"""What was billed and who pays: rows of the flat tables for each resource.

Each function takes the resource, the terms of money, and the path of what is not valid in it, if anything.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    money,
    node,
    nodes,
    presence,
    translated,
)
from features.sources.fhir.flat import LeftOut, Row, Terms


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
