"""The canonical tables as queries over the views of `joined`."""

from __future__ import annotations

from features.sources.fhir.elements import codes
from features.sources.fhir.joined import BELONGS, MOST_PARTS, NO_VISIT, local_day, marked, stay_of
from features.sql import literal

_ADMITTED = "coalesce(t.started_at, '')"


def patients(time_zone: str) -> str:
    """A year or month of birth or death is no date: it is left empty (age and notes tell of it)."""
    full = "length({0}) NOT IN (4, 7)"
    birth = f"CASE WHEN {full.format('t.birth')} THEN t.birth END"
    death = f"CASE WHEN {full.format('t.died_at')} THEN {local_day('t.died_at', time_zone)} END"
    birth_date = marked("birth_date", birth)
    return f"SELECT t.id AS patient_id, {birth_date}, t.sex, {death} AS death_date FROM patient t"


def stays(hospital: str | None) -> str:
    """Every encounter that is a stay by itself, with the departments of its parts and its claims."""
    return f"""
    WITH RECURSIVE {_ORGANIZATIONS}, parts AS (
        SELECT w.whole AS id, arg_min(p.service, p.started_at) AS first_service,
            arg_max(p.service, p.started_at) AS last_service
        FROM whole w JOIN encounter p ON p.id = w.id
        WHERE p.service IS NOT NULL AND p.status IN ('in', 'discharged') GROUP BY w.whole
    )
    SELECT t.id AS stay_id, t.patient AS patient_id,
        coalesce(o.hospital, t.provider, {literal(hospital) if hospital else "NULL"}) AS hospital_id,
        t.status,
        coalesce(a.created, t.booked_at) AS booked_at,
        coalesce(a.start, CASE WHEN t.status IN ('booked', 'cancelled') THEN t.started_at END)
            AS planned_admission_at,
        {marked("admitted_at", "CASE WHEN t.status NOT IN ('booked', 'cancelled') THEN t.started_at END")},
        CASE WHEN t.status NOT IN ('booked', 'cancelled', 'in') THEN t.ended_at END AS discharged_at,
        t.admission_type, t.source AS admission_source,
        coalesce(parts.first_service, t.service, o.department) AS admission_department,
        coalesce(parts.last_service, t.service, o.department) AS discharge_department,
        coalesce(c.payer, account_payer.payer) AS payer, t.disposition AS discharge_disposition,
        c.payment_group, c.total AS total_cost, c.patient_paid, {_AGE} AS age_years
    FROM encounter t
    LEFT JOIN whole w ON t.id = w.id
    LEFT JOIN parts ON t.id = parts.id
    LEFT JOIN organizations o ON t.provider = o.id
    LEFT JOIN (
        SELECT id, any_value(created) AS created, any_value(start) AS start FROM appointment GROUP BY id
    ) a ON t.appointment = a.id
    LEFT JOIN costs c ON t.id = c.owner_id
    LEFT JOIN (
        SELECT a.id, any_value(p.payer) AS payer
        FROM account a JOIN payers p ON a.coverage = p.id GROUP BY a.id
    ) account_payer ON t.account = account_payer.id
    LEFT JOIN (SELECT id, any_value(birth) AS birth FROM patient GROUP BY id) p ON t.patient = p.id
    WHERE t.becomes IN ('stay', '') AND w.id IS NULL
    """


# With the year of birth alone the birthday is taken to be at midyear, with the month alone at its start:
# the age in whole years is right to one.
_AGE = f"""CASE
    WHEN regexp_full_match(p.birth, '[0-9]{{4}}')
        AND regexp_matches({_ADMITTED}, '^[0-9]{{4}}-[0-9]{{2}}') THEN
        greatest(0, left({_ADMITTED}, 4)::INT - p.birth::INT - (substr({_ADMITTED}, 6, 2)::INT < 7)::INT)
    WHEN regexp_full_match(p.birth, '[0-9]{{4}}-[0-9]{{2}}')
        AND regexp_matches({_ADMITTED}, '^[0-9]{{4}}-[0-9]{{2}}') THEN
        greatest(0, left({_ADMITTED}, 4)::INT - left(p.birth, 4)::INT
            - (substr({_ADMITTED}, 6, 2)::INT < right(p.birth, 2)::INT)::INT)
    END"""

