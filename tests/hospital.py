"""Small hospitals written as text, so that a test's facts are in sight."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pandas as pd

from features.build import PatientLevelData, build
from features.dataset import CodeSystems, DataSet, Declaration, Labels, ReadmissionLabel, bucket_sql
from features.points import Point
from features.settings import DEFAULT_SETTINGS, FeatureSettings
from features.tables import SQL_TYPES, TABLES
from tests.tables import table

DEFAULTS: dict[str, dict[str, str]] = {
    "patients": {"birth_date": "1950-01-01", "sex": "female"},
    "stays": {"hospital_id": "H1", "status": "discharged", "admission_type": "emergency"},
    "diagnoses": {"kind": "discharge", "position": "1", "code": "J449"},
    "procedures": {"position": "1"},
    "observations": {},
    "visits": {"kind": "emergency"},
}


def hospital(
    folder: Path,
    *,
    observed_from: str = "2023-01-01",
    observed_until: str = "2024-12-31",
    complete_by: str = "admission",
    deaths: str = "registry",
    variant: str = "cms",
    buckets: int = 1,
    without: tuple[str, ...] = (),
    **tables: str | pd.DataFrame,
) -> DataSet:
    """Write a canonical data set from texts.

    A stay without a diagnosis gets one (J449, chronic pulmonary disease); patients are made for the
    stays where none are given. Without procedures there were none, unless the table is in `without`; with
    diagnoses in `without` no code system is declared for them either.
    """
    frames = {name: table(text) if isinstance(text, str) else text for name, text in tables.items()}
    frames.setdefault("procedures", pd.DataFrame({"stay_id": [], "code": []}, dtype="object"))
    frames = {name: frame for name, frame in frames.items() if name not in without}
    if "patients" not in frames:
        frames["patients"] = frames["stays"][["patient_id"]].drop_duplicates()
    if "diagnoses" not in frames and "diagnoses" not in without:
        frames["diagnoses"] = frames["stays"][["stay_id"]].assign(present_on_admission="Y")
    declaration = Declaration(
        name="test",
        source="test",
        currency="CNY",
        cost_basis="billed",
        time_zone="Asia/Shanghai",
        timeline="real",
        observed_from=dt.date.fromisoformat(observed_from),
        observed_until=dt.date.fromisoformat(observed_until),
        complete_by=complete_by,  # type: ignore[arg-type]
        deaths=deaths,  # type: ignore[arg-type]
        code_systems=CodeSystems(diagnosis=None if "diagnoses" in without else "icd10", procedure="icd9cm3"),
        labels=Labels(readmission=ReadmissionLabel(kind="derived", variant=variant)),  # type: ignore[arg-type]
        buckets=buckets,
    )
    write(folder, declaration, frames)
    return DataSet(folder, declaration)


def write(folder: Path, declaration: Declaration, frames: dict[str, pd.DataFrame]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.toml").write_text(declaration.to_toml(), "utf-8")
    with duckdb.connect() as con:
        for name, given in frames.items():
            frame = given.assign(
                **{
                    column: given[column].fillna(value) if column in given else value
                    for column, value in DEFAULTS.get(name, {}).items()
                }
            )
            declared = TABLES[name]
            columns = ", ".join(
                f'"{c.name}"::{SQL_TYPES[c.type]} AS "{c.name}"'
                if c.name in frame
                else f'NULL::{SQL_TYPES[c.type]} AS "{c.name}"'
                for c in declared.columns
            )
            con.register("given", frame.astype("object"))
            con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT {columns} FROM given")
        for name in frames:
            owner = TABLES[name].owner
            for bucket in range(declaration.buckets):
                target = folder / name / f"bucket={bucket}"
                target.mkdir(parents=True, exist_ok=True)
                if owner == "patient_id":
                    where = f"WHERE {bucket_sql('patient_id', declaration.buckets)} = {bucket}"
                else:
                    where = (
                        f"WHERE stay_id IN (SELECT stay_id FROM stays WHERE "
                        f"{bucket_sql('patient_id', declaration.buckets)} = {bucket})"
                    )
                con.execute(f"COPY (SELECT * FROM {name} {where}) TO '{target}/data.parquet'")


def rows(dataset: DataSet, point: Point, settings: FeatureSettings = DEFAULT_SETTINGS) -> pd.DataFrame:
    """The data set of a point, by stay."""
    return built(dataset, point, settings).read().set_index("stay_id").sort_index()


def built(dataset: DataSet, point: Point, settings: FeatureSettings = DEFAULT_SETTINGS) -> PatientLevelData:
    return build(dataset, point, dataset.path / f"{point}.parquet", settings=settings)


def flow(dataset: DataSet, point: Point) -> dict[str, int]:
    return {step.step: step.n for step in built(dataset, point).flow}


def told(frame: pd.DataFrame, column: str) -> dict[str, float | None]:
    """A label by stay; None where it is missing."""
    return {str(stay): None if pd.isna(value) else float(value) for stay, value in frame[column].items()}


def quarantine(extract: DataSet, patient_id: str, admitted_at: str | None) -> None:
    """One stay of the patient lies in quarantine; its admission may be unreadable (None)."""
    unseen = pd.DataFrame({"patient_id": [patient_id], "admitted_at": pd.to_datetime([admitted_at])})
    unseen.to_parquet(extract.path / "unseen_stays.parquet")
