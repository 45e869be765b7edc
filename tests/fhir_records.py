"""FHIR resources of a patient as an EHR would prefetch them, for the tests of what is served."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Resource = dict[str, Any]

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ICD = "http://hl7.org/fhir/sid/icd-10"

PATIENT: Resource = {"resourceType": "Patient", "id": "P7", "gender": "female", "birthDate": "1951-03-02"}


def encounter(
    identity: str,
    start: str,
    end: str | None = None,
    *,
    patient: str = "P7",
    status: str | None = None,
    kind: str = "IMP",
) -> Resource:
    """A stay (or, by its class, a visit) that has ended if it has an end."""
    period = {"start": start} if end is None else {"start": start, "end": end}
    return {
        "resourceType": "Encounter",
        "id": identity,
        "status": status or ("in-progress" if end is None else "finished"),
        "class": {"system": ACT, "code": kind},
        "subject": {"reference": f"Patient/{patient}"},
        "serviceProvider": {"reference": "Organization/H1"},
        "period": period,
    }


def condition(identity: str, stay: str, code: str, *, patient: str = "P7") -> Resource:
    """A diagnosis of a stay."""
    category = "http://terminology.hl7.org/CodeSystem/condition-category"
    return {
        "resourceType": "Condition",
        "id": identity,
        "subject": {"reference": f"Patient/{patient}"},
        "encounter": {"reference": f"Encounter/{stay}"},
        "category": [{"coding": [{"system": category, "code": "encounter-diagnosis"}]}],
        "code": {"coding": [{"system": ICD, "code": code}]},
    }


def benefit(currency: str | None) -> Resource:
    """What the patient P7's stay S3 of 2025 cost."""
    amount = {"value": 18200.0} | ({} if currency is None else {"currency": currency})
    types = "http://terminology.hl7.org/CodeSystem/"
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": "E1",
        "status": "active",
        "type": {"coding": [{"system": f"{types}claim-type", "code": "institutional"}]},
        "use": "claim",
        "patient": {"reference": "Patient/P7"},
        "created": "2025-11-10",
        "insurer": {"reference": "Organization/I1"},
        "provider": {"reference": "Organization/H1"},
        "outcome": "complete",
        "insurance": [{"focal": True, "coverage": {"reference": "Coverage/C1"}}],
        "billablePeriod": {"start": "2025-11-02", "end": "2025-11-09"},
        "item": [
            {
                "sequence": 1,
                "productOrService": {"text": "bed"},
                "encounter": [{"reference": "Encounter/S3"}],
                "servicedDate": "2025-11-03",
                "net": amount,
            }
        ],
        "total": [
            {
                "category": {"coding": [{"system": f"{types}adjudication", "code": "submitted"}]},
                "amount": amount,
            }
        ],
    }


def searchset(resources: Iterable[Resource]) -> Resource:
    """What a search finds."""
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def prefetch(*encounters: Resource, **others: Any) -> dict[str, Any]:
    """The two keys that must be there, and others."""
    return {"patient": PATIENT, "encounters": searchset(encounters), **others}
