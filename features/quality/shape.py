"""The shape of a data set: how many rows, how full, of what mix, by month. No patient can be told from it.

It is written beside the quality report, outlives the data, and is what a later extract is compared with
(`features.quality.drift`). Values that fewer than `FEWEST_PATIENTS` patients have are pooled, overall and
within a month; identifiers, names and free values are never looked at; quantiles are rounded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import duckdb
from pydantic import BaseModel, ConfigDict, ValidationError

from features.dataset import Declaration
from features.progress import Progress, silent
from features.quality.rules import EVENT_COLUMNS
from features.quality.staged import CODED_TABLES
from features.sql import identifier
from features.tables import TABLES, Table, TableError

SHAPE_FILE = "shape.json"

FEWEST_PATIENTS = 10
"""Below it a cell may single out a patient: the usual limit for published counts."""

FEWEST_ROWS = 50
"""Below it a share or a quantile is mostly chance."""

MOST_VALUES = 200
MOST_BY_MONTH = 60
"""Values of a column that are told apart, the most frequent first: overall, and within a month."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_QUANTILE_ROWS = 2_000_000  # more say nothing new and must lie in memory

# Names, free values and the like; a table of names as a whole.
_NEVER = {"patient_id", "stay_id", "visit_id", "value", "coefficients", "title"}
_COUNTED_ALONE = {"identities", "payment_groups"}


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mix(_Record):
    """Rows by value; `rest` are those of rare values, also of the `hidden` ones, which other months name."""

    values: dict[str, int]
    rest: int
    hidden: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Rows with a value."""
        return sum(self.values.values()) + self.rest


class ColumnShape(_Record):
    """One column: its share of rows without a value, its mix or its quantiles (of `QUANTILES`)."""

    missing: float
    missing_by_month: dict[str, float] = {}
    mix: Mix | None = None
    mix_by_month: dict[str, Mix] = {}
    quantiles: tuple[float, ...] | None = None


class TableShape(_Record):
    """One table; months (`2024-03`) are those of its event, or of its stay. Patients are counted roughly.

    Months of fewer than `FEWEST_PATIENTS` patients are not in `patients_by_month`.
    """

    n_rows: int
    n_patients: int
    rows_by_month: dict[str, int]
    patients_by_month: dict[str, int]
    columns: dict[str, ColumnShape]

    @property
    def rows_per_patient(self) -> float:
        """Rows that come together, of one patient (within a month, where there are months): at least 1."""
        if self.patients_by_month:
            n_rows = sum(self.rows_by_month.get(month, 0) for month in self.patients_by_month)
            return max(n_rows / max(sum(self.patients_by_month.values()), 1), 1.0)
        return max(self.n_rows / max(self.n_patients, 1), 1.0)


class Meaning(_Record):
    """What the declaration says of every row; where it differs, rows mean something else."""

    currency: str
    cost_basis: str
    time_zone: str
    timeline: str
    complete_by: str
    deaths: str
    diagnosis_codes: str | None
    procedure_codes: str | None


class Shape(_Record):
    """The shape of a data set's kept rows; `meaning` is None in one written before it was kept."""

    version: Literal[1] = 1
    observed_until: dt.date | None
    meaning: Meaning | None = None
    tables: dict[str, TableShape]

    def to_json(self) -> str:
        """The text of `shape.json`; the same data set gives the same text."""
        return self.model_dump_json(indent=1, exclude_defaults=True) + "\n"


def read_shape(place: Path) -> Shape:
    """The shape of an earlier ingest: its folder, or its `shape.json`. Raises TableError if there is none."""
    file = place / SHAPE_FILE if place.is_dir() else place
    if not file.is_file():
        raise TableError(f"{place}: no {SHAPE_FILE} there. Name the folder of an earlier `wardcast ingest`.")
    try:
        return Shape.model_validate_json(file.read_bytes())
    except (ValidationError, OSError):
        raise TableError(f"{file}: not the shape of a data set. Ingest the earlier extract again.") from None


