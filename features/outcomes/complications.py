"""Complications: diagnoses of the code set that were not present on admission, any and by category."""

from __future__ import annotations

from typing import Literal

import duckdb

from features.codes import COMPLICATION_CATEGORIES
from features.dataset import DataSet
from features.tables import DIAGNOSES, OUTCOMES

ComplicationBy = Literal["flags", "impossible_codes", "given"]
"""What complication labels rest on: present-on-admission flags, codes that cannot be present on admission
(an extract without flags), or the extract's own outcomes."""

COMPLICATION_LABELS = (
    "label_complication",
    *(f"label_complication_{category}" for category in COMPLICATION_CATEGORIES),
)
GIVEN_COMPLICATIONS = (
    "complication",
    *(f"complication_{category}" for category in COMPLICATION_CATEGORIES),
)
"""The columns of `outcomes` that supply complications."""


def complications_rest_on(con: duckdb.DuckDBPyConnection, dataset: DataSet) -> ComplicationBy:
    """One source of complication labels for the whole data set: they are never mixed."""

    def any_value(table: str, *columns: str) -> bool:
        found = con.execute(f"SELECT count(coalesce({', '.join(columns)})) FROM ({table})").fetchall()
        return bool(found[0][0])

    if any_value(dataset.select(OUTCOMES), *GIVEN_COMPLICATIONS):
        return "given"
    has_flags = any_value(dataset.select(DIAGNOSES), "present_on_admission")
    return "flags" if has_flags else "impossible_codes"


def complications_sql(complication_by: ComplicationBy) -> str:
    """SQL of the episodes whose complications are told: episode_id and `COMPLICATION_LABELS`, 1, 0 or null.

    By flags: a code with N counts unless the same 3-character code was present (Y) in an earlier stay of the
    episode. By impossible codes: one in a secondary position counts; a principal diagnosis occasions the
    admission, so there it was present. Where none counts, the label is missing if a stay of the episode is
    not coded, a complication code of the category lacks its flag, or no code of the episode carries any.
    """
    if complication_by == "given":
        return _given_sql()
    if complication_by == "impossible_codes":
        counts, lacks_flag, has_flags = "cannot_be_present AND position > 1", "false", "true"
    else:
        counts = "flag = 'N' AND NOT coalesce(p.present_from < e.admitted_at, false)"
        lacks_flag, has_flags = "flag IS NULL", "n_flags > 0"
    labels = [_label("happened <> 0", "unflagged <> 0", COMPLICATION_LABELS[0])]
    labels += [
        _label(f"happened & {1 << place} <> 0", f"unflagged & {1 << place} <> 0", label)
        for place, label in enumerate(COMPLICATION_LABELS[1:])
    ]
    return f"""
    WITH coded AS (
        SELECT s.episode_id, count(DISTINCT stay_id) AS n_coded_stays, sum(n_flags) AS n_flags
        FROM episode_stays s JOIN coded_stays USING (stay_id) GROUP BY s.episode_id
    ), events AS (
        SELECT s.episode_id, s.admitted_at, d.position, left(d.code, 3) AS code3,
            d.present_on_admission AS flag, f.complication,
            f.complication_cannot_be_present AS cannot_be_present
        FROM known_diagnoses d
        JOIN (SELECT * FROM diagnosis_flags WHERE complication <> 0) f USING (code, code_system)
        JOIN episode_stays s ON s.stay_id = d.stay_id
        WHERE d.kind = 'discharge'
    ), present AS (  -- only an episode of several stays has an earlier one
        SELECT s.episode_id, left(d.code, 3) AS code3, min(s.admitted_at) AS present_from
        FROM (SELECT episode_id FROM episodes WHERE n_stays > 1) e
        JOIN episode_stays s USING (episode_id)
        JOIN known_diagnoses d ON d.stay_id = s.stay_id AND d.kind = 'discharge'
        WHERE d.present_on_admission = 'Y' GROUP BY s.episode_id, left(d.code, 3)
    ), found AS (
        SELECT e.episode_id, bit_or(CASE WHEN {counts} THEN complication ELSE 0 END) AS happened,
            bit_or(CASE WHEN {lacks_flag} THEN complication ELSE 0 END) AS unflagged
        FROM events e LEFT JOIN present p ON p.episode_id = e.episode_id AND p.code3 = e.code3
        GROUP BY e.episode_id
    ), told AS (
        SELECT c.episode_id, coalesce(f.happened, 0) AS happened, coalesce(f.unflagged, 0) AS unflagged,
            {has_flags} AND n_coded_stays = e.n_stays AS is_whole
        FROM coded c JOIN episodes e USING (episode_id) LEFT JOIN found f USING (episode_id)
    )
    SELECT episode_id, {", ".join(labels)} FROM told"""


def _label(happened: str, unflagged: str, name: str) -> str:
    return f"CASE WHEN {happened} THEN 1 WHEN is_whole AND NOT ({unflagged}) THEN 0 END AS {name}"


def _given_sql() -> str:
    """What the extract says: any from its categories where it does not say, and none of each without any."""
    any_category = " OR ".join(GIVEN_COMPLICATIONS[1:])
    values = [f"coalesce(complication, {any_category})"]
    values += [
        f"coalesce({name}, CASE WHEN NOT complication THEN false END)" for name in GIVEN_COMPLICATIONS[1:]
    ]
    columns = ", ".join(
        f"({value})::INTEGER AS {label}" for value, label in zip(values, COMPLICATION_LABELS, strict=True)
    )
    return f"""
    SELECT e.episode_id, {columns}
    FROM episodes e JOIN outcomes o ON o.stay_id = e.last_stay_id"""
