"""Requests and scores of a whole made-up hospital, for the tests of what is served."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from features.build import PatientLevelData, build
from features.dataset import DataSet
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from models.artefact import Context, Training
from models.champions import Champion, champion_records, install_champion, read_champion
from models.storage import write_artefact
from serving.reasons import N_REASONS, tell
from serving.reasons.languages import Language
from serving.requests.schema import REQUEST_TABLES
from serving.settings import ServingSettings
from training.fit import Recipe, fit_model
from training.targets import target_at


def as_json(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, dt.date) else value


def sent(hospital: DataSet, stay_id: str, point: str) -> dict[str, Any]:
    """A request with all of the patient's rows, those after the prediction time too."""
    records: dict[str, Any] = {}
    with duckdb.connect() as con:
        con.execute(f"CREATE VIEW all_stays AS {hospital.select(REQUEST_TABLES['stays'])}")
        con.execute("SET VARIABLE asked = $1", [stay_id])
        patient = "SELECT patient_id FROM all_stays WHERE stay_id = getvariable('asked')"
        for name, table in REQUEST_TABLES.items():
            if not hospital.has(name):
                continue
            theirs = f"patient_id IN ({patient})"
            if table.owner == "stay_id":
                theirs = f"stay_id IN (SELECT stay_id FROM all_stays WHERE {theirs})"
            found = con.sql(f"SELECT * FROM ({hospital.select(table)}) WHERE {theirs}")
            rows = (zip(found.columns, row, strict=True) for row in found.fetchall())
            records[name] = [
                {column: as_json(value) for column, value in row if value is not None} for row in rows
            ]
    return {
        "stay_id": stay_id,
        "prediction_point": point,
        "history_from": str(hospital.declaration.observed_from),
        "currency": "CNY",
        "records": records,
    }


def requests_of(hospital: DataSet, bucket: int) -> dict[str, dict[str, Any]]:
    """By stay of a bucket the records to send with it: all of its patient's rows."""
    by_patient: dict[object, dict[str, Any]] = {}
    patient_of: dict[object, object] = {}
    with duckdb.connect() as con:
        for name, table in REQUEST_TABLES.items():
            if not hospital.has(name):
                continue
            found = con.execute(hospital.select(table, bucket))
            columns = [column[0] for column in found.description or ()]
            for values in found.fetchall():
                row = dict(zip(columns, values, strict=True))
                owner = patient_of[row["stay_id"]] if table.owner == "stay_id" else row["patient_id"]
                if name == "stays":
                    patient_of[row["stay_id"]] = owner
                theirs = by_patient.setdefault(
                    owner, {held: [] for held in REQUEST_TABLES if hospital.has(held)}
                )
                theirs[name].append(
                    {column: as_json(value) for column, value in row.items() if value is not None}
                )
    return {str(stay): by_patient[patient] for stay, patient in patient_of.items()}


def as_answered(row: Mapping[str, Any], records: Collection[str]) -> dict[str, Any]:
    """A row of the scored file as the API would answer it to these tables of records, in words too."""
    document = {"target": row["target"], "band": row["band"], "percentile": row["percentile"],
                "reasons": json.loads(row["reasons"])[:N_REASONS], "base_value": row["base_value"],
                "raw_output": row["raw_output"], "scale": row["scale"], "model": row["model"]}  # fmt: skip
    if row["unit"] == "probability":
        document["probability"] = row["value"]
    else:
        low, high, currency = (
            None if pd.isna(row[name]) else row[name] for name in ("low", "high", "currency")
        )
        document |= {"expected": row["value"], "unit": row["unit"], "currency": currency,
                     "interval": {"level": 0.8, "low": low, "high": high}}  # fmt: skip
    return tell(document, Language.EN, not_sent=REQUEST_TABLES.keys() - set(records))


def train_champions(
    hospital: DataSet, work: Path, served: Iterable[tuple[str, Point]], *, version: int = 3
) -> Path:
    """Quickly trained champions of targets at prediction points; returns their folder."""
    declaration = hospital.declaration
    codes = declaration.code_systems.model_dump(exclude_none=True)
    context = Context(declaration.time_zone, declaration.currency, codes, declaration.cost_basis)
    built: dict[Point, PatientLevelData] = {}
    for name, point in served:
        if point not in built:
            built[point] = build(hospital, point, work / f"{point}.parquet", settings=DEFAULT_SETTINGS)
        target, frame = target_at(name, point), built[point].read()
        labelled = np.flatnonzero(frame[target.label].notna())
        features, training = built[point].features, Training("real", {})
        recipe = Recipe(target, point, features, context, DEFAULT_SETTINGS, training, seed=1, threads=2)
        cut = len(labelled) * 2 // 3
        fitted = fit_model(frame, recipe, labelled[:cut], labelled[cut:])
        made = work / f"{name}-{point}"
        digest = write_artefact(made, fitted.model.artefact, fitted.boosters)
        install_champion(work / "champions", made, name=made.name, version=version, digest=digest)
    return work / "champions"


def open_to_all(champions: Path, *, folder: Path | None = None, **limits: Any) -> ServingSettings:
    """Settings of a server that asks nobody who they are, with a store and an audit log of its own."""
    own = folder or champions.with_name(f"{champions.name}-served-{uuid.uuid4().hex}")
    return ServingSettings(champions, folder=own, insecure_demo=True, **limits)


def comparable(path: Path) -> pd.DataFrame:
    rows = pd.read_parquet(path).drop(columns=["run_id", "scored_at"])
    return rows.sort_values(["stay_id", "target", "prediction_point"]).reset_index(drop=True)


def in_force(champions: Path) -> list[Champion]:
    """The champions of a folder, by name."""
    return [read_champion(record) for record in champion_records(champions)]
