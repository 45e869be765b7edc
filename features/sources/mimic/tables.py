"""One SQL query per canonical table, over the views of the module's own tables."""

from __future__ import annotations

from collections.abc import Sequence

from features.sources.mimic.values import ADMISSION_TYPES, DISPOSITIONS, OBSERVATION, SOURCES
from features.sources.reading import Reader, mapped

_NO_UNIT = "unknown"
"""The unit of a value that has none: no feature uses it."""


def write_patients(source: Reader) -> Sequence[str]:
    """One row per patient, without a birth date: the stays carry the age."""
    source.write(
        "patients",
        f"""
        SELECT subject_id AS patient_id, {mapped("gender", {"M": "male", "F": "female"})} AS sex,
            left(coalesce(dod, died_at), 10) AS death_date
        FROM patients p LEFT JOIN (
            SELECT subject_id, min(deathtime) AS died_at FROM admissions GROUP BY subject_id
        ) a USING (subject_id)
        ORDER BY p._row""",
    )
    return ()


def write_stays(source: Reader) -> Sequence[str]:
    """One stay per admission, with the age of its year."""
    source.write(
        "stays",
        f"""
        WITH serving AS (
            SELECT hadm_id, arg_min(curr_service, (transfertime, _row)) AS first_service,
                arg_max(curr_service, (transfertime, _row)) AS last_service
            FROM services GROUP BY hadm_id
        ), grouped AS (
            SELECT hadm_id, min(drg_code) AS drg FROM drgcodes
            WHERE upper(drg_type) IN ('HCFA', 'MS') GROUP BY hadm_id
        )
        SELECT hadm_id AS stay_id, a.subject_id AS patient_id, 'mimic' AS hospital_id,
            'discharged' AS status, admittime AS admitted_at, dischtime AS discharged_at,
            {_admission_type()} AS admission_type,
            CASE WHEN admission_location <> 'INFORMATION NOT AVAILABLE'
                THEN {mapped("admission_location", SOURCES)} END AS admission_source,
            first_service AS admission_department, last_service AS discharge_department,
            insurance AS payer,
            CASE WHEN hospital_expire_flag = '1' THEN 'died'
                ELSE {mapped("discharge_location", DISPOSITIONS)} END AS discharge_disposition,
            drg AS payment_group,
            TRY_CAST(anchor_age AS INTEGER) + year(TRY_CAST(admittime AS TIMESTAMP))
                - TRY_CAST(anchor_year AS INTEGER) AS age_years
        FROM admissions a
        LEFT JOIN patients p ON p.subject_id = a.subject_id
        LEFT JOIN serving USING (hadm_id)
        LEFT JOIN grouped USING (hadm_id)
        ORDER BY a._row""",
    )
    return (*_observation_note(source), *_last_year_note(source))


def _admission_type() -> str:
    """Observation after the emergency room is an emergency; of other observation it is unknown."""
    observation = ", ".join(f"'{name}'" for name in OBSERVATION if name not in ADMISSION_TYPES)
    return (
        f"CASE WHEN admission_type IN ({observation}) "
        "THEN CASE WHEN edregtime IS NOT NULL THEN 'emergency' ELSE 'unknown' END "
        f"ELSE {mapped('admission_type', ADMISSION_TYPES)} END"
    )


def _observation_note(source: Reader) -> Sequence[str]:
    n_rows = _count(source, f"SELECT count(*) FROM admissions WHERE admission_type IN {OBSERVATION}")
    if not n_rows:
        return ()
    return (
        f"admissions: {n_rows} rows are for observation; they are stays here, and none in the published "
        "readmission measure.",
    )


def _last_year_note(source: Reader) -> Sequence[str]:
    """A discharge may be of any year that its distance from the anchor allows: the latest counts."""
    found = source.data.execute("""
        WITH real AS (
            SELECT TRY_CAST(regexp_extract(anchor_year_group, '(\\d{4})$', 1) AS INTEGER) AS until,
                year(TRY_CAST(dischtime AS TIMESTAMP)) - TRY_CAST(anchor_year AS INTEGER) AS after
            FROM admissions a JOIN patients p ON p.subject_id = a.subject_id
        )
        SELECT count(*) FILTER (until + after >= last), any_value(last)
        FROM real, (SELECT max(until) AS last FROM real)""").fetchall()
    n_rows, last = found[0]
    if not n_rows:
        return ()
    return (
        f"admissions: {n_rows} rows may be of {last}, the last year of the extract (by anchor_year_group); "
        "their follow-up counts as complete, because shifted dates cannot tell.",
    )