# The hospital of a department is what the department is part of.
_ORGANIZATIONS = f"""up(id, department, hospital, part_of, is_department, depth) AS (
        SELECT id, CASE WHEN is_department IS NOT NULL THEN name END, id, part_of, is_department, 1
        FROM organization
        UNION ALL
        SELECT up.id, up.department, o.id, o.part_of, o.is_department, up.depth + 1
        FROM up JOIN organization o ON up.part_of = o.id
        WHERE up.is_department IS NOT NULL AND up.depth < {MOST_PARTS}
    ), organizations AS (
        SELECT id, any_value(department) AS department, arg_max(hospital, depth) AS hospital
        FROM up GROUP BY id
    )"""

_CLAIMED_DIAGNOSES = """
    SELECT o.owner_id AS stay_id, CASE d.role WHEN 'admitting' THEN 'admitting' ELSE 'discharge' END AS kind,
        coalesce(d.code, c.code) AS code, coalesce(d.system, c.system) AS system, d.presence, t.known_at,
        d.role = 'principal' AS is_principal, NULL AS rank, 2000000 + TRY_CAST(d.sequence AS BIGINT) AS place,
        2 AS source, t.fault
    FROM claim_diagnosis d JOIN claim t ON d.n = t.n JOIN claim_owners o ON d.n = o.n AND o.is_stay
    LEFT JOIN condition c ON d.condition = c.id
    """

# What a stay is for, where nothing calls a diagnosis its admitting one. A part of a stay has reasons of its
# own, such as a transfer; a reason that no Condition is found for, or that is no diagnosis, is none.
_SYSTEMS = ", ".join(sorted(literal(system) for system in set(codes()["diagnosis_systems"].values())))
_REASONS = f"""
    SELECT e.id AS stay_id, 'admitting' AS kind, coalesce(r.code, c.code) AS code,
        coalesce(r.system, c.system) AS system, c.presence, c.known_at, NULL AS is_principal, NULL AS rank,
        3000000 + TRY_CAST(r.place AS BIGINT) AS place, 1 AS source, coalesce(c.fault, '') AS fault
    FROM encounter_reason r JOIN encounter e ON r.n = e.n JOIN belongs b ON e.id = b.id AND b.is_stay
    LEFT JOIN condition c ON r.condition = c.id
    WHERE b.owner_id = e.id AND coalesce(r.system, c.system) IN ({_SYSTEMS})
    """

_KIND = "CASE WHEN e.status = 'booked' THEN 'admitting' ELSE 'discharge' END"

