"""One SQL query per canonical table, over the views of the extract's own tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.sources.omop.concepts import (
    ADMITTED_FROM,
    AT_ADMISSION,
    DIAGNOSIS_SYSTEMS,
    DISCHARGED_TO,
    EMERGENCY_AND_INPATIENT,
    EMERGENCY_ROOMS,
    LEFT_OUT,
    NEITHER,
    NOT_TOLD,
    PLACES,
    PRIMARY,
    PROCEDURE_SYSTEMS,
    SEX,
    STAY,
    STILL_PATIENT,
)
from features.sources.reading import Reader, mapped
from features.sql import literal
from features.tables import TableError

AMOUNTS = {"billed": "total_charge", "cost": "total_cost", "paid": "total_paid"}
_NO_UNIT = "unknown"
"""The unit of a value that has none: no feature uses it."""


def sort_visits(source: Reader) -> Sequence[str]:
    """The table `placed`: what each visit is, by its concept or else by the nearest of its ancestors."""
    known = ", ".join(f"({literal(concept)}, {literal(place)})" for concept, place in PLACES.items())
    source.data.execute(f"""
        CREATE TABLE placed AS
        WITH known(concept_id, place) AS (VALUES {known}), inherited AS (
            SELECT descendant_concept_id AS concept_id,
                arg_min(place, (TRY_CAST(min_levels_of_separation AS INTEGER), known.concept_id)) AS place
            FROM concept_ancestor JOIN known ON ancestor_concept_id = known.concept_id
            WHERE descendant_concept_id NOT IN (SELECT concept_id FROM known) GROUP BY 1
        ), places AS (SELECT * FROM known UNION ALL SELECT * FROM inherited)
        SELECT visit_occurrence_id, visit_concept_id, coalesce(place, visit_concept_id) AS place
        FROM visit_occurrence LEFT JOIN places ON visit_concept_id = concept_id""")
    n_rows = _count(source, f"SELECT count(*) FROM placed WHERE place = '{LEFT_OUT}'")
    places = "nursing homes, pharmacies, laboratories, ambulances"
    return [f"visit_occurrence: {n_rows} rows are left out: in {places}."] if n_rows else []


def write_patients(source: Reader) -> Sequence[str]:
    """One row per person; a birth date only where the day is known, for else the stays carry the age."""
    source.write(
        "patients",
        f"""
        SELECT person_id AS patient_id, {_birth_date()} AS birth_date,
            {mapped("gender_concept_id", SEX)} AS sex, died AS death_date
        FROM person LEFT JOIN (
            SELECT person_id, min(left(death_date, 10)) AS died FROM death GROUP BY person_id
        ) USING (person_id)
        ORDER BY person._row""",
    )
    return []


def _birth_date() -> str:
    day = "year_of_birth || '-' || lpad(month_of_birth, 2, '0') || '-' || lpad(day_of_birth, 2, '0')"
    return f"coalesce(left(birth_datetime, 10), {day})"


def write_stays(source: Reader, cost_basis: str) -> Sequence[str]:
    """One stay per inpatient visit, with the costs of the visit and the payer of its first day."""
    _sum_costs(source, cost_basis)
    emergency = ", ".join(f"'{concept}'" for concept in EMERGENCY_ROOMS)
    is_still_in = f"coalesce(discharged_to_concept_id = '{STILL_PATIENT}', false)"
    source.write(
        "stays",
        f"""
        WITH insured AS (
            SELECT visit_occurrence_id,
                arg_max(payer_source_value, (payer_plan_period_start_date, b._row)) AS payer
            FROM visit_occurrence v JOIN payer_plan_period b ON b.person_id = v.person_id
                AND v.visit_start_date BETWEEN payer_plan_period_start_date AND payer_plan_period_end_date
            GROUP BY visit_occurrence_id
        )
        SELECT v.visit_occurrence_id AS stay_id, v.person_id AS patient_id,
            coalesce(care_site_source_value, v.care_site_id, 'unknown') AS hospital_id,
            CASE WHEN {is_still_in} THEN 'in' ELSE 'discharged' END AS status,
            coalesce(visit_start_datetime, visit_start_date) AS admitted_at,
            CASE WHEN NOT {is_still_in} THEN coalesce(visit_end_datetime, visit_end_date) END
                AS discharged_at,
            CASE WHEN visit_concept_id = '{EMERGENCY_AND_INPATIENT}'
                      OR admitted_from_concept_id IN ({emergency}) THEN 'emergency'
                 ELSE 'unknown' END AS admission_type,
            {_known("admitted_from_concept_id", ADMITTED_FROM)} AS admission_source,
            {_known("discharged_to_concept_id", DISCHARGED_TO)} AS discharge_disposition,
            payer, drg AS payment_group, amount AS total_cost, by_patient AS patient_paid,
            CASE WHEN {_birth_date()} IS NULL
                 THEN TRY_CAST(left(visit_start_date, 4) AS INTEGER) - TRY_CAST(year_of_birth AS INTEGER)
                 END AS age_years
        FROM visit_occurrence v
        SEMI JOIN stays_alone a ON a.visit_occurrence_id = v.visit_occurrence_id
        LEFT JOIN person p ON p.person_id = v.person_id
        LEFT JOIN care_site s ON s.care_site_id = v.care_site_id
        LEFT JOIN insured i ON i.visit_occurrence_id = v.visit_occurrence_id
        LEFT JOIN visit_costs c ON c.cost_event_id = v.visit_occurrence_id
        ORDER BY v._row""",
    )
    return [
        *_unmapped(source, "admitted_from_concept_id", ADMITTED_FROM, "where their patients came from"),
        *_unmapped(source, "discharged_to_concept_id", DISCHARGED_TO, "how they ended"),
        *_other_costs(source),
    ]


def _known(column: str, meanings: Mapping[str, str]) -> str:
    """SQL of a concept's meaning; null for one that is not in the list, which a note tells."""
    cases = " ".join(f"WHEN '{concept}' THEN '{meaning}'" for concept, meaning in meanings.items())
    return f"CASE {column} {cases} END"


