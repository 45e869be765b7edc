"""Which canonical tables the joined ones give, each as a query over the relations of `joined`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from features.sources.fhir import money, staged_tables
from features.sources.fhir.take import Reading

FOUND: dict[str, str] = {
    "claimed diagnoses": "FROM claim_diagnosis",
    "coded reasons": "FROM encounter_reason WHERE system IS NOT NULL",
    "claimed procedures": "FROM claim_procedure",
    "claimed items": "FROM claim_item",
    "visits": "FROM encounter WHERE becomes NOT IN ('stay', '', 'none')",
    "marked readmissions": "FROM encounter WHERE is_readmission IS NOT NULL",
}
"""What decides, beside the types of resources, which tables there are → the query that finds a row of it."""

_CLAIMS = ("Claim", "ExplanationOfBenefit")
SOURCES: Mapping[str, tuple[str, ...]] = {
    "diagnoses": ("Condition", *_CLAIMS),
    "procedures": ("Procedure", *_CLAIMS),
    "charges": ("ChargeItem", *_CLAIMS),
    "observations": ("Observation",),
    "medications": ("MedicationAdministration", "MedicationRequest", "MedicationStatement"),
    "visits": ("Encounter",),
}
"""Tables that an extract may lack → the types of resources whose rows they hold."""


def written_sql(time_zone: str, hospital: str | None) -> dict[str, str]:
    """SQL of relations by name, each over those before it; those named like canonical tables are these."""
    return {
        "payers": money.PAYERS,
        "claim_owners": money.CLAIM_OWNERS,
        "costs": money.COSTS,
        "found_diagnoses": staged_tables.DIAGNOSES,
        "patients": staged_tables.patients(time_zone),
        "stays": staged_tables.stays(hospital),
        "diagnoses": "SELECT * FROM found_diagnoses",
        "procedures": staged_tables.PROCEDURES,
        "charges": money.charges(time_zone),
        "observations": staged_tables.OBSERVATIONS,
        "medications": staged_tables.MEDICATIONS,
        "visits": staged_tables.VISITS,
        "facts": staged_tables.FACTS,
    }


def held_tables(
    reading: Reading, is_found: Callable[[str], bool], incomplete: Collection[str] = ()
) -> list[str]:
    """The canonical tables that the resources hold; `is_found` tells of each of `FOUND`.

    A type of `incomplete`, of which not all came, makes every table of `SOURCES` that it feeds unknown: a
    part would be read as all there is.
    """
    held = {
        "patients": True,
        "stays": True,
        "diagnoses": reading.has("Condition") or is_found("claimed diagnoses") or is_found("coded reasons"),
        "procedures": reading.has("Procedure") or is_found("claimed procedures"),
        "charges": reading.has("ChargeItem") or is_found("claimed items"),
        "observations": reading.has("Observation"),
        "medications": reading.has(*SOURCES["medications"]),
        "visits": is_found("visits"),
        "facts": is_found("marked readmissions"),
    }
    return [
        name for name, is_held in held.items() if is_held and not {*incomplete} & {*SOURCES.get(name, ())}
    ]
