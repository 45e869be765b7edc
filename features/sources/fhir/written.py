"""Which canonical tables the flat ones give, each as a query over the views of `joined`."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import duckdb

from features.sources.fhir import money, staged_tables
from features.sources.fhir.flat import FLAT_TABLES
from features.sources.fhir.take import Reading

_OF_COSTS = {"claim", "claim_encounter", "charge_item"}
_OF_PAYERS = {"coverage", "organization"}


def canonical_tables(
    data: duckdb.DuckDBPyConnection,
    reading: Reading,
    time_zone: str,
    hospital: str | None,
    touched: Collection[str] = FLAT_TABLES.keys(),
) -> Iterator[tuple[str, str]]:
    """Name and SQL of every canonical table that the resources hold, once they are joined.

    `touched` is as in `join_flat`.
    """
    of_money: list[tuple[str, str]] = []
    if not _OF_PAYERS.isdisjoint(touched):
        of_money.append(("payers", money.PAYERS))
    if not _OF_COSTS.isdisjoint(touched):
        of_money += [("claim_owners", money.CLAIM_OWNERS), ("costs", money.COSTS)]
    for name, sql in of_money:
        data.execute(f"CREATE OR REPLACE TABLE {name} AS {sql}")
    yield "patients", staged_tables.patients(time_zone)
    yield "stays", staged_tables.stays(hospital)
    if reading.has("Condition") or any_row(data, "claim_diagnosis"):
        data.execute(f"CREATE OR REPLACE TABLE found_diagnoses AS {staged_tables.DIAGNOSES}")
        yield "diagnoses", "SELECT * FROM found_diagnoses"
    if reading.has("Procedure") or any_row(data, "claim_procedure"):
        yield "procedures", staged_tables.PROCEDURES
    if reading.has("ChargeItem") or any_row(data, "claim_item"):
        yield "charges", money.charges(time_zone)
    if reading.has("Observation"):
        yield "observations", staged_tables.OBSERVATIONS
    if reading.has("MedicationAdministration", "MedicationRequest", "MedicationStatement"):
        yield "medications", staged_tables.MEDICATIONS
    if any_row(data, "encounter", "becomes NOT IN ('stay', '', 'none')"):
        yield "visits", staged_tables.VISITS
    if any_row(data, "encounter", "is_readmission IS NOT NULL"):
        yield "facts", staged_tables.FACTS


def any_row(data: duckdb.DuckDBPyConnection, view: str, condition: str = "true") -> bool:
    """Whether a view has a row of which the condition holds."""
    return bool(data.execute(f"SELECT EXISTS (FROM {view} WHERE {condition})").fetchall()[0][0])