def _unmapped(source: Reader, column: str, meanings: Mapping[str, str], what: str) -> list[str]:
    told = ", ".join(f"'{concept}'" for concept in (*meanings, *NOT_TOLD, STILL_PATIENT))
    found = source.data.execute(
        f"SELECT count(*), list_sort(list(DISTINCT {column}))[:5] FROM visit_occurrence "
        f"SEMI JOIN stays_alone USING (visit_occurrence_id) WHERE {column} NOT IN ({told})"
    ).fetchall()
    n_rows, concepts = found[0]
    if not n_rows:
        return []
    named = [concept for concept in concepts if concept.isdecimal()]
    return [
        f"visit_occurrence: {n_rows} stays have a concept in {column} without a meaning here "
        f"({', '.join(named)}): {what} is unknown."
    ]


def _sum_costs(source: Reader, cost_basis: str) -> None:
    """The table `visit_costs`; several rows of a visit add up. Raises TableError for two currencies."""
    n_currencies = _count(
        source,
        "SELECT count(DISTINCT currency_concept_id) FROM cost "
        "WHERE lower(cost_domain_id) = 'visit' AND currency_concept_id <> '0'",
    )
    if n_currencies > 1:
        raise TableError(
            f"cost: {n_currencies} currencies in currency_concept_id. Convert the amounts to one."
        )
    source.data.execute(f"""
        CREATE TABLE visit_costs AS
        SELECT cost_event_id, {_total(AMOUNTS[cost_basis])} AS amount,
            {_total("paid_by_patient")} AS by_patient, min(drg_source_value) AS drg
        FROM cost WHERE lower(cost_domain_id) = 'visit' GROUP BY cost_event_id""")


def _total(column: str) -> str:
    """SQL of a sum; an amount that cannot be read stands as it is, for the check to find."""
    amount = f"TRY_CAST({column} AS DECIMAL(18, 2))"
    return f"coalesce(any_value(CASE WHEN {amount} IS NULL THEN {column} END), sum({amount})::VARCHAR)"


