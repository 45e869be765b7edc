"""The check of a data set: every table against its declaration, every row against the rules."""

from __future__ import annotations

import re
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.dataset import UNSEEN_STAYS, Declaration, connect
from features.progress import Progress, silent
from features.pseudonyms import IdKey, pseudonym_sql, use_key
from features.quality.drift import compared
from features.quality.jumps import jumps
from features.quality.report import Quality, RuleRow, TableCount
from features.quality.rules import BEYOND_TOTAL, WHAT_TO_DO, after_observation, conditions
from features.quality.shape import read_shape, shape_of
from features.quality.staged import Staged, missing_columns, open_staged
from features.quality.unknowns import outcome_warnings
from features.sources import Extract, stage_extract
from features.sql import parquet_rows
from features.tables import TABLES, Table, TableError

# Rules that a mistyped day of admission breaks.
_DOUBTFUL_DATES = (
    "'impossible_date', 'discharged_before_admitted', 'after_observation', 'born_after_admission', "
    "'too_old', 'after_death'"
)

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z_]*[0-9]{0,3}")

TRUTH = "truth"
"""The folder where a made-up hospital keeps its true risks; not a table."""


@dataclass(frozen=True)
class Checked:
    """Staged tables with a verdict on every row, held in the data engine `data`.

    The engine holds, per table, `bad_<table>` (_row, reason), and `kept_patients` and `kept_stays`, and
    `earlier_unseen`, the stays that an earlier ingest of the extract set aside, where there are any.
    """

    data: duckdb.DuckDBPyConnection
    declaration: Declaration
    staged: dict[str, Staged]
    rules: tuple[RuleRow, ...]
    warnings: tuple[str, ...]
    has_earlier_unseen: bool = False

    def n_quarantined(self, table: str) -> int:
        """Rows of a table that some rule quarantines."""
        return sum(rule.n_rows for rule in self.rules if rule.table == table)

    def kept_sql(self, table: str) -> str:
        """The rows that keep every rule, with the declared columns and types, and `_row`."""
        if not self.n_quarantined(table):
            return self._typed(table)
        return f"SELECT t.* FROM ({self._typed(table)}) t ANTI JOIN bad_{table} b ON t._row = b._row"

    def quarantine_sql(self, table: str) -> str:
        """The rows that broke a rule, as they stand in the extract, with the reason, in their order."""
        return (
            f"SELECT t.* EXCLUDE (_row), b.reason FROM ({self.staged[table].raw_sql()}) t "
            f"JOIN bad_{table} b ON t._row = b._row ORDER BY b._row"
        )

    def unseen_stays_sql(self) -> str:
        """Patient and admission of each quarantined stay; the admission is null where it is in doubt.

        Those that an earlier ingest set aside stay among them.
        """
        earlier = "SELECT * FROM earlier_unseen UNION ALL " if self.has_earlier_unseen else ""
        return (
            f"{earlier}SELECT t.patient_id, CASE WHEN split_part(b.reason, ': ', 1) NOT IN "
            f"({_DOUBTFUL_DATES}) THEN t.admitted_at END AS admitted_at "
            f"FROM ({self._typed('stays')}) t JOIN bad_stays b ON t._row = b._row "
            "WHERE t.patient_id IS NOT NULL AND coalesce(t.status, '') NOT IN ('booked', 'cancelled') "
            "ORDER BY ALL"
        )

    def _typed(self, table: str) -> str:
        return self.staged[table].typed_sql(self.declaration.time_zone)