def shape_of(
    data: duckdb.DuckDBPyConnection,
    rows: Mapping[str, str],
    declaration: Declaration,
    *,
    progress: Progress = silent,
) -> Shape:
    """The shape of tables, each given as SQL of its typed rows, on the engine `data`."""
    stays_at = "discharged_at" if declaration.complete_by == "discharge" else "admitted_at"
    data.execute(
        "CREATE OR REPLACE TEMP TABLE shape_stays AS SELECT stay_id, hash(patient_id) AS patient, "
        f"{stays_at} AS happened_at FROM ({rows['stays']})"
    )
    tables = {}
    for done, (name, sql) in enumerate(rows.items()):
        progress("measuring the shape", done, len(rows))
        data.execute(
            f"CREATE OR REPLACE TEMP VIEW shape_rows AS {_dated_sql(TABLES[name], sql, declaration)}"
        )
        tables[name] = _table_shape(data, TABLES[name])
    progress("measuring the shape", len(rows), len(rows))
    data.execute("DROP VIEW shape_rows; DROP TABLE shape_stays")
    return Shape(observed_until=declaration.observed_until, meaning=_meaning_of(declaration), tables=tables)


def _meaning_of(declaration: Declaration) -> Meaning:
    return Meaning(
        currency=declaration.currency,
        cost_basis=declaration.cost_basis,
        time_zone=declaration.time_zone,
        timeline=declaration.timeline,
        complete_by=declaration.complete_by,
        deaths=declaration.deaths,
        diagnosis_codes=declaration.code_systems.diagnosis,
        procedure_codes=declaration.code_systems.procedure,
    )


def _dated_sql(table: Table, rows: str, declaration: Declaration) -> str:
    """The rows with `_month` of what they tell of, and a number `_patient`; null where there is none."""
    at = patient = "NULL"
    join = ""
    if table.name != "patients" and table.owner is not None:
        at = f"t.{EVENT_COLUMNS[table.name]}" if table.name in EVENT_COLUMNS else "s.happened_at"
    if table.name == "stays" or table.owner == "stay_id":
        join = "LEFT JOIN shape_stays s ON t.stay_id = s.stay_id"
    if table.owner is not None:
        patient = "s.patient" if table.owner == "stay_id" else "hash(t.patient_id)"
    # Shifted dates of different patients are not of one calendar.
    month = f"date_trunc('month', {at})::DATE" if declaration.has_calendar and at != "NULL" else "NULL::DATE"
    return f"SELECT t.*, {month} AS _month, {patient} AS _patient FROM ({rows}) t {join}"


def _table_shape(data: duckdb.DuckDBPyConnection, table: Table) -> TableShape:
    counts = ", ".join(f"count({identifier(column.name)})" for column in table.columns)
    counted = data.execute(
        f"SELECT _month, count(*), approx_count_distinct(_patient), {counts} FROM shape_rows "
        "GROUP BY _month ORDER BY _month"
    ).fetchall()
    n_patients = data.execute("SELECT approx_count_distinct(_patient) FROM shape_rows").fetchall()[0][0]
    counted = [(_written(row[0]), *row[1:]) for row in counted]
    rows = {month: n for month, n, *_ in counted}
    known = {
        column.name: {row[0]: row[place] for row in counted} for place, column in enumerate(table.columns, 3)
    }
    columns = {name: _fullness(rows, by_month) for name, by_month in known.items()}
    if table.name not in _COUNTED_ALONE:
        for name, expression in _categories(table):
            mix, mix_by_month = _mixes(data, expression, known[_source(name)])
            described = columns.get(name, columns[_source(name)])
            columns[name] = described.model_copy(update={"mix": mix, "mix_by_month": mix_by_month})
        for name, quantiles in _all_quantiles(data, table, sum(rows.values())).items():
            described = columns.get(name, ColumnShape(missing=0.0))
            columns[name] = described.model_copy(update={"quantiles": quantiles})
    dated = [row for row in counted if row[0] is not None]
    return TableShape(
        n_rows=sum(rows.values()),
        n_patients=n_patients,
        rows_by_month={row[0]: row[1] for row in dated},
        patients_by_month={row[0]: row[2] for row in dated if row[2] >= FEWEST_PATIENTS},
        columns=columns,
    )


def _written(first_day: dt.date | None) -> str | None:
    return f"{first_day:%Y-%m}" if first_day is not None else None


def _fullness(rows: Mapping[str | None, int], known: Mapping[str | None, int]) -> ColumnShape:
    n_rows, n_known = sum(rows.values()), sum(known.values())
    by_month = {
        month: _share(n - known[month], n)
        for month, n in rows.items()
        if month is not None and n >= FEWEST_ROWS and n_known < n_rows
    }
    return ColumnShape(missing=_share(n_rows - n_known, n_rows), missing_by_month=by_month)


