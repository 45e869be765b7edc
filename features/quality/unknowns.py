"""What an extract leaves unknown about its outcomes and values: warnings for whoever prepares it."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pandas as pd

from features.codes.measures import measure_flags, measure_of
from features.codes.medications import ATC
from features.dataset import Declaration
from features.quality.staged import Staged
from features.settings import DEFAULT_SETTINGS
from features.sql import literal

SILENT_DAYS = 31
"""Days without a stay at an end of what is declared observed, from which on that end is doubted."""

SILENT_STAYS = 20
"""Stays that such days must miss, by the extract's own number a day, which it takes as many to tell."""


def outcome_warnings(
    data: duckdb.DuckDBPyConnection, staged: Mapping[str, Staged], declaration: Declaration
) -> list[str]:
    """Why labels and values will be missing, with counts; of times nothing for an extract without dates."""
    warnings = []
    if "observations" in staged:
        warnings += _unused_values(data, staged["observations"], declaration)
        warnings += _unread_codes(data, staged["observations"], declaration)
    if "medications" in staged:
        warnings += _unclear_medications(data, staged["medications"], declaration)
    if "diagnoses" not in staged:
        warnings.append(
            "diagnoses: no such table, and no code system is declared for them: features of diagnoses are "
            "missing, admissions for delivery, psychiatric care, rehabilitation and cancer treatment are not "
            "told apart, and labels of readmission and complication are missing unless it has its own."
        )
    if not declaration.has_timeline:
        return warnings
    if declaration.has_calendar:
        warnings += _silent_ends(data, staged["stays"], declaration)
    if declaration.labels.readmission.kind == "derived":
        if "procedures" not in staged:
            warnings.append(
                "procedures: no such table, so whether a return was planned cannot be told and readmission "
                "labels are missing. Add it; an empty one says that there were none (in a mapping file of "
                "the source table: [[procedures]] with columns = [])."
            )
        if declaration.deaths == "in_hospital":
            warnings += _unknown_ends(data, staged["stays"], declaration)
    return [*warnings, *_endless_stays(data, staged["stays"], declaration)]


def _unused_values(
    data: duckdb.DuckDBPyConnection, observations: Staged, declaration: Declaration
) -> list[str]:
    """How many values of known measures features cannot use, for their unit or their size, by measure."""
    typed = observations.typed_sql(declaration.time_zone)
    pairs = data.execute(f"SELECT DISTINCT code, unit FROM ({typed}) WHERE code IS NOT NULL").fetchall()
    known = [(code, unit or "", measure.name) for code, unit in pairs if (measure := measure_of(code))]
    if not known:
        return []
    flags = measure_flags((code, unit) for code, unit, _ in known)
    named = pd.DataFrame(known, columns=["code", "unit", "name"])
    data.register("measures_in", named.merge(flags, on=["code", "unit"], how="left"))
    try:
        counted = data.execute(f"""
            SELECT m.name, count(*) FILTER (m.factor IS NULL), count(*) FILTER (m.factor IS NOT NULL
                AND NOT (o.value * m.factor + m.shift BETWEEN m.minimum AND m.maximum))
            FROM ({typed}) o JOIN measures_in m ON m.code = o.code AND m.unit = coalesce(o.unit, '')
            GROUP BY m.name ORDER BY m.name""").fetchall()
    finally:
        data.unregister("measures_in")
    return [
        f"observations: {n} values of {name} are not used: {why}"
        for name, n_unit, n_range in counted
        for n, why in (
            (n_unit, "unknown unit. Convert them to a known one."),
            (n_range, "not plausible in the unit given. Correct value or unit."),
        )
        if n
    ]


def _unread_codes(
    data: duckdb.DuckDBPyConnection, observations: Staged, declaration: Declaration
) -> list[str]:
    typed = observations.typed_sql(declaration.time_zone)
    counts = data.execute(f"SELECT code, count(*) FROM ({typed}) WHERE code IS NOT NULL GROUP BY code")
    unread = [n for code, n in counts.fetchall() if measure_of(code) is None]
    if not unread:
        return []
    return [
        f"observations: {sum(unread)} values, of {len(unread)} different codes, are read by no feature. "
        "Where one of them means a test that features use, give it that test's LOINC code."
    ]


def _unclear_medications(
    data: duckdb.DuckDBPyConnection, medications: Staged, declaration: Declaration
) -> list[str]:
    is_unclear = f"NOT regexp_full_match(upper(trim(code)), {literal(ATC)})"
    n_rows = _count(data, medications, declaration, is_unclear)
    if not n_rows:
        return []
    return [
        f"medications: {n_rows} of {medications.n_rows} rows have a code that is not ATC: they are counted, "
        "and features of groups of medications are missing. Map the codes to ATC."
    ]


def _silent_ends(data: duckdb.DuckDBPyConnection, stays: Staged, declaration: Declaration) -> list[str]:
    """Ends of the observed time in which nothing happened: outcomes there would be taken for known."""
    since, until = declaration.observed_from, declaration.observed_until
    if since is None or until is None:
        return []
    event = declaration.complete_by
    at = f"{'discharged_at' if event == 'discharge' else 'admitted_at'}::DATE"
    n_stays, first, last = data.execute(
        f"SELECT count(*), min({at}), max({at}) FROM ({stays.typed_sql(declaration.time_zone)}) "
        f"WHERE coalesce(status, '') NOT IN ('booked', 'cancelled') AND {at} BETWEEN '{since}' AND '{until}'"
    ).fetchall()[0]
    if n_stays < SILENT_STAYS:
        return []
    daily = n_stays / ((last - first).days + 1)
    warnings = []
    for days, where, what_follows in (
        (
            (until - last).days,
            f"the last {event} lies {{days}} days before observed_until",
            "outcomes of the last stays are taken for known, as none, that nobody recorded",
        ),
        (
            (first - since).days,
            f"the first {event} lies {{days}} days after observed_from",
            "the history of the first stays is taken for known, as none, that nobody recorded",
        ),
    ):
        if days >= SILENT_DAYS and days * daily >= SILENT_STAYS:
            warnings.append(
                f"stays: {where.format(days=days)}, which would hold about {days * daily:,.0f} stays by "
                f"the other days: {what_follows}. Declare the dates between which the extract is complete."
            )
    return warnings


def _unknown_ends(data: duckdb.DuckDBPyConnection, stays: Staged, declaration: Declaration) -> list[str]:
    n_rows = _count(data, stays, declaration, "status = 'discharged' AND discharge_disposition IS NULL")
    if not n_rows:
        return []
    return [
        f"stays: {n_rows} of {stays.n_rows} rows do not say how the stay ended (discharge_disposition), and "
        "only deaths in hospital are known: where nothing else tells, readmission labels are missing."
    ]


def _endless_stays(data: duckdb.DuckDBPyConnection, stays: Staged, declaration: Declaration) -> list[str]:
    days = DEFAULT_SETTINGS.max_stay_days
    long_ago = f"admitted_at < DATE '{declaration.observed_until}' - INTERVAL {days} DAY"
    n_rows = _count(data, stays, declaration, f"status = 'in' AND {long_ago}")
    if not n_rows:
        return []
    return [
        f"stays: {n_rows} of {stays.n_rows} rows are still in hospital {days} days after admission. Every "
        "later stay of such a patient counts as part of it. Add the discharges that were forgotten."
    ]


def _count(data: duckdb.DuckDBPyConnection, staged: Staged, declaration: Declaration, condition: str) -> int:
    typed = staged.typed_sql(declaration.time_zone)
    return int(data.execute(f"SELECT count(*) FROM ({typed}) WHERE {condition}").fetchall()[0][0])