def check(
    folder: Path,
    *,
    against: Path | None = None,
    threads: int = 2,
    memory_limit_mb: int = 700,
    progress: Progress = silent,
) -> Quality:
    """The quality report of a folder of canonical tables; nothing is written there.

    With `against`, the folder (or `shape.json`) of an earlier ingest, findings say what changed since.

    Raises TableError with every fatal problem at once: a missing required table or column, duplicate
    keys, an unreadable file.
    """
    earlier = read_shape(against) if against else None
    with tempfile.TemporaryDirectory(prefix="wardcast-check-") as aside:
        staging = Path(aside) / "staging"
        staging.mkdir()
        extract = stage_extract("canonical", folder, staging, progress=progress)
        spill = Path(aside) / "spill"
        with closing(connect(threads=threads, memory_limit_mb=memory_limit_mb, spill=spill)) as data:
            checked = examine(data, staging, extract, Path(aside), progress=progress)
            kept = {name: checked.kept_sql(name) for name in checked.staged}
            shape = shape_of(data, kept, checked.declaration, progress=progress)
    counts = {
        name: TableCount(
            staged.n_rows, staged.n_rows - checked.n_quarantined(name), checked.n_quarantined(name)
        )
        for name, staged in checked.staged.items()
    }
    changed = compared(shape, earlier) if earlier else ()
    findings = (*changed, *jumps(shape))
    return Quality(checked.declaration, counts, checked.rules, checked.warnings, findings, shape)


def examine(
    data: duckdb.DuckDBPyConnection,
    staging: Path,
    extract: Extract,
    scratch: Path,
    *,
    key: IdKey | None = None,
    progress: Progress = silent,
) -> Checked:
    """Give every row of the staged tables its verdict; with a `key` identifiers are read as pseudonyms.

    Raises TableError with every fatal problem.
    """
    declaration = extract.declaration
    if key is not None:
        use_key(data, key)
    staged = _open_all(data, staging, declaration, scratch, hash_ids=key is not None)
    rules: list[RuleRow] = []
    warnings = [
        *extract.notes,
        *(
            f"{folder.name}: not a table of the data contract; it is left out."
            for folder in sorted(staging.iterdir())
            if folder.name not in (*TABLES, TRUTH, UNSEEN_STAYS)
        ),
    ]
    earlier = _earlier_unseen(data, staging / UNSEEN_STAYS, hash_ids=key is not None)
    warnings += earlier
    empty = [name for name, table in staged.items() if declaration.requires(table.table) and not table.n_rows]
    if empty:
        warnings.append(
            f"{', '.join(empty)}: no rows at all, only the header. Ask for the rows: nothing can be "
            "learned or predicted without them."
        )
    for done, (name, table) in enumerate(staged.items()):
        progress("checking tables", done, len(staged))
        _judge(data, table, declaration)
        rules += _report(data, table)
        warnings += _left_out_columns(table)
        if name == "stays":
            warnings += _late_discharges(data, table, declaration)
    warnings += outcome_warnings(data, staged, declaration)
    progress("checking tables", len(staged), len(staged))
    return Checked(data, declaration, staged, tuple(rules), tuple(warnings), bool(earlier))


def _earlier_unseen(data: duckdb.DuckDBPyConnection, file: Path, *, hash_ids: bool) -> list[str]:
    """Read what an earlier ingest knew of the stays it set aside into `earlier_unseen`; say how many."""
    if not file.is_file():
        return []
    patient = pseudonym_sql("patient_id") if hash_ids else "patient_id"
    try:
        data.execute(
            f"CREATE TABLE earlier_unseen AS SELECT {patient} AS patient_id, "
            f"admitted_at::TIMESTAMP AS admitted_at FROM {parquet_rows(file)}"
        )
    except duckdb.Error as error:
        raise TableError(
            f"{UNSEEN_STAYS}: cannot be read as the stays that an ingest set aside (patient_id, "
            "admitted_at). Ingest the extract again, or remove the file."
        ) from error
    n_stays, n_patients = data.execute(
        "SELECT count(*), count(DISTINCT patient_id) FROM earlier_unseen"
    ).fetchall()[0]
    if not n_stays:
        return []
    return [
        f"{UNSEEN_STAYS}: an earlier ingest set {n_stays} stays of {n_patients} patients aside; what became "
        "of these patients stays unknown. Once the stays are corrected and in the extract, remove the file."
    ]


