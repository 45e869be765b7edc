"""Requests and scores of a whole made-up hospital, for the tests of what is served."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from features.dataset import DataSet
from models.champions import Champion, champion_records, read_champion
from serving.requests.schema import REQUEST_TABLES
from serving.settings import ServingSettings


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