def _other_costs(source: Reader) -> list[str]:
    n_rows = _count(source, "SELECT count(*) FROM cost WHERE lower(cost_domain_id) IS DISTINCT FROM 'visit'")
    return [f"cost: {n_rows} rows are left out: they are not of whole visits."] if n_rows else []


def write_visits(source: Reader) -> Sequence[str]:
    """Every other visit. An extract without one holds stays alone: its visits are unknown, not none."""
    others = f"place NOT IN ('{STAY}', '{LEFT_OUT}')"
    if not _count(source, f"SELECT count(*) FROM placed WHERE {others}"):
        return ["visit_occurrence: holds no visit beside the stays, so that other visits are unknown."]
    source.write(
        "visits",
        f"""
        SELECT v.visit_occurrence_id AS visit_id, person_id AS patient_id,
            coalesce(visit_start_datetime, visit_start_date) AS visited_at, place AS kind, amount AS cost
        FROM visit_occurrence v
        JOIN placed p ON p.visit_occurrence_id = v.visit_occurrence_id AND {others}
        LEFT JOIN visit_costs c ON c.cost_event_id = v.visit_occurrence_id
        ORDER BY v._row""",
    )
    return []


def write_diagnoses(source: Reader) -> Sequence[str]:
    """The conditions of stays: 1 is the one marked primary, or the only one; else it is not known."""
    source.data.execute(f"""
        CREATE TABLE conditions AS
        SELECT o._row, visit_occurrence_id AS stay_id,
            coalesce(concept_code, condition_source_value) AS code,
            {mapped("vocabulary_id", DIAGNOSIS_SYSTEMS)} AS code_system,
            CASE WHEN condition_status_concept_id IN {AT_ADMISSION} THEN 'admitting'
                 WHEN condition_status_concept_id IN {NEITHER} THEN NULL
                 ELSE 'discharge' END AS kind,
            coalesce(condition_status_concept_id IN {PRIMARY}, false) AS is_primary
        FROM condition_occurrence o SEMI JOIN stays_alone USING (visit_occurrence_id)
        LEFT JOIN concept ON concept_id = condition_source_concept_id AND concept_id <> '0'""")
    source.write(
        "diagnoses",
        """
        SELECT stay_id, kind, code, code_system,
            row_number() OVER (PARTITION BY stay_id, kind ORDER BY is_primary DESC, _row)
            + CASE WHEN bool_or(is_primary) OVER w OR count(*) OVER w = 1 THEN 0 ELSE 1 END AS position
        FROM conditions WHERE kind IS NOT NULL
        WINDOW w AS (PARTITION BY stay_id, kind) ORDER BY _row""",
    )
    n_neither = _count(source, "SELECT count(*) FROM conditions WHERE kind IS NULL")
    n_stays, n_without = source.data.execute(
        "SELECT count(*), count(*) FILTER (NOT is_known) FROM (SELECT bool_or(is_primary) OR count(*) = 1 "
        "AS is_known FROM conditions WHERE kind = 'discharge' GROUP BY stay_id)"
    ).fetchall()[0]
    notes = _outside_stays(source, "condition_occurrence")
    if n_neither:
        notes.append(f"condition_occurrence: {n_neither} rows are left out: preliminary or of a referral.")
    if n_without:
        notes.append(
            f"condition_occurrence: {n_without} of {n_stays} stays have several diagnoses and none marked "
            "primary (condition_status_concept_id): their principal diagnosis is unknown, and with it "
            "whether they were planned."
        )
    return notes


def write_procedures(source: Reader) -> Sequence[str]:
    """The procedures of stays, in the order of their days."""
    source.write(
        "procedures",
        f"""
        SELECT visit_occurrence_id AS stay_id,
            row_number() OVER (PARTITION BY visit_occurrence_id ORDER BY procedure_date, o._row) AS position,
            coalesce(concept_code, procedure_source_value) AS code,
            {mapped("vocabulary_id", PROCEDURE_SYSTEMS)} AS code_system,
            coalesce(procedure_datetime, procedure_date) AS performed_at
        FROM procedure_occurrence o SEMI JOIN stays_alone USING (visit_occurrence_id)
        LEFT JOIN concept ON concept_id = procedure_source_concept_id AND concept_id <> '0'
        ORDER BY o._row""",
    )
    return _outside_stays(source, "procedure_occurrence")