def _open_all(
    data: duckdb.DuckDBPyConnection,
    staging: Path,
    declaration: Declaration,
    scratch: Path,
    *,
    hash_ids: bool,
) -> dict[str, Staged]:
    staged: dict[str, Staged] = {}
    problems: list[str] = []
    for name, table in TABLES.items():
        folder = staging / name
        if not folder.is_dir():
            if declaration.requires(table):
                problems.append(f"{name}: the required table is missing. Add it.")
            continue
        try:
            opened = open_staged(data, table, folder, scratch, hash_ids=hash_ids)
            missing = missing_columns(opened)
            if missing:
                problems.append(f"{name}: required columns are missing: {', '.join(missing)}. Add them.")
                continue
            problems += _fatal_problems(data, opened, declaration)
            staged[name] = opened
        except TableError as error:
            problems.append(str(error))
        except duckdb.FatalException:
            # A badly damaged file can bring the engine down; what it found until then is told.
            if not problems:
                raise
            break
    if problems:
        raise TableError("\n".join(["The data set cannot be used.", *problems]))
    return staged


def _fatal_problems(data: duckdb.DuckDBPyConnection, staged: Staged, declaration: Declaration) -> list[str]:
    unreadable = staged.unreadable_files(data)
    if unreadable:
        return [
            f"{staged.table.name}: file {name} cannot be read to its end. Replace the file."
            for name in unreadable
        ]
    problems = []
    systems = {
        "diagnoses": ("diagnosis", declaration.code_systems.diagnosis),
        "procedures": ("procedure", declaration.code_systems.procedure),
    }
    kind, system = systems.get(staged.table.name, ("", "none"))
    if system is None and "code_system" not in staged.columns:
        problems.append(
            f"{staged.table.name}: their code system is not declared. "
            f"Add code_systems.{kind} to dataset.toml."
        )
    n_rows, first_row = _duplicates(data, staged, declaration)
    if n_rows:
        problems.append(
            f"{staged.table.name}: {n_rows} of {staged.n_rows} rows share their key "
            f"({', '.join(staged.table.key)}) with another row (first at row {first_row}). "
            "Leave only one row per key in the extract."
        )
    return problems


def _duplicates(data: duckdb.DuckDBPyConnection, staged: Staged, declaration: Declaration) -> tuple[int, int]:
    """Rows that share a complete key with another row, and the first of them; (0, 0) if none."""
    if not staged.table.key:
        return 0, 0
    key = ", ".join(f'"{name}"' for name in staged.table.key)
    complete = " AND ".join(f'"{name}" IS NOT NULL' for name in staged.table.key)
    found = data.execute(
        f"SELECT coalesce(sum(n), 0), coalesce(min(first_row), 0) FROM ("
        f"SELECT count(*) AS n, min(_row) AS first_row FROM ({staged.typed_sql(declaration.time_zone)}) "
        f"WHERE {complete} GROUP BY {key} HAVING count(*) > 1)"
    ).fetchall()
    return int(found[0][0]), int(found[0][1])


def _judge(data: duckdb.DuckDBPyConnection, staged: Staged, declaration: Declaration) -> None:
    typed = staged.typed_sql(declaration.time_zone)
    for name, sql in verdicts(staged.table, f"({typed})", declaration).items():
        data.execute(f"CREATE TABLE {name} AS {sql}")