DIAGNOSES = f"""
    WITH named AS (
        SELECT b.owner_id AS stay_id, coalesce(d.kind, {_KIND}) AS kind, d.condition, d.rank, d.place
        FROM encounter_diagnosis d JOIN encounter e ON d.n = e.n JOIN belongs b ON e.id = b.id AND b.is_stay
        LEFT JOIN procedure p ON d.condition = p.id LEFT JOIN condition c ON d.condition = c.id
        WHERE NOT (d.condition LIKE 'Procedure/%' OR c.id IS NULL AND p.id IS NOT NULL)
    ), found AS (
        SELECT d.stay_id, d.kind, c.code, c.system, c.presence, c.known_at, NULL::BOOLEAN AS is_principal,
            TRY_CAST(d.rank AS BIGINT) AS rank, TRY_CAST(d.place AS BIGINT) AS place, 1 AS source,
            coalesce(c.fault, '') AS fault
        FROM named d LEFT JOIN condition c ON d.condition = c.id
        UNION ALL
        SELECT {stay_of("t.encounter")}, {_KIND}, t.code, t.system, t.presence, t.known_at, NULL, NULL,
            1000000, 1, t.fault
        FROM condition t {BELONGS} LEFT JOIN encounter e ON b.owner_id = e.id
        WHERE (t.is_encounter_diagnosis IS NOT NULL OR t.fault <> '') AND {NO_VISIT}
            AND (t.id IS NULL OR t.id NOT IN (SELECT condition FROM named WHERE condition IS NOT NULL))
        UNION ALL
        {_CLAIMED_DIAGNOSES}
    ), reasoned AS (
        FROM found
        UNION ALL
        {_REASONS} AND e.id NOT IN (
            SELECT stay_id FROM found WHERE kind = 'admitting' AND stay_id IS NOT NULL
        )
    ), numbered AS (
        SELECT *, row_number() OVER () AS own FROM reasoned
    ), once AS (
        SELECT stay_id, kind, min(code) AS code, system,
            coalesce(min(presence) FILTER (source = 1), min(presence)) AS presence,
            CASE WHEN min(source) = 1 THEN min(known_at) FILTER (source = 1) ELSE min(known_at) END
                AS known_at,
            coalesce(bool_or(is_principal), false) AS is_claimed, min(rank) AS rank, min(place) AS place,
            fault
        FROM numbered
        GROUP BY stay_id, kind, upper(replace(code, '.', '')), system, fault,
            CASE WHEN stay_id IS NULL OR code IS NULL OR fault <> '' THEN own END
    ), ordered AS (
        SELECT *, row_number() OVER placed AS number, bool_or(is_claimed OR rank = 1) OVER same
            OR count(*) OVER same = 1 AND rank IS NULL AS has_principal
        FROM once
        WINDOW same AS (PARTITION BY stay_id, kind),
            placed AS (PARTITION BY stay_id, kind ORDER BY rank NULLS LAST, is_claimed DESC, place, code)
    )
    SELECT t.stay_id, t.kind,
        {marked("position", "(number + CASE WHEN has_principal THEN 0 ELSE 1 END)::VARCHAR")},
        t.code, t.system AS code_system, t.presence AS present_on_admission, t.known_at
    FROM ordered t
    """

PROCEDURES = f"""
    WITH own AS (
        SELECT t.id, {stay_of("t.encounter")} AS stay_id, t.code, t.system, t.performed_at, t.is_planned,
            t.fault, t.n
        FROM procedure t {BELONGS} WHERE {NO_VISIT}
    ), claimed AS (
        SELECT o.owner_id AS stay_id, p.procedure, p.code, p.system, p.performed_at, p.n,
            TRY_CAST(p.sequence AS BIGINT) AS sequence
        FROM claim_procedure p JOIN claim_owners o ON p.n = o.n AND o.is_stay
    ), every AS (
        SELECT own.stay_id, own.code, own.system, own.performed_at, own.is_planned, own.fault, own.n,
            min(claimed.sequence) AS sequence
        FROM own LEFT JOIN claimed ON own.stay_id = claimed.stay_id
            AND (own.id = claimed.procedure OR own.code = claimed.code AND own.system = claimed.system)
        GROUP BY ALL
        UNION ALL
        SELECT stay_id, code, system, performed_at, NULL, '', min(n), min(sequence) FROM claimed
        WHERE code IS NOT NULL AND (stay_id, code) NOT IN
            (SELECT (stay_id, code) FROM own WHERE stay_id IS NOT NULL AND code IS NOT NULL)
        GROUP BY ALL
    )
    SELECT t.stay_id,
        (row_number() OVER (
            PARTITION BY t.stay_id ORDER BY sequence NULLS LAST, performed_at NULLS LAST, code, n
        ))::VARCHAR AS position,
        t.code, t.system AS code_system, {marked("performed_at", "t.performed_at")}, t.is_planned
    FROM every t
    """

_EVENT = f"t.patient AS patient_id, {stay_of('t.encounter')} AS stay_id"

