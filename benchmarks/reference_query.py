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
from features.sql import literal
from features.tables import DIAGNOSES, STAYS

_QUERY = """
WITH coded AS (
    SELECT stay_id, bit_or(charlson) AS charlson FROM ({diagnoses}) JOIN flags USING (code)
    WHERE kind = 'discharge' GROUP BY stay_id
), stays AS (
    SELECT stay_id, patient_id, admitted_at, discharged_at, total_cost,
        date_diff('day', admitted_at, discharged_at) AS days,
        (admission_type = 'emergency')::INTEGER AS is_emergency, coalesce(charlson, 0) AS charlson
    FROM ({stays}) LEFT JOIN coded USING (stay_id)
)
SELECT stay_id, patient_id, admitted_at,
    count(*) OVER year AS n_stays_prior_365d,
    coalesce(sum(is_emergency) OVER year, 0) AS n_emergency_stays_prior_365d,
    coalesce(sum(days) OVER year, 0) AS days_in_hospital_prior_365d,
    max(days) OVER year AS longest_stay_prior_365d,
    coalesce(sum(total_cost) OVER year, 0) AS stay_cost_prior_365d,
    date_diff('day', max(discharged_at) OVER year, admitted_at) AS days_since_last_discharge,
    {flags}
FROM (SELECT *, coalesce(bit_or(charlson) OVER year, 0) AS earlier FROM stays
      WINDOW year AS (PARTITION BY patient_id ORDER BY admitted_at
                      RANGE BETWEEN INTERVAL 365 DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING))
WINDOW year AS (PARTITION BY patient_id ORDER BY admitted_at
                RANGE BETWEEN INTERVAL 365 DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING)
"""


def codes_of(dataset: DataSet) -> pd.DataFrame:
    """Every code of the data set with its comorbidities as bits: known before the clock starts."""
    codes = duckdb.sql(f"SELECT DISTINCT code FROM ({dataset.select(DIAGNOSES)}) ORDER BY code").fetchall()
    system = dataset.declaration.code_systems.diagnosis
    assert system is not None
    found = code_flags_for({"diagnoses": [(code, system) for (code,) in codes], "procedures": []})
    return found["diagnosis_flags"][["code", "charlson"]]


def run_reference(
    dataset: DataSet, out: Path, codes: pd.DataFrame, *, threads: int, memory_limit_mb: int, spill: Path
) -> None:
    """Write one row a stay with 6 features of the year before and 17 comorbidity flags of earlier stays."""
    flags = ", ".join(f"(earlier & {1 << bit} > 0)::INTEGER AS charlson_{bit}" for bit in range(17))
    sql = _QUERY.format(diagnoses=dataset.select(DIAGNOSES), stays=dataset.select(STAYS), flags=flags)
    with connect(threads=threads, memory_limit_mb=memory_limit_mb, spill=spill) as data:
        data.register("flags", codes)
        data.execute(f"COPY ({sql}) TO {literal(out)} (FORMAT parquet, COMPRESSION zstd)")