def verdicts(table: Table, typed: str, declaration: Declaration) -> dict[str, str]:
    """SQL of relations by name, in their order: `bad_<table>` (_row, reason), and of patients and stays those
    kept, which what refers to them needs: tables are judged in the order of `TABLES`.

    `typed` is the relation of the table's rows with declared types, their `_row` and `_unreadable`.
    """
    broken = " ".join(f"WHEN {c.sql} THEN '{c.reason}'" for c in conditions(table, declaration))
    bad = (
        f"SELECT _row, reason FROM (SELECT t._row, CASE {broken} END AS reason "
        f"FROM {typed} t {_references(table)}) WHERE reason IS NOT NULL"
    )
    kept = f"FROM {typed} t ANTI JOIN bad_{table.name} b ON t._row = b._row"
    if table.name == "patients":
        alive = f"SELECT patient_id, birth_date, death_date {kept}"
        return {"bad_patients": bad, "kept_patients": alive}
    if table.name == "stays":
        theirs = (
            "SELECT t.stay_id, t.patient_id, t.total_cost, p.birth_date, p.death_date "
            f"{kept} JOIN kept_patients p ON t.patient_id = p.patient_id"
        )
        return {"bad_stays": bad, "kept_stays": theirs}
    if table.name == "charges":
        single = f"FROM {typed} t ANTI JOIN bad_single_charges b ON t._row = b._row"
        beyond = (
            f"FROM bad_single_charges UNION ALL SELECT t._row, 'beyond_total' {single} WHERE t.stay_id IN ("
            f"SELECT t.stay_id {single} JOIN kept_stays s ON t.stay_id = s.stay_id "
            # Antimicrobials are a part of drugs.
            "GROUP BY t.stay_id, s.total_cost HAVING greatest("
            "sum(t.amount) FILTER (t.category = 'antimicrobials'), "
            "sum(t.amount) FILTER (t.category <> 'antimicrobials')"
            f") > s.total_cost * {BEYOND_TOTAL})"
        )
        return {"bad_single_charges": bad, "bad_charges": beyond}
    return {f"bad_{table.name}": bad}


def _references(table: Table) -> str:
    joins = []
    if table.owner == "patient_id" and table.name != "patients":
        joins.append("LEFT JOIN kept_patients p ON t.patient_id = p.patient_id")
    if table.name != "stays" and "stay_id" in table.by_name:
        joins.append("LEFT JOIN kept_stays s ON t.stay_id = s.stay_id")
    return " ".join(joins)


def _report(data: duckdb.DuckDBPyConnection, staged: Staged) -> list[RuleRow]:
    name = staged.table.name
    found = data.execute(
        "SELECT split_part(reason, ': ', 1), list_sort(list(DISTINCT split_part(reason, ': ', 2))), "
        f"count(*), min(_row) FROM bad_{name} GROUP BY 1"
    ).fetchall()
    broken = {rule: rest for rule, *rest in found}
    rows = []
    for rule, what_to_do in WHAT_TO_DO.items():
        if rule in broken:
            columns, n_rows, first_row = broken[rule]
            named = tuple(column for column in columns if column)
            advice = what_to_do + _allowed_values(staged, named) if rule == "not_allowed" else what_to_do
            rows.append(RuleRow(name, rule, named, n_rows, n_rows / staged.n_rows, first_row, advice))
    return rows


def _allowed_values(staged: Staged, columns: tuple[str, ...]) -> str:
    return "".join(f" {name}: {', '.join(staged.table.by_name[name].allowed)}." for name in columns)


def _left_out_columns(staged: Staged) -> list[str]:
    """Columns beyond the declaration; one whose name may be a value, as in a shifted header, is not named."""
    beyond = [name for name in staged.columns if name.lower() not in staged.table.by_name]
    named = [name for name in beyond if _PLAIN_NAME.fullmatch(name)]
    warnings = [
        f"{staged.table.name}: column {name} is not part of the table; it is left out." for name in named
    ]
    if len(named) < len(beyond):
        n = len(beyond) - len(named)
        warnings.append(
            f"{staged.table.name}: {n} columns with unusual names are left out. Is it the header?"
        )
    return warnings


def _late_discharges(data: duckdb.DuckDBPyConnection, staged: Staged, declaration: Declaration) -> list[str]:
    late = after_observation("discharged_at", declaration)
    if not late or declaration.complete_by == "admission":
        return []
    typed = staged.typed_sql(declaration.time_zone)
    n_rows = int(data.execute(f"SELECT count(*) FROM ({typed}) WHERE {late}").fetchall()[0][0])
    if not n_rows:
        return []
    return [
        f"stays: observed_until lies before the newest discharge; {n_rows} of {staged.n_rows} rows are "
        "discharged after it. Declare the date until which the extract is complete."
    ]
