"""What of a patient's records no feature can use, counted by reason: never a value, a code or an identifier.

Rows count that were known at the prediction time and lie in a time that features look at. Those of another
time or stay are left out too, which is no fault of theirs, and not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from features.codes.measures import LOOKBACK_DAYS, codes_of_measures
from features.codes.medications import ATC
from features.feature import Feature
from features.points import Point
from features.sql import literal

UNUSED_VALUES = ("n_unused_values", "n_unused_values_in_year")
"""Observations that are not used; in the year before too, missing where the history is shorter."""

_WARNINGS = {
    "n_out_of_range": "observations: {rows} outside the plausible range of their test: not used",
    "n_unread_codes": "observations: {rows} with a code that no feature reads: not used",
    "n_unclear_codes": "medications: {rows} with a code that is not ATC: counted, their groups are unknown",
    "n_unread_facts": "facts: {rows} that no model reads: not used",
    "n_later_facts": "facts: {rows} known at a later prediction point only: not used",
    "n_facts_no_number": "facts: {rows} without the number that the model learned from: not used",
}
_UNITS = "n_unknown_units"
COUNTS = (*_WARNINGS, _UNITS, *UNUSED_VALUES)
"""The columns of `left_out_sql` beside `index_id`."""


def left_out_sql(point: Point, *, read: Collection[str], facts: Sequence[Feature]) -> str:
    """SQL over `index_rows`, the canonical tables and the flags of codes: `COUNTS` for each index_id.

    `read` names what the models learned from, `facts` declares those of them that facts may supply. Without
    dates every observation counts, and `UNUSED_VALUES` are missing.
    """
    counts = ", ".join(f"count(*) FILTER (why = '{name}') AS {name}" for name in (*_WARNINGS, _UNITS))
    unused = f"count(*) FILTER (why IN ('n_out_of_range', 'n_unread_codes', '{_UNITS}'))"
    return f"""
    SELECT index_id, {counts}, CASE WHEN bool_or(is_dated) THEN {unused} END AS n_unused_values,
        CASE WHEN bool_or(has_year) THEN {unused} END AS n_unused_values_in_year
    FROM (
        SELECT index_id, NULL AS why, prediction_time IS NOT NULL AS is_dated,
            anchor_at - to_days({LOOKBACK_DAYS}) >= history_from AS has_year FROM index_rows
        UNION ALL SELECT *, NULL, NULL FROM ({_OBSERVATIONS_SQL})
        UNION ALL SELECT *, NULL, NULL FROM ({_MEDICATIONS_SQL})
        UNION ALL SELECT *, NULL, NULL FROM ({_facts_sql(point, read, facts)})
    ) GROUP BY index_id"""


UNKNOWN_CODES_SQL = """
    SELECT patient_id, code_system, count(DISTINCT code) AS n FROM (
        SELECT d.patient_id, d.code, d.code_system
        FROM known_diagnoses d LEFT JOIN diagnosis_flags f USING (code, code_system)
        WHERE f.ccs_title IS NULL
        UNION ALL
        SELECT d.patient_id, d.code, d.code_system
        FROM known_procedures d LEFT JOIN procedure_flags f USING (code, code_system)
        WHERE f.ccs_title IS NULL
    ) GROUP BY patient_id, code_system"""
"""How many different codes of each patient no code set holds, by code system."""


def left_out_warnings(counts: Mapping[str, float]) -> list[str]:
    """What is warned of where `counts` has the columns of `left_out_sql` of one admission."""
    found = [words.format(rows=_rows(counts[name])) for name, words in _WARNINGS.items() if counts[name]]
    n_unknown = int(counts["n_unknown_units"])
    if n_unknown:
        found.append(f"{n_unknown} values are in a unit that is not known and are not used")
    return found


def unknown_code_warnings(n_by_system: Mapping[str, int]) -> list[str]:
    """How many distinct codes no code set holds, by code system; never which."""
    return [
        f"{n} {'code is' if n == 1 else 'codes are'} not in the code set of {system}: treated as unknown"
        for system, n in sorted(n_by_system.items())
    ]


def _rows(n: float) -> str:
    return f"{int(n)} {'row' if n == 1 else 'rows'}"


def _is_one_of(column: str, texts: Collection[str]) -> str:
    return f"{column} IN ({', '.join(map(literal, sorted(texts)))})" if texts else "false"


# What cannot be used is found before the admissions are joined: there is little of it.
_OBSERVATIONS_SQL = f"""
    SELECT i.index_id, o.why
    FROM index_rows i
    JOIN (SELECT o.patient_id, o.taken_at,
              coalesce(greatest(o.known_at, o.taken_at), o.taken_at) AS known_at,
              CASE WHEN m.measure IS NOT NULL THEN 'n_out_of_range'
                   WHEN {_is_one_of("upper(trim(o.code))", codes_of_measures())} THEN '{_UNITS}'
                   ELSE 'n_unread_codes' END AS why
          FROM observations o LEFT JOIN measure_flags m USING (code, unit)
          WHERE (o.value * m.factor + m.shift BETWEEN m.minimum AND m.maximum) IS NOT TRUE) o
      ON o.patient_id = i.patient_id AND coalesce(o.known_at <= i.prediction_time, true)
        AND coalesce(o.taken_at >= i.anchor_at - to_days({LOOKBACK_DAYS}), true)"""

_MEDICATIONS_SQL = f"""
    SELECT i.index_id, 'n_unclear_codes' AS why
    FROM index_rows i
    JOIN (SELECT * FROM medications WHERE NOT regexp_full_match(upper(trim(code)), {literal(ATC)})) m
      ON m.patient_id = i.patient_id AND m.started_at <= i.prediction_time
        AND coalesce(m.known_at <= i.prediction_time, true)
        AND m.started_at >= i.anchor_at - to_days({LOOKBACK_DAYS})"""


def _facts_sql(point: Point, read: Collection[str], facts: Sequence[Feature]) -> str:
    known = _is_one_of("f.available_from", [earlier for earlier in Point if point.knows(earlier)])
    is_read = _is_one_of("f.name", {*read, *(fact.name for fact in facts)})
    is_number = _is_one_of("f.name", {fact.name for fact in facts if fact.type != "category"})
    return f"""
    SELECT i.index_id, CASE WHEN NOT {is_read} THEN 'n_unread_facts' WHEN NOT {known} THEN 'n_later_facts'
        WHEN {is_number} AND try_cast(f.value AS DOUBLE) IS NULL THEN 'n_facts_no_number' END AS why
    FROM index_rows i JOIN facts f ON f.stay_id = i.stay_id"""
