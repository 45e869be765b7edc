"""The benchmark's reference: history and packed comorbidity flags alone, straight in the data engine.

What a good analyst would write by hand for one purpose, with nothing around it: no cohort, no labels, no
laboratory values, no missing instead of zero. From the same Parquet files to one Parquet file.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

from features.coding import code_flags_for
from features.dataset import DataSet, connect
from features.families.windows import DEFAULT_WINDOWS_DAYS
from features.sql import literal
from features.tables import DIAGNOSES, STAYS

_COLUMNS = """
    count(*) OVER last_{days} AS n_stays_prior_{days}d,
    coalesce(sum(is_emergency) OVER last_{days}, 0) AS n_emergency_stays_prior_{days}d,
    coalesce(sum(days) OVER last_{days}, 0) AS days_in_hospital_prior_{days}d,
    coalesce(sum(total_cost) OVER last_{days}, 0) AS stay_cost_prior_{days}d"""
_WINDOW = """last_{days} AS (PARTITION BY patient_id ORDER BY admitted_at
    RANGE BETWEEN INTERVAL {days} DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING)"""
_QUERY = """
WITH coded AS (
    SELECT stay_id, bit_or(charlson) AS charlson FROM ({diagnoses}) JOIN flags USING (code)
    WHERE kind = 'discharge' GROUP BY stay_id
), stays AS (
    SELECT stay_id, patient_id, admitted_at, discharged_at, total_cost,
        date_diff('day', admitted_at, discharged_at) AS days,
        (admission_type IN ('emergency', 'urgent'))::INTEGER AS is_emergency,
        coalesce(charlson, 0) AS charlson
    FROM ({stays}) LEFT JOIN coded USING (stay_id)
), history AS (
    SELECT stay_id, patient_id, admitted_at, {columns},
        date_diff('day', max(discharged_at) OVER last_365, admitted_at) AS days_since_last_discharge,
        last_value(days) OVER last_365 AS last_stay_days,
        coalesce(bit_or(charlson) OVER last_365, 0) AS earlier
    FROM stays WINDOW {windows}
)
SELECT * EXCLUDE (earlier), {flags} FROM history
"""


def codes_of(dataset: DataSet) -> pd.DataFrame:
    """Every code of the data set with its comorbidities as bits: known before the clock starts."""
    query = f"SELECT DISTINCT code FROM ({dataset.select(DIAGNOSES)}) ORDER BY code"
    codes = duckdb.execute(query).fetchall()
    system = dataset.declaration.code_systems.diagnosis
    assert system is not None
    found = code_flags_for({"diagnoses": [(code, system) for (code,) in codes], "procedures": []})
    return found["diagnosis_flags"][["code", "charlson"]]


def run_reference(
    dataset: DataSet, out: Path, codes: pd.DataFrame, *, threads: int, memory_limit_mb: int, spill: Path
) -> None:
    """Write one row a stay: the builder's features of earlier stays, and 17 comorbidity flags of theirs."""
    flags = ", ".join(f"(earlier & {1 << bit} > 0)::INTEGER AS charlson_{bit}" for bit in range(17))
    sql = _QUERY.format(
        diagnoses=dataset.select(DIAGNOSES),
        stays=dataset.select(STAYS),
        columns=",".join(_COLUMNS.format(days=days) for days in DEFAULT_WINDOWS_DAYS),
        windows=", ".join(_WINDOW.format(days=days) for days in DEFAULT_WINDOWS_DAYS),
        flags=flags,
    )
    with connect(threads=threads, memory_limit_mb=memory_limit_mb, spill=spill) as data:
        data.register("flags", codes)
        data.execute(f"COPY ({sql}) TO {literal(out)} (FORMAT parquet, COMPRESSION zstd)")