def _outside_stays(source: Reader, table: str) -> list[str]:
    n_rows = _count(source, f"SELECT count(*) FROM {table} ANTI JOIN stays_alone USING (visit_occurrence_id)")
    return [f"{table}: {n_rows} rows are left out: they belong to no stay."] if n_rows else []


def write_observations(source: Reader, table: str) -> Sequence[str]:
    """The numeric rows of `measurement` or `observation`: LOINC, else the extract's own name."""
    source.write(
        "observations",
        f"""
        SELECT person_id AS patient_id, a.visit_occurrence_id AS stay_id,
            coalesce({table}_datetime, {table}_date) AS taken_at,
            coalesce(standard.concept_code, own.concept_code, {table}_source_value, {table}_concept_id)
                AS code,
            value_as_number AS value,
            coalesce(units.concept_code, unit_source_value, '{_NO_UNIT}') AS unit
        FROM {table} o
        LEFT JOIN stays_alone a ON a.visit_occurrence_id = o.visit_occurrence_id
        LEFT JOIN concept standard ON standard.concept_id = {table}_concept_id
            AND standard.vocabulary_id = 'LOINC'
        LEFT JOIN concept own ON own.concept_id = {table}_source_concept_id AND own.vocabulary_id = 'LOINC'
        LEFT JOIN concept units ON units.concept_id = unit_concept_id AND units.vocabulary_id = 'UCUM'
        WHERE value_as_number IS NOT NULL""",
    )
    n_texts, n_unitless = source.data.execute(
        "SELECT count(*) FILTER (value_as_number IS NULL), count(*) FILTER (value_as_number IS NOT NULL "
        f"AND unit_source_value IS NULL AND coalesce(unit_concept_id, '0') = '0') FROM {table}"
    ).fetchall()[0]
    notes = []
    if n_texts:
        notes.append(f"{table}: {n_texts} rows are left out: their value is not a number.")
    if n_unitless:
        notes.append(f"{table}: {n_unitless} rows have no unit; no feature of a declared unit uses them.")
    return notes


def write_medications(source: Reader) -> Sequence[str]:
    """Drugs by their group of ATC's fifth level, the nearest and first where there are several."""
    source.write(
        "medications",
        """
        WITH groups AS (
            SELECT concept_id, concept_code AS code, 0 AS level FROM concept WHERE vocabulary_id = 'ATC'
            UNION ALL
            SELECT descendant_concept_id, concept_code, TRY_CAST(min_levels_of_separation AS INTEGER)
            FROM concept_ancestor JOIN concept ON concept_id = ancestor_concept_id
            WHERE vocabulary_id = 'ATC' AND concept_class_id = 'ATC 5th'
        ), nearest AS (
            SELECT concept_id, arg_min(code, (level, code)) AS atc
            FROM groups SEMI JOIN drug_exposure ON drug_concept_id = concept_id GROUP BY concept_id
        )
        SELECT person_id AS patient_id, a.visit_occurrence_id AS stay_id,
            coalesce(drug_exposure_start_datetime, drug_exposure_start_date) AS started_at,
            coalesce(drug_exposure_end_datetime, drug_exposure_end_date) AS ended_at,
            coalesce(atc, drug_source_value, drug_concept_id) AS code, route_source_value AS route
        FROM drug_exposure o
        LEFT JOIN stays_alone a ON a.visit_occurrence_id = o.visit_occurrence_id
        LEFT JOIN nearest ON concept_id = drug_concept_id""",
    )
    return []


def _count(source: Reader, sql: str) -> int:
    return int(source.data.execute(sql).fetchall()[0][0])
