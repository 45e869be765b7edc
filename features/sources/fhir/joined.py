"""From the flat tables to the canonical ones: which version counts, what a reference means, whose is what.

Everything is SQL in the data engine, out of core. Views named like the flat tables hold the rows that
count, with every reference resolved to an id; what cannot be resolved stays as it is, for the check to find.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from features.sources.fhir.flat import FLAT_TABLES
from features.sql import identifier, literal, parquet_rows
from features.tables import TableError

MARK = "'not valid FHIR R4 at ' || "
_REFERENCES: dict[str, dict[str, str]] = {
    "encounter": {
        "patient": "Patient",
        "provider": "Organization",
        "part_of": "Encounter",
        "account": "Account",
        "appointment": "Appointment",
    },
    "encounter_diagnosis": {"condition": "Condition"},
    "encounter_reason": {"condition": "Condition"},
    "condition": {"encounter": "Encounter"},
    "procedure": {"encounter": "Encounter"},
    "observation": {"patient": "Patient", "encounter": "Encounter"},
    "medication_use": {"patient": "Patient", "encounter": "Encounter", "medication": "Medication"},
    "claim": {"claim": "Claim", "coverage": "Coverage", "insurer": "Organization"},
    "claim_encounter": {"encounter": "Encounter"},
    "claim_diagnosis": {"condition": "Condition"},
    "claim_procedure": {"procedure": "Procedure"},
    "claim_item": {"encounter": "Encounter"},
    "charge_item": {"encounter": "Encounter"},
    "account": {"coverage": "Coverage"},
    "coverage": {"payor": "Organization"},
    "organization": {"part_of": "Organization"},
}
NO_PATIENT = "an identifier that no one Patient has"
MOST_PARTS = 8
"""Levels of parts within parts of an encounter, or of an organization, that are followed."""

BELONGS = "LEFT JOIN belongs b ON t.encounter = b.id"
"""SQL: join the stay or visit `b` of the encounter that a row `t` names."""

NO_VISIT = "(b.id IS NULL OR b.is_stay)"
"""SQL: the row may belong to a stay; its encounter is one, or is not in the extract."""


# Resources of which there are several, each with its age: 1 is the newest.
_VERSIONS = """
    SELECT n, type, id, coalesce(digest, n::VARCHAR) AS digest, rank() OVER (
        PARTITION BY type, id ORDER BY TRY_CAST(updated AS TIMESTAMPTZ) DESC NULLS LAST
    ) AS age
    FROM every_resources SEMI JOIN (
        SELECT type, id FROM every_resources WHERE id IS NOT NULL GROUP BY ALL HAVING count(*) > 1
    ) USING (type, id)"""

_SUPERSEDED = """
    SELECT n, age > 1 AS is_older
    FROM (SELECT *, min(n) OVER (PARTITION BY type, id, age) AS first FROM versions)
    WHERE age > 1 OR n <> first"""

_LINKS = """
    SELECT address, any_value(id) AS id FROM every_links ANTI JOIN superseded USING (n)
    GROUP BY address HAVING count(DISTINCT id) = 1"""

# A part of a stay (Encounter.partOf), other than its emergency phase, belongs to the stay. A chain of parts
# that closes on itself, or is longer than any real one, is left as it is.
_PART = """
    SELECT id, any_value(part_of) AS part_of FROM encounter
    WHERE id IS NOT NULL AND becomes NOT IN ('emergency', '') AND fault = ''
        AND part_of IN (SELECT id FROM encounter WHERE becomes = 'stay')
    GROUP BY id"""

_WHOLE = f"""
    WITH RECURSIVE up(id, whole, depth) AS (
        SELECT id, part_of, 1 FROM part
        UNION ALL
        SELECT up.id, part.part_of, depth + 1 FROM up JOIN part ON up.whole = part.id
        WHERE depth < {MOST_PARTS}
    )
    SELECT id, arg_max(whole, depth) AS whole FROM up GROUP BY id
    HAVING arg_max(whole, depth) NOT IN (SELECT id FROM part)"""

# Encounter → owner_id (stay or visit) and whether that is a stay.
_BELONGS = """
    SELECT e.id, any_value(coalesce(w.whole, e.id)) AS owner_id,
        bool_or(w.whole IS NOT NULL OR e.becomes IN ('stay', '')) AS is_stay
    FROM encounter e LEFT JOIN whole w ON e.id = w.id WHERE e.id IS NOT NULL GROUP BY e.id"""

DIFFERING = """
    SELECT type, count(*) AS n FROM (
        SELECT type, id FROM versions WHERE age = 1 GROUP BY ALL HAVING count(DISTINCT digest) > 1
    ) GROUP BY type ORDER BY type"""
"""SQL: the types of resources that differ and share their id, none being newer, and how many ids."""

LEFT_OUT = (
    "SELECT count(*) FILTER (is_older) AS older, count(*) FILTER (NOT is_older) AS again FROM superseded"
)
"""SQL: how many resources are older versions, and how many the same again."""


def joined_sql() -> dict[str, str]:
    """SQL of relations by name, each over those before it and `every_<flat table>`."""
    return {
        "versions": _VERSIONS,
        "superseded": _SUPERSEDED,
        "links": _LINKS,
        **{name: _resolved(name) for name in FLAT_TABLES if name != "links"},
        "part": _PART,
        "whole": _WHOLE,
        "belongs": _BELONGS,
    }


def open_flat(data: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """Join the flat tables in `folder`; return notes on what is there more than once.

    Raises TableError where two resources of one type and id differ and none is the newer one.
    """
    for name, columns in FLAT_TABLES.items():
        file = folder / f"{name}.parquet"
        nothing = ", ".join(f"NULL::VARCHAR AS {identifier(column)}" for column in columns)
        rows = (
            f"SELECT * FROM {parquet_rows(file)}"
            if file.is_file()
            else f"SELECT NULL::BIGINT AS n, {nothing} WHERE false"
        )
        data.execute(f"CREATE VIEW every_{name} AS {rows}")
    for name, sql in joined_sql().items():
        # Every row of every resource is read again rather than kept.
        kind = "VIEW" if name in FLAT_TABLES and name != "links" else "TABLE"
        data.execute(f"CREATE {kind} {name} AS {sql}")
        if name == "versions":
            refuse_differing(data.execute(DIFFERING).fetchall())
    older, again = data.execute(LEFT_OUT).fetchall()[0]
    return version_notes(older, again)


def refuse_differing(differing: Iterable[tuple[str, int]]) -> None:
    """Raise TableError for what `DIFFERING` finds."""
    found = ", ".join(f"{count} ids of type {kind}" for kind, count in differing)
    if found:
        raise TableError(
            f"Resources that differ share their id, and none is newer by meta.lastUpdated: {found}. "
            "Leave one resource for each id in the export."
        )


def version_notes(older: int, again: int) -> list[str]:
    """What `LEFT_OUT` counts, in words."""
    notes = []
    if older:
        notes.append(f"Resources left out, since there is a newer version (meta.lastUpdated): {older}.")
    if again:
        notes.append(f"Resources left out, since they are in the extract before, word for word: {again}.")
    return notes


def _resolved(name: str) -> str:
    """The rows of a flat table that count, ids in place of references."""
    replaced, joins = [], []
    for column, kind in _REFERENCES.get(name, {}).items():
        bare = f"regexp_replace(t.{column}, '^({kind}/|urn:uuid:|urn:oid:)', '')"
        if kind == "Patient":
            # The identifier of a person may be a number of the real world, which is no pseudonym.
            bare = f"CASE WHEN t.{column} LIKE '%?%|%' THEN {literal(NO_PATIENT)} ELSE {bare} END"
        replaced.append(f"coalesce(to_{column}.id, {bare}) AS {column}")
        joins.append(f"LEFT JOIN links to_{column} ON t.{column} = to_{column}.address")
    columns = f"t.* REPLACE ({', '.join(replaced)})" if replaced else "t.*"
    rows = f"(SELECT * FROM every_{name} ANTI JOIN superseded USING (n))"
    return f"SELECT {columns} FROM {rows} t {' '.join(joins)}"


def stay_of(column: str) -> str:
    """SQL: the stay of an encounter `column`, joined as `b`; one that is not there stays as it is."""
    return f"CASE WHEN b.id IS NULL THEN {column} WHEN b.is_stay THEN b.owner_id END"


def marked(column: str, sql: str) -> str:
    """SQL: `sql`; for a resource that is not valid, words that no value can be mistaken for."""
    return f"CASE WHEN t.fault <> '' THEN {MARK}t.fault ELSE {sql} END AS {column}"


def local_day(column: str, time_zone: str) -> str:
    """SQL: the local date of a time with an offset, as text; anything else stays as it is."""
    local = f"strftime(TRY_CAST({column} AS TIMESTAMPTZ) AT TIME ZONE {literal(time_zone)}, '%Y-%m-%d')"
    # A year of more digits is no date of FHIR, and may lie beyond what can be a local time.
    is_time = f"regexp_matches({column}, '^[0-9]{{4}}-[^T]*T')"
    return f"CASE WHEN {is_time} THEN coalesce({local}, {column}) ELSE {column} END"
