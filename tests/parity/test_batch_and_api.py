"""Batch and API are one: the same admission gives the same prediction, to the last bit."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from features.build import build, rows_for_scoring
from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.points import Point
from features.settings import FeatureSettings
from models.artefact import Context, Training, write_artefact
from models.champions import install_champion
from serving.api import create_app
from serving.loaded import ChampionSet, load_champions
from serving.requests import REQUEST_TABLES
from serving.score import ScoringError, score
from serving.scored import SCHEMA, top_table
from serving.settings import ServingSettings
from training.fit import Recipe, fit_model
from training.targets import target_at

SETTINGS = FeatureSettings()
SERVED = (
    ("readmission", Point.ADMISSION),
    ("complication", Point.ADMISSION),
    ("cost", Point.ADMISSION),
    ("readmission", Point.DISCHARGE),
)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    out = tmp_path_factory.mktemp("hospital") / "data"
    ingest("synthetic", None, out, options={"admissions": 3_000}, buckets=3)
    return open_dataset(out)


@pytest.fixture(scope="module")
def champions_folder(hospital: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("models")
    declaration = hospital.declaration
    codes = declaration.code_systems.model_dump(exclude_none=True)
    context = Context(declaration.time_zone, declaration.currency, codes, declaration.cost_basis)
    built = {point: build(hospital, point, work / f"{point}.parquet", settings=SETTINGS)
             for point in (Point.ADMISSION, Point.DISCHARGE)}  # fmt: skip
    for name, point in SERVED:
        target, frame = target_at(name, point), built[point].read()
        labelled = np.flatnonzero(frame[target.label].notna())
        features, training = built[point].features, Training("real", {})
        recipe = Recipe(target, point, features, context, SETTINGS, training, seed=1, threads=2)
        cut = len(labelled) * 2 // 3
        fitted = fit_model(frame, recipe, labelled[:cut], labelled[cut:])
        made = work / f"{name}-{point}"
        digest = write_artefact(made, fitted.model.artefact, fitted.boosters)
        install_champion(work / "champions", made, name=made.name, version=3, digest=digest)
    return work / "champions"


@pytest.fixture(scope="module")
def champions(champions_folder: Path) -> ChampionSet:
    found = load_champions(champions_folder)
    assert found.refused == ()
    return found


@pytest.fixture(scope="module")
def scored(hospital: DataSet, champions: ChampionSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored") / "scored.parquet"
    return score(hospital, champions, out, settings=SETTINGS).path


@pytest.fixture(scope="module")
def client(champions_folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(ServingSettings(champions_folder, features=SETTINGS))) as client:
        yield client


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


def as_answered(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the scored file as the API would answer it."""
    document = {"target": row["target"], "band": row["band"], "percentile": row["percentile"],
                "reasons": json.loads(row["reasons"]), "base_value": row["base_value"],
                "raw_output": row["raw_output"], "scale": row["scale"], "model": row["model"]}  # fmt: skip
    if row["target"] != "cost":
        return document | {"probability": row["value"]}
    interval = {"level": 0.8, "low": row["low"], "high": None if pd.isna(row["high"]) else row["high"]}
    return document | {"expected": row["value"], "currency": row["currency"], "interval": interval}


