"""The tables of an extract as views: a file, several files or a folder each; empty where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from features.delimited import csv_to_parquet, opened
from features.sources.reading import Reader, files_of
from features.sql import identifier
from features.tables import TableError

REQUIRED = {
    "person": ("person_id", "gender_concept_id", "year_of_birth"),
    "visit_occurrence": (
        "visit_occurrence_id",
        "person_id",
        "visit_concept_id",
        "visit_start_date",
        "visit_end_date",
        "care_site_id",
        "admitted_from_concept_id",
        "discharged_to_concept_id",
    ),
}
EVENTS = {
    "condition_occurrence": (
        "visit_occurrence_id",
        "condition_status_concept_id",
        "condition_source_value",
        "condition_source_concept_id",
    ),
    "procedure_occurrence": (
        "visit_occurrence_id",
        "procedure_date",
        "procedure_source_value",
        "procedure_source_concept_id",
    ),
    "measurement": (
        "person_id",
        "visit_occurrence_id",
        "measurement_concept_id",
        "measurement_date",
        "measurement_source_value",
        "value_as_number",
        "unit_concept_id",
        "unit_source_value",
    ),
    "observation": (
        "person_id",
        "visit_occurrence_id",
        "observation_concept_id",
        "observation_date",
        "observation_source_value",
        "value_as_number",
        "unit_concept_id",
        "unit_source_value",
    ),
    "drug_exposure": (
        "person_id",
        "visit_occurrence_id",
        "drug_concept_id",
        "drug_exposure_start_date",
        "drug_exposure_end_date",
        "drug_source_value",
    ),
    "death": ("person_id", "death_date"),
    "care_site": ("care_site_id", "care_site_source_value"),
    "payer_plan_period": (
        "person_id",
        "payer_plan_period_start_date",
        "payer_plan_period_end_date",
        "payer_source_value",
    ),
    "cost": (
        "cost_event_id",
        "cost_domain_id",
        "currency_concept_id",
        "total_charge",
        "total_cost",
        "total_paid",
        "paid_by_patient",
        "drg_source_value",
    ),
}
VOCABULARY = {
    "concept": ("concept_id", "vocabulary_id", "concept_class_id", "concept_code"),
    "concept_ancestor": ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"),
}
_OPTIONAL = {
    "person": ("month_of_birth", "day_of_birth", "birth_datetime"),
    "visit_occurrence": ("visit_start_datetime", "visit_end_datetime"),
    "procedure_occurrence": ("procedure_datetime",),
    "measurement": ("measurement_datetime", "measurement_source_concept_id"),
    "observation": ("observation_datetime", "observation_source_concept_id"),
    "drug_exposure": ("drug_exposure_start_datetime", "drug_exposure_end_datetime", "route_source_value"),
}
_WHOLE = ("year_of_birth", "month_of_birth", "day_of_birth")


def open_tables(source: Reader, folder: Path) -> frozenset[str]:
    """Make a view of every table; return the names of those that the extract holds.

    Raises TableError if person or visit_occurrence, or a column, is missing.
    """
    found = {name: files_of(folder, name) for name in (*REQUIRED, *EVENTS, *VOCABULARY)}
    missing = [name for name in REQUIRED if not found[name]]
    if missing:
        raise TableError(f"{folder}: no table {', '.join(missing)} there. Add its file or folder.")
    for name, columns in (REQUIRED | EVENTS | VOCABULARY).items():
        if not found[name]:
            nulls = [*columns, *_OPTIONAL.get(name, ()), "_row"]
            source.data.execute(
                f"CREATE VIEW {name} AS "
                f"SELECT {', '.join(f'NULL::VARCHAR AS {column}' for column in nulls)} WHERE false"
            )
            continue
        _open(source, name, found[name], columns)
    return frozenset(name for name, files in found.items() if files)


def _open(source: Reader, name: str, files: Sequence[Path], columns: Sequence[str]) -> None:
    separator = "\t" if _is_tabbed(files[0]) else None
    if name in VOCABULARY and separator:
        files = [_unquoted(source, file, f"{name}.{n}") for n, file in enumerate(files)]
    view = f"{name}_as_it_is"
    source.open(view, files, required=columns, optional=_OPTIONAL.get(name, ()), delimiter=separator)
    # Tools that know no empty whole number write 7 as 7.0.
    whole = ", ".join(
        f"regexp_replace({identifier(column)}, '\\.0+$', '') AS {identifier(column)}"
        for column in source.columns(view)
        if column.endswith("_id") or column in _WHOLE
    )
    source.data.execute(f"CREATE VIEW {name} AS SELECT * REPLACE ({whole}) FROM {view}")


def _is_tabbed(file: Path) -> bool:
    if file.name.lower().endswith(".parquet"):
        return False
    try:
        with opened(file) as content:
            return b"\t" in content.readline(1 << 20)
    except (OSError, EOFError):
        return False  # reading it will say what is wrong


def _unquoted(source: Reader, file: Path, name: str) -> Path:
    """A vocabulary file of Athena: its names hold quotes as they come, so that none of them quotes."""
    target = source.scratch / f"{name}.unquoted.parquet"
    try:
        csv_to_parquet(source.data, file, target, delimiter="\t", quoted=False)
    except TableError as error:
        raise TableError(f"{file.name} {error}") from None
    return target
