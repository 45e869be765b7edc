"""What rows to score tell beside their features: what could not be used, and of what there was none."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd

from features.left_out import (
    COUNTS,
    UNKNOWN_CODES_SQL,
    UNUSED_VALUES,
    left_out_warnings,
    unknown_code_warnings,
)


def with_what_is_told(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame, left_out: str, evidence: Sequence[str]
) -> pd.DataFrame:
    """The rows of a prepared bucket, by stay_id, with what they tell instead of the columns of `evidence`.

    `row_warnings`: the texts of what of the patient's records could not be used, from `left_out` (the SQL of
    `left_out_sql`). `row_none`: the names of the counts of `features.evidence` that are 0.
    """
    counts = con.sql(
        f"SELECT {', '.join(COUNTS)} FROM index_rows JOIN ({left_out}) USING (index_id) ORDER BY stay_id"
    ).df()
    assert len(counts) == len(frame), f"{len(frame)} rows to score, {len(counts)} told of"
    unknown: dict[str, dict[str, int]] = {}
    for patient, system, n in con.execute(UNKNOWN_CODES_SQL).fetchall():
        unknown.setdefault(patient, {})[system] = n
    told = pd.Series(
        [
            unknown_code_warnings(unknown.get(patient, {})) + left_out_warnings(own)
            for patient, own in zip(frame["patient_id"], counts.to_dict("records"), strict=True)
        ],
        dtype=object,
    )
    found = pd.concat([frame[[*evidence]], counts[[*UNUSED_VALUES]]], axis="columns")
    is_zero = found.to_numpy(dtype=np.float64, na_value=np.nan) == 0
    names = np.array(found.columns)
    none = pd.Series([frozenset(names[row].tolist()) for row in is_zero], dtype=object)
    return frame.drop(columns=[*evidence]).assign(row_warnings=told, row_none=none)