def write_diagnoses(source: Reader) -> Sequence[str]:
    source.write(
        "diagnoses",
        f"""
        SELECT hadm_id AS stay_id, 'discharge' AS kind, seq_num AS position, icd_code AS code,
            {mapped("icd_version", {"9": "icd9cm", "10": "icd10cm"})} AS code_system
        FROM diagnoses_icd""",
    )
    return ()


def write_procedures(source: Reader) -> Sequence[str]:
    source.write(
        "procedures",
        f"""
        SELECT hadm_id AS stay_id, seq_num AS position, icd_code AS code, left(chartdate, 10) AS performed_at,
            {mapped("icd_version", {"9": "icd9cm3", "10": "icd10pcs"})} AS code_system
        FROM procedures_icd""",
    )
    return ()


def write_observations(source: Reader) -> Sequence[str]:
    """Numeric results; one pass over a file that may be the largest of all."""
    source.write(
        "observations",
        f"""
        SELECT subject_id AS patient_id, hadm_id AS stay_id, charttime AS taken_at,
            coalesce(loinc, 'mimic:' || itemid) AS code, valuenum AS value,
            coalesce(valueuom, unit_if_none, '{_NO_UNIT}') AS unit, storetime AS known_at
        FROM labevents LEFT JOIN items USING (itemid) WHERE valuenum IS NOT NULL""",
    )
    n_texts, n_unitless = source.data.execute(
        "SELECT count(*) FILTER (valuenum IS NULL), "
        "count(*) FILTER (valuenum IS NOT NULL AND valueuom IS NULL AND unit_if_none IS NULL) "
        "FROM labevents LEFT JOIN items USING (itemid)"
    ).fetchall()[0]
    notes = []
    if n_texts:
        notes.append(f"labevents: {n_texts} rows are left out: their result is not a number.")
    if n_unitless:
        notes.append(f"labevents: {n_unitless} rows have no unit; no feature of a declared unit uses them.")
    return notes


def write_medications(source: Reader) -> Sequence[str]:
    source.write(
        "medications",
        """
        SELECT subject_id AS patient_id, hadm_id AS stay_id, starttime AS started_at, stoptime AS ended_at,
            drug AS code, route
        FROM prescriptions WHERE drug_type = 'MAIN' OR drug_type IS NULL""",
    )
    n_rows = _count(source, "SELECT count(*) FROM prescriptions WHERE drug_type <> 'MAIN'")
    return (f"prescriptions: {n_rows} rows are left out: diluents and additives.",) if n_rows else ()


def write_visits(source: Reader) -> Sequence[str]:
    """Emergency stays; rows that follow each other without a gap are one visit."""
    source.data.execute("""
        CREATE TABLE emergencies AS
        WITH told AS (
            SELECT *, coalesce(intime <= max(outtime) OVER (
                PARTITION BY subject_id ORDER BY intime, transfer_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS goes_on
            FROM transfers WHERE upper(eventtype) = 'ED'
        ), numbered AS (
            SELECT *, count(*) FILTER (NOT goes_on) OVER (
                PARTITION BY subject_id ORDER BY intime, transfer_id) AS number
            FROM told
        ), whole AS (
            SELECT subject_id, min(_row) AS _row, arg_min(transfer_id, (intime, transfer_id)) AS transfer_id,
                min(intime) AS intime, max(hadm_id) AS hadm_id
            FROM numbered GROUP BY subject_id, number
        )
        SELECT w.*, coalesce(TRY_CAST(intime AS TIMESTAMP)
            < TRY_CAST(admittime AS TIMESTAMP) - INTERVAL 24 HOUR, false) AS is_long_before
        FROM whole w LEFT JOIN (
            SELECT hadm_id, min(admittime) AS admittime FROM admissions GROUP BY hadm_id
        ) USING (hadm_id)""")
    source.write(
        "visits",
        """
        SELECT transfer_id AS visit_id, subject_id AS patient_id, intime AS visited_at, 'emergency' AS kind
        FROM emergencies WHERE NOT is_long_before ORDER BY _row""",
    )
    notes = [
        "visits: those of emergency rooms alone; counts of outpatient visits read 0, which means unknown."
    ]
    n_rows = _count(source, "SELECT count(*) FROM emergencies WHERE is_long_before")
    if n_rows:
        notes.append(
            f"transfers: {n_rows} emergency visits are left out: they led to an admission more than 24 hours "
            "later, and would count as visits of their own."
        )
    return notes


def _count(source: Reader, sql: str) -> int:
    return int(source.data.execute(sql).fetchall()[0][0])
