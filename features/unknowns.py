"""What an extract leaves unknown about its outcomes and values: warnings for whoever prepares it."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from features.dataset import Declaration
from features.measures import unused_value_warnings
from features.settings import DEFAULT_SETTINGS
from features.staged import Staged


def outcome_warnings(
    data: duckdb.DuckDBPyConnection, staged: Mapping[str, Staged], declaration: Declaration
) -> list[str]:
    """Why labels and values will be missing, with counts; of times nothing for an extract without dates."""
    warnings = []
    if "observations" in staged:
        warnings += unused_value_warnings(data, staged["observations"], declaration)
    if "diagnoses" not in staged:
        warnings.append(
            "diagnoses: no such table, and no code system is declared for them: features of diagnoses are "
            "missing, admissions for delivery, psychiatric care, rehabilitation and cancer treatment are not "
            "told apart, and labels of readmission and complication are missing unless it has its own."
        )
    if not declaration.has_timeline:
        return warnings
    if declaration.labels.readmission.kind == "derived":
        if "procedures" not in staged:
            warnings.append(
                "procedures: no such table, so whether a return was planned cannot be told and readmission "
                "labels are missing. Add it; an empty one says that there were none."
            )
        if declaration.deaths == "in_hospital":
            warnings += _unknown_ends(data, staged["stays"], declaration)
    return [*warnings, *_endless_stays(data, staged["stays"], declaration)]


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


def _count(data: duckdb.DuckDBPyConnection, stays: Staged, declaration: Declaration, condition: str) -> int:
    typed = stays.typed_sql(declaration.time_zone)
    return int(data.execute(f"SELECT count(*) FROM ({typed}) WHERE {condition}").fetchall()[0][0])