def test_an_admission_gets_the_same_prediction_from_batch_and_api_to_the_last_bit(hospital, scored, client):
    rows = pd.read_parquet(scored)
    asked = rows[["stay_id", "prediction_point", "prediction_time"]].drop_duplicates()
    asked = asked.sort_values("stay_id").iloc[:: max(1, len(asked) // 60)]
    assert set(asked["prediction_point"]) == {"admission", "discharge"}
    items = [sent(hospital, row.stay_id, row.prediction_point) for row in asked.itertuples()]
    answers = client.post("/v1/predictions/batch", json={"items": items}).json()["items"]
    for row, answer in zip(asked.itertuples(), answers, strict=True):
        of_this = (rows["stay_id"] == row.stay_id) & (rows["prediction_point"] == row.prediction_point)
        expected = [as_answered(each) for each in rows[of_this].to_dict("records")]
        assert answer["predictions"] == sorted(expected, key=lambda each: each["model"])
        assert pd.Timestamp(answer["prediction_time"]) == row.prediction_time
        assert answer["provisional"] is False
    alone = client.post("/v1/predictions", json=items[0]).json()
    assert alone["predictions"] == answers[0]["predictions"]


def test_reasons_name_what_the_file_of_features_holds(hospital, scored):
    row = pd.read_parquet(scored).query("prediction_point == 'admission'").iloc[0]
    frames = rows_for_scoring(hospital, Point.ADMISSION, settings=SETTINGS)
    features = pd.concat(frame for _, frame in frames).set_index("stay_id").loc[row["stay_id"]]
    reasons = json.loads(row["reasons"])
    assert 0 < len(reasons) <= 5
    for reason in reasons:
        value = features[reason["feature"]]
        assert reason["value"] == (None if pd.isna(value) else value)


def test_no_admission_is_lost_and_none_stands_twice(hospital, scored):
    rows = pd.read_parquet(scored)
    assert list(rows.columns) == SCHEMA.names
    assert not rows.duplicated(["stay_id", "target", "prediction_point", "model_version"]).any()
    targets = {Point.ADMISSION: {"readmission", "complication", "cost"}, Point.DISCHARGE: {"readmission"}}
    for point, expected in targets.items():
        frames = [frame for _, frame in rows_for_scoring(hospital, point, settings=SETTINGS)]
        stays = set(pd.concat(frames)["stay_id"])
        here = rows[rows["prediction_point"] == point]
        assert len(here) == len(stays) * len(expected)
        for target in expected:
            assert set(here[here["target"] == target]["stay_id"]) == stays


def test_risks_have_no_interval_and_costs_have_one(scored):
    rows = pd.read_parquet(scored)
    risks, costs = rows[rows["target"] != "cost"], rows[rows["target"] == "cost"]
    assert risks["value"].between(0, 1).all()
    assert risks[["low", "high", "currency"]].isna().all(axis=None)
    assert (costs["low"] > 0).all()
    assert (costs["low"] <= costs["high"].fillna(np.inf)).all()
    assert set(costs["currency"]) == {"CNY"}


def comparable(path: Path) -> pd.DataFrame:
    rows = pd.read_parquet(path).drop(columns=["run_id", "scored_at"])
    return rows.sort_values(["stay_id", "target", "prediction_point"]).reset_index(drop=True)


def test_neither_chunks_nor_threads_change_a_score(hospital, champions, scored, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.score.CHUNK_ROWS", 97)
    single = FeatureSettings(threads=1)
    again = score(hospital, champions, tmp_path / "again.parquet", settings=single).path
    pd.testing.assert_frame_equal(comparable(again), comparable(scored), check_exact=True)


def test_an_interrupted_run_goes_on_where_it_stopped(hospital, champions, scored, tmp_path):
    out = tmp_path / "scores.parquet"
    out.write_text("what stood there")
    seen: list[tuple[str, int]] = []

    def interrupt(step: str, done: int, _total: int) -> None:
        seen.append((step, done))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(hospital, champions, out, settings=SETTINGS, progress=interrupt)
    assert out.read_text() == "what stood there"
    work = tmp_path / ".scores.parquet.partial"
    # Told of 0, 1 and 2 buckets: two parts are whole.
    assert len(list(work.glob("*.parquet"))) == 2
    run_id = json.loads((work / "run.json").read_text())["run_id"]
    seen.clear()
    done = score(hospital, champions, out, settings=SETTINGS, resume=True,
                 progress=lambda step, n, _total: seen.append((step, n)))  # fmt: skip
    assert seen[:2] == [("scoring at admission", 2), ("scoring at admission", 3)]
    assert done.run_id == run_id
    assert done.n_rows == done.n_scored == len(pd.read_parquet(scored))
    pd.testing.assert_frame_equal(comparable(out), comparable(scored), check_exact=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scores.parquet"]


def test_a_leftover_of_another_task_is_not_gone_on_with(hospital, champions, tmp_path):
    def interrupt(_step: str, done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    out = tmp_path / "scores.csv"
    with pytest.raises(KeyboardInterrupt):
        score(hospital, champions, out, settings=SETTINGS, progress=interrupt)
    fewer = ChampionSet(champions.at(Point.DISCHARGE))
    with pytest.raises(ScoringError, match="other data, models or settings"):
        score(hospital, fewer, out, settings=SETTINGS, resume=True)
    done = score(hospital, fewer, out, settings=SETTINGS)
    assert set(pd.read_csv(out)["prediction_point"]) == {"discharge"}
    assert done.n_admissions == done.n_rows
    assert not (tmp_path / ".scores.csv.partial").exists()


SINCE = dt.datetime(2025, 7, 1)


def recent(scored: Path) -> pd.DataFrame:
    rows = comparable(scored)
    return rows[rows["prediction_time"] >= SINCE].reset_index(drop=True)


def test_only_admissions_since_a_time_are_scored_and_csv_holds_what_parquet_holds(
    hospital, champions, scored, tmp_path
):
    done = score(hospital, champions, tmp_path / "scores.csv", settings=SETTINGS, since=SINCE)
    rows = pd.read_csv(done.path, dtype={"stay_id": "str"}, parse_dates=["prediction_time"])
    assert list(rows.columns) == SCHEMA.names
    rows = rows.sort_values(["stay_id", "target", "prediction_point"]).reset_index(drop=True)
    expected = recent(scored)
    assert 0 < len(expected) < len(comparable(scored))
    for column in ("stay_id", "prediction_time", "value", "raw_output", "low", "reasons", "band"):
        pd.testing.assert_series_equal(rows[column], expected[column], check_exact=True, check_dtype=False)


def test_the_top_are_the_highest_of_each_target_and_point(hospital, champions, scored, tmp_path):
    out = tmp_path / "top.parquet"
    done = score(hospital, champions, out, settings=SETTINGS, since=SINCE, top=5)
    # Three targets at admission and one at discharge.
    assert done.n_rows == 4 * 5
    everything = recent(scored)
    assert done.n_scored == len(everything)
    for (target, point), group in pd.read_parquet(out).groupby(["target", "prediction_point"]):
        of_this = everything[(everything["target"] == target) & (everything["prediction_point"] == point)]
        assert group["value"].tolist() == of_this["value"].nlargest(5).tolist()


def test_the_top_table_reads_as_sentences_about_the_highest_predictions(scored):
    table = top_table(scored, 5)
    rows = pd.read_parquet(scored)
    at_discharge = rows[(rows["target"] == "readmission") & (rows["prediction_point"] == "discharge")]
    assert table["value"].tolist() == at_discharge["value"].nlargest(5).tolist()
    assert set(table["prediction_point"]) == {"discharge"}
    for reasons in table["reasons"]:
        assert all(text.endswith(("(raises the risk)", "(lowers the risk)")) for text in reasons)
    costs = top_table(scored, 3, target="cost")
    assert "expected cost)" in costs["reasons"][0][0]


def test_models_of_another_kind_of_data_do_not_score(hospital, champions, tmp_path):
    foreign = DataSet(hospital.path, hospital.declaration.model_copy(update={"currency": "USD"}))
    with pytest.raises(ScoringError, match="its currency differ"):
        score(foreign, champions, tmp_path / "scores.parquet", settings=SETTINGS)
    with pytest.raises(ScoringError, match="No champion"):
        score(hospital, ChampionSet(), tmp_path / "scores.parquet", settings=SETTINGS)
    refused = ChampionSet(champions.loaded, (("cost-admission/4", "the SHA-256 differs"),))
    with pytest.raises(ScoringError, match="SHA-256"):
        score(hospital, refused, tmp_path / "scores.parquet", settings=SETTINGS)
    with pytest.raises(ScoringError, match=r"\.parquet or \.csv"):
        score(hospital, champions, tmp_path / "scores.xlsx", settings=SETTINGS)
    assert list(tmp_path.iterdir()) == []
