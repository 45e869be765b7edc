"""A large extract for timing alone: 8 diagnoses and 20 laboratory values an admission, drawn by hashing.

It is written as `wardcast ingest` writes, by bucket and sorted. Its diseases and costs follow no
course: how long the work takes depends on how many rows there are and how they are spread.
"""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import duckdb

from features.codes import ccs_prefixes, procedure_ccs_prefixes
from features.codes.measures import MEASURES, codes_of
from features.dataset import CodeSystems, Declaration, bucket_sql, connect
from features.families.laboratory import FIRST_DAY
from features.ingest import STAYS_PER_BUCKET
from features.sql import literal
from features.tables import TABLES

STAYS_PER_PATIENT = 2.5
DIAGNOSES_PER_STAY = 8
VALUES_PER_STAY = 20
_CODES = 1_000
_MINUTES = 5 * 365 * 24 * 60
_OTHER_ANALYTES = 6


def make_extract(out: Path, admissions: int) -> None:
    """Write a checked data set of this many admissions to the new folder `out`; the same each time."""
    buckets = math.ceil(admissions / STAYS_PER_BUCKET)
    out.mkdir(parents=True)
    with connect(threads=2, memory_limit_mb=2_000, spill=out / ".spill") as data:
        data.execute(
            "CREATE MACRO draw(below, salt, n, place := 0) AS "
            "(hash(xor(hash(n * 64 + place), hash(salt))) % below)::BIGINT"
        )
        _pools(data)
        patients = math.ceil(admissions / STAYS_PER_PATIENT)
        data.execute(
            "CREATE TABLE people AS SELECT n, 'P' || n AS patient_id, "
            f"{bucket_sql('patient_id', buckets)} AS bucket FROM range({patients}) t(n)"
        )
        data.execute(
            f"CREATE TABLE admissions AS SELECT t.n, p.patient_id, p.bucket FROM range({admissions}) t(n) "
            f"JOIN people p ON p.n = draw({patients}, 'patient', t.n)"
        )
        for bucket in range(buckets):
            for table, sql in _TABLES.items():
                folder = out / table / f"bucket={bucket}"
                folder.mkdir(parents=True)
                order = ", ".join(TABLES[table].key) or "ALL"
                data.execute(
                    f"COPY ({sql.format(bucket=bucket)} ORDER BY {order}) "
                    f"TO {literal(folder / 'data.parquet')} (FORMAT parquet, COMPRESSION zstd)"
                )
    (out / "dataset.toml").write_text(_declaration(buckets).to_toml(), "utf-8")


def _declaration(buckets: int) -> Declaration:
    return Declaration(
        name="scale",
        source="made up for timing",
        currency="USD",
        cost_basis="cost",
        time_zone="America/New_York",
        timeline="real",
        observed_from=dt.date(2019, 1, 1),
        observed_until=dt.date(2024, 6, 30),
        complete_by="admission",
        deaths="registry",
        code_systems=CodeSystems(diagnosis="icd10cm", procedure="icd9cm3"),
        buckets=buckets,
    )