OBSERVATIONS = f"""
    SELECT {_EVENT}, {marked("taken_at", "t.taken_at")}, t.code, t.value, t.unit, t.known_at
    FROM observation t {BELONGS}
    """

MEDICATIONS = f"""
    SELECT {_EVENT}, {marked("started_at", "t.started_at")}, t.ended_at, coalesce(t.code, m.code) AS code,
        t.route, t.known_at
    FROM medication_use t {BELONGS}
    LEFT JOIN (SELECT id, any_value(code) AS code FROM medication GROUP BY id) m ON t.medication = m.id
    """

VISITS = f"""
    SELECT t.id AS visit_id, t.patient AS patient_id, {marked("visited_at", "t.started_at")},
        t.becomes AS kind, t.service AS department, c.total AS cost
    FROM encounter t LEFT JOIN whole w ON t.id = w.id LEFT JOIN costs c ON t.id = c.owner_id
    WHERE t.becomes NOT IN ('stay', '', 'none') AND w.id IS NULL
    """

FACTS = """
    SELECT t.id AS stay_id, 'is_recorded_as_readmission' AS name, 'true' AS value,
        'admission' AS available_from
    FROM encounter t LEFT JOIN whole w ON t.id = w.id
    WHERE t.is_readmission IS NOT NULL AND t.becomes = 'stay' AND w.id IS NULL AND t.fault = ''
    """


COUNTS: dict[str, str] = {
    "Encounter: {} read as parts of the stay that partOf names.": "SELECT count(*) FROM whole",
    "Condition: {} left out (neither a diagnosis of an encounter by category nor named by one).": (
        "SELECT count(*) FROM condition WHERE is_encounter_diagnosis IS NULL AND fault = '' "
        "AND (id IS NULL OR id NOT IN (SELECT condition FROM encounter_diagnosis WHERE condition IS NOT NULL "
        "UNION ALL SELECT condition FROM claim_diagnosis WHERE condition IS NOT NULL "
        "UNION ALL SELECT condition FROM encounter_reason WHERE condition IS NOT NULL))"
    ),
    "Condition: {} left out (diagnoses of visits: the table holds those of stays).": (
        f"SELECT count(*) FROM condition t {BELONGS} WHERE t.is_encounter_diagnosis IS NOT NULL "
        f"AND NOT {NO_VISIT}"
    ),
    "Procedure: {} left out (of visits: the table holds those of stays).": (
        f"SELECT count(*) FROM procedure t {BELONGS} WHERE NOT {NO_VISIT}"
    ),
    "Claim and ExplanationOfBenefit: {} that do not name one single encounter; their totals are nobody's.": (
        "SELECT count(*) FROM claim WHERE n NOT IN (SELECT n FROM claim_owners)"
    ),
    "Patient: {} dead by the record without a full date; death_date is empty, which reads as alive. "
    'Add deceasedDateTime, or declare deaths = "in_hospital".': (
        "SELECT count(*) FROM patient WHERE is_dead IS NOT NULL "
        "AND (died_at IS NULL OR length(died_at) IN (4, 7))"
    ),
    "Patient: {} with a year or month of birth alone; birth_date is empty, age_years is right to one "
    "year.": "SELECT count(*) FROM patient WHERE length(birth) IN (4, 7)",
}
"""Note with a place for a number → the query of that number; a note of none is not made."""

DIAGNOSIS_COUNTS: dict[str, str] = {
    "Encounter: {} stays with diagnoses none of which is the principal one: whether such a return was "
    "planned cannot be told. Add Encounter.diagnosis.rank.": (
        "SELECT count(*) FROM (SELECT stay_id FROM found_diagnoses WHERE kind = 'discharge' "
        "AND stay_id IS NOT NULL GROUP BY stay_id HAVING bool_and(position <> '1'))"
    ),
}
"""As `COUNTS`, of the diagnoses once they are put in order."""