def _share(n: int, of: int) -> float:
    return round(n / of, 4) if of else 0.0


def _source(name: str) -> str:
    return "code" if name in ("code_1", "code_3") else name


def _categories(table: Table) -> Iterator[tuple[str, str]]:
    """Columns with a mix, and how codes begin: `code_1` nearly is the chapter, `code_3` the category."""
    for column in table.columns:
        if column.type in ("text", "flag") and column.name not in _NEVER:
            yield column.name, f"CAST({identifier(column.name)} AS VARCHAR)"
    if table.name in CODED_TABLES:
        yield "code_1", "left(code, 1)"
        yield "code_3", "left(code, 3)"


def _mixes(
    data: duckdb.DuckDBPyConnection, expression: str, known: Mapping[str | None, int]
) -> tuple[Mix, dict[str, Mix]]:
    # About as many patients as it says: what matters is that they are several.
    rows = f"(SELECT {expression} AS value, _month, _patient FROM shape_rows)"
    frequent = data.execute(
        f"SELECT value, count(*) AS n FROM {rows} WHERE value IS NOT NULL GROUP BY value "
        f"HAVING approx_count_distinct(_patient) >= {FEWEST_PATIENTS} "
        f"ORDER BY n DESC, value LIMIT {MOST_VALUES}"
    ).fetchall()
    months: dict[str, dict[str, int]] = {month: {} for month in known if month is not None}
    hidden: dict[str, list[str]] = {month: [] for month in months}
    if months:
        by_month = data.execute(
            f"SELECT _month, value, count(*), approx_count_distinct(_patient) FROM {rows} "
            "WHERE value IN (SELECT unnest(?::VARCHAR[])) AND _month IS NOT NULL "
            "GROUP BY _month, value ORDER BY ALL",
            [[value for value, _ in frequent[:MOST_BY_MONTH]]],
        ).fetchall()
        for first_day, value, n, n_patients in by_month:
            month = f"{first_day:%Y-%m}"
            if n_patients >= FEWEST_PATIENTS:
                months[month][value] = n
            else:
                hidden[month].append(value)
    return _mix(dict(frequent), sum(known.values())), {
        month: _mix(values, known[month], hidden[month]) for month, values in months.items()
    }


def _mix(values: dict[str, int], known: int, hidden: Sequence[str] = ()) -> Mix:
    return Mix(values=dict(sorted(values.items())), rest=known - sum(values.values()), hidden=tuple(hidden))


def _all_quantiles(
    data: duckdb.DuckDBPyConnection, table: Table, n_rows: int
) -> dict[str, tuple[float, ...]]:
    """The quantiles of every number; of observations by what was observed."""
    numbers = {
        column.name: f"CAST({identifier(column.name)} AS DOUBLE)"
        for column in table.columns
        if column.type in ("integer", "number", "money") and column.name not in _NEVER
    }
    if table.name == "stays":
        numbers["stay_days"] = "CAST(date_diff('day', admitted_at, discharged_at) AS DOUBLE)"
    # By patients, the same ones in every run.
    few = f"_patient % {max(1, -(-n_rows // _MOST_QUANTILE_ROWS))} = 0"
    quantiles = list(QUANTILES)
    found: list[tuple[str, int, list[float]]] = []
    for name, number in numbers.items():
        sql = f"SELECT count({number}), quantile_cont({number}, {quantiles}) FROM shape_rows WHERE {few}"
        found += [(name, *data.execute(sql).fetchall()[0])]
    if table.name == "observations":
        found += data.execute(
            f"SELECT 'value of ' || code, count(*) AS n, quantile_cont(value, {quantiles}) FROM shape_rows "
            f"WHERE {few} GROUP BY code HAVING approx_count_distinct(_patient) >= {FEWEST_PATIENTS} "
            f"ORDER BY n DESC, code LIMIT {MOST_BY_MONTH}"
        ).fetchall()
    # Three digits: a quantile is some patient's value.
    return {
        name: tuple(float(f"{value:.3g}") for value in values)
        for name, n, values in found
        if n >= FEWEST_ROWS
    }