def _pools(data: duckdb.DuckDBPyConnection) -> None:
    """Numbered codes to draw from, the first the most often."""
    pools = {
        "diagnosis_codes": ccs_prefixes("icd10cm")["prefix"].loc[lambda p: p.str.len() >= 3],
        "procedure_codes": procedure_ccs_prefixes("icd9cm3")["prefix"],
    }
    for name, codes in pools.items():
        chosen = codes.iloc[:: len(codes) // _CODES][:_CODES].reset_index(drop=True)
        data.register("chosen", chosen.rename("code").rename_axis("n").reset_index())
        data.execute(f"CREATE TABLE {name} AS SELECT * FROM chosen")
    known = ", ".join(
        f"({n}, {literal(codes_of(name)[0])}, {literal(m.unit)}, {m.minimum}, {m.maximum})"
        for n, (name, m) in enumerate((name, MEASURES[name]) for name in FIRST_DAY)
    )
    others = f"range({len(FIRST_DAY)}, {len(FIRST_DAY) + _OTHER_ANALYTES})"
    data.execute(
        f"CREATE TABLE analytes AS SELECT * FROM (VALUES {known}) t(n, code, unit, low, high) "
        f"UNION ALL SELECT n, 'local-' || n, 'u', 0, 100 FROM {others} t(n)"
    )


_STAY = f"""
SELECT n, patient_id, 'S' || n AS stay_id,
    TIMESTAMP '2019-01-01' + to_minutes(draw({_MINUTES}, 'at', n)) AS admitted_at,
    draw(240, 'long', n) + 6 AS hours
FROM admissions WHERE bucket = {{bucket}}"""
# The square of a uniform number: few codes make up most rows, as in life.
_DRAWN = "floor(pow(draw(1000000, {key}) / 1e6, 2) * {n})::BIGINT"
_TABLES = {
    "patients": """
SELECT patient_id, DATE '1930-01-01' + draw(25000, 'born', n)::INTEGER AS birth_date,
    ['male', 'female'][1 + draw(2, 'sex', n)] AS sex, NULL::DATE AS death_date
FROM people WHERE bucket = {bucket}""",
    "stays": f"""
SELECT stay_id, patient_id, 'H' || draw(5, 'h', n) AS hospital_id, 'discharged' AS status,
    NULL::TIMESTAMP AS booked_at, NULL::TIMESTAMP AS planned_admission_at, admitted_at,
    admitted_at + to_hours(hours) AS discharged_at,
    ['emergency', 'urgent', 'elective'][1 + draw(3, 'type', n)] AS admission_type,
    'home' AS admission_source, 'D' || draw(20, 'd', n) AS admission_department,
    'D' || draw(20, 'd', n) AS discharge_department, 'payer ' || draw(4, 'p', n) AS payer,
    'home' AS discharge_disposition, NULL::BOOLEAN AS planned_return_31d, NULL AS payment_group,
    (500 + draw(3000000, 'cost', n) / 100.0)::DECIMAL(18, 2) AS total_cost,
    NULL::DECIMAL(18, 2) AS patient_paid, NULL::INTEGER AS age_years
FROM ({_STAY})""",
    "diagnoses": f"""
SELECT stay_id, CASE WHEN place = 0 THEN 'admitting' ELSE 'discharge' END AS kind,
    greatest(place, 1)::INTEGER AS position, c.code, NULL::VARCHAR AS code_system,
    CASE WHEN place > 0 THEN ['Y', 'Y', 'Y', 'N'][1 + draw(4, 'poa', d.n, place)] END
        AS present_on_admission, NULL::TIMESTAMP AS known_at
FROM (SELECT n, stay_id, unnest(range({DIAGNOSES_PER_STAY})) AS place FROM ({_STAY})) d
JOIN diagnosis_codes c ON c.n = {_DRAWN.format(key="'code', d.n, place", n=_CODES)}""",
    "procedures": f"""
SELECT stay_id, 1 AS position, c.code, NULL::VARCHAR AS code_system,
    admitted_at + to_hours(hours // 3) AS performed_at, false AS is_planned, NULL::TIMESTAMP AS known_at
FROM ({_STAY}) s
JOIN procedure_codes c ON c.n = {_DRAWN.format(key="'op', s.n", n=_CODES)}""",
    "visits": f"""
SELECT 'V' || n AS visit_id, patient_id,
    admitted_at - to_days(draw(300, 'v', n)::INTEGER) AS visited_at,
    ['emergency', 'outpatient'][1 + draw(2, 'vk', n)] AS kind, NULL::VARCHAR AS department,
    (draw(30000, 'vc', n) / 100.0)::DECIMAL(18, 2) AS cost
FROM ({_STAY})""",
    "observations": f"""
SELECT patient_id, stay_id, admitted_at + to_minutes((hours * 60 * place) // {VALUES_PER_STAY}) AS taken_at,
    a.code, round(a.low + (a.high - a.low) * draw(1000, 'value', o.n, place) / 1000.0, 2) AS value,
    a.unit, NULL::TIMESTAMP AS known_at
FROM (SELECT *, unnest(range({VALUES_PER_STAY})) AS place FROM ({_STAY})) o
JOIN analytes a ON a.n = draw({len(FIRST_DAY) + _OTHER_ANALYTES}, 'what', o.n, place)""",
}
