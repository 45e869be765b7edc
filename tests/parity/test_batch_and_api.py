"""Batch and API are one: the same admission gives the same prediction, to the last bit."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from features.build import rows_for_scoring
from features.dataset import DataSet, open_dataset
from features.points import Point
from features.settings import DEFAULT_SETTINGS, FeatureSettings
from serving.api import create_app
from serving.champions.loaded import ChampionSet
from serving.nightly.score import ScoringError, score
from serving.nightly.scored import SCHEMA, combine, top_table
from serving.reasons import sentence
from tests.served import as_answered, comparable, open_to_all, sent


@pytest.fixture(scope="module")
def client(champions_folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(open_to_all(champions_folder, features=DEFAULT_SETTINGS))) as client:
        yield client


def test_an_admission_gets_the_same_prediction_from_batch_and_api_to_the_last_bit(hospital, scored, client):
    rows = pd.read_parquet(scored)
    asked = rows[["stay_id", "prediction_point", "prediction_time"]].drop_duplicates()
    asked = asked.sort_values("stay_id").iloc[:: max(1, len(asked) // 60)]
    assert set(asked["prediction_point"]) == {"admission", "discharge"}
    items = [sent(hospital, row.stay_id, row.prediction_point) for row in asked.itertuples()]
    answers = client.post("/v1/predictions/batch", json={"items": items}).json()["items"]
    for row, item, answer in zip(asked.itertuples(), items, answers, strict=True):
        of_this = (rows["stay_id"] == row.stay_id) & (rows["prediction_point"] == row.prediction_point)
        expected = [as_answered(each, item["records"]) for each in rows[of_this].to_dict("records")]
        assert answer["predictions"] == sorted(expected, key=lambda each: each["model"])
        assert pd.Timestamp(answer["prediction_time"]) == row.prediction_time
        assert answer["provisional"] is False
        # The whole record is sent: of its future the batch knows nothing.
        warnings = [text for text in answer["warnings"] if "lie after the prediction time" not in text]
        told = [text for each in rows[of_this]["warnings"] for text in json.loads(each)]
        assert warnings == [*dict.fromkeys(told)]
    alone = client.post("/v1/predictions", json=items[0]).json()
    assert alone["predictions"] == answers[0]["predictions"]


def test_reasons_name_what_the_file_of_features_holds(hospital, scored):
    row = pd.read_parquet(scored).query("prediction_point == 'admission'").iloc[0]
    frames = rows_for_scoring(hospital, Point.ADMISSION, settings=DEFAULT_SETTINGS)
    features = pd.concat(frame for _, frame in frames).set_index("stay_id").loc[row["stay_id"]]
    reasons = json.loads(row["reasons"])
    # As many as a picture of it shows.
    assert 5 < len(reasons) <= 8
    for reason in reasons:
        value = features[reason["feature"]]
        assert reason["value"] == (None if pd.isna(value) else value)


def test_no_admission_is_lost_and_none_stands_twice(hospital, scored):
    rows = pd.read_parquet(scored)
    assert list(rows.columns) == SCHEMA.names
    assert not rows.duplicated(["stay_id", "target", "prediction_point", "model_version"]).any()
    targets = {Point.ADMISSION: {"readmission", "complication", "cost"}, Point.DISCHARGE: {"readmission"}}
    for point, expected in targets.items():
        frames = [frame for _, frame in rows_for_scoring(hospital, point, settings=DEFAULT_SETTINGS)]
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


def test_neither_chunks_nor_threads_change_a_score(hospital, champions, scored, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.nightly.score.CHUNK_ROWS", 97)
    single = FeatureSettings(threads=1)
    again = score(hospital, champions, tmp_path / "again.parquet", settings=single).path
    pd.testing.assert_frame_equal(comparable(again), comparable(scored), check_exact=True)


SINCE = dt.datetime(2025, 7, 1)


def recent(scored: Path) -> pd.DataFrame:
    rows = comparable(scored)
    return rows[rows["prediction_time"] >= SINCE].reset_index(drop=True)


def test_only_admissions_since_a_time_are_scored_and_csv_holds_what_parquet_holds(
    hospital, champions, scored, tmp_path
):
    done = score(hospital, champions, tmp_path / "scores.csv", settings=DEFAULT_SETTINGS, since=SINCE)
    rows = pd.read_csv(done.path, dtype={"stay_id": "str"}, parse_dates=["prediction_time"])
    before, after = SCHEMA.names[:17], SCHEMA.names[18:]
    assert list(rows.columns) == [*before, *(f"reason_{place}" for place in range(1, 6)), *after]
    rows = rows.sort_values(["stay_id", "target", "prediction_point"]).reset_index(drop=True)
    expected = recent(scored)
    assert 0 < len(expected) < len(comparable(scored))
    for column in ("stay_id", "prediction_time", "value", "raw_output", "low", "band"):
        pd.testing.assert_series_equal(rows[column], expected[column], check_exact=True, check_dtype=False)
    for place in range(5):
        in_words = [
            sentence(json.loads(reasons)[place], scale=scale)
            for reasons, scale in zip(expected["reasons"], expected["scale"], strict=True)
        ]
        assert rows[f"reason_{place + 1}"].tolist() == in_words
    # Admissions at both points count once.
    assert done.n_admissions == expected["stay_id"].nunique() < done.n_rows
    found = {(count.target, count.prediction_point): count.n_rows for count in done.counts}
    assert found == expected.groupby(["target", "prediction_point"]).size().to_dict()


def test_no_cell_of_a_csv_is_a_formula(scored, tmp_path):
    table = pq.read_table(scored).slice(0, 5)
    dangerous = ["=1+1", "+1", "-1", "@A1", "S-1"]
    reason = {"label": "=cmd", "value": 1, "unit": "", "direction": "raises"}
    table = table.set_column(0, "stay_id", pa.array(dangerous))
    table = table.set_column(17, "reasons", pa.array([json.dumps([reason])] * 5))
    pq.write_table(table.cast(SCHEMA), tmp_path / "part.parquet")
    assert combine([tmp_path / "part.parquet"], tmp_path / "scores.csv") == 5
    rows = pd.read_csv(tmp_path / "scores.csv", dtype="str")
    assert rows["stay_id"].tolist() == ["'=1+1", "'+1", "'-1", "'@A1", "S-1"]
    assert rows["reason_1"].str.startswith("'=cmd: 1 (raises").all()
    assert rows["reason_2"].isna().all()
    # Numbers stay numbers, below zero too.
    assert (rows["raw_output"].astype(float) < 0).any()


def test_records_without_dates_have_no_since(hospital, champions, tmp_path):
    undated = hospital.declaration.model_copy(update={"timeline": "none"})
    with pytest.raises(ScoringError, match="--since: these records have no dates"):
        score(DataSet(hospital.path, undated), champions, tmp_path / "x.csv", settings=DEFAULT_SETTINGS,
              since=SINCE)  # fmt: skip


def test_a_table_that_the_champions_learned_from_and_the_data_set_lacks_is_told_with_every_row(
    hospital, champions, tmp_path
):
    lesser = tmp_path / "data"
    lesser.mkdir()
    for part in hospital.path.iterdir():
        if part.name != "visits":
            (lesser / part.name).symlink_to(part)
    done = score(
        open_dataset(lesser), champions, tmp_path / "x.parquet", settings=DEFAULT_SETTINGS, since=SINCE
    )
    assert done.lacking == {loaded.model_id: ("visits",) for loaded in champions.loaded}
    told = pd.read_parquet(tmp_path / "x.parquet")["warnings"].map(json.loads)
    assert told.map(lambda warnings: "visits not sent: unknown, its features are missing" in warnings).all()


def test_the_top_are_the_highest_of_each_target_and_point(hospital, champions, scored, tmp_path):
    out = tmp_path / "top.parquet"
    done = score(hospital, champions, out, settings=DEFAULT_SETTINGS, since=SINCE, top=5)
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
    assert "expected amount)" in costs["reasons"][0][0]


def test_models_of_another_kind_of_data_do_not_score(hospital, champions, tmp_path):
    foreign = DataSet(hospital.path, hospital.declaration.model_copy(update={"currency": "USD"}))
    with pytest.raises(ScoringError, match="its currency differ"):
        score(foreign, champions, tmp_path / "scores.parquet", settings=DEFAULT_SETTINGS)
    undated = DataSet(hospital.path, hospital.declaration.model_copy(update={"timeline": "none"}))
    with pytest.raises(ScoringError, match="its time line differ"):
        score(undated, champions, tmp_path / "scores.parquet", settings=DEFAULT_SETTINGS)
    with pytest.raises(ScoringError, match="No champion"):
        score(hospital, ChampionSet(), tmp_path / "scores.parquet", settings=DEFAULT_SETTINGS)
    refused = ChampionSet(champions.loaded, (("cost-admission/4", "the SHA-256 differs"),))
    with pytest.raises(ScoringError, match="SHA-256"):
        score(hospital, refused, tmp_path / "scores.parquet", settings=DEFAULT_SETTINGS)
    with pytest.raises(ScoringError, match=r"\.parquet or \.csv"):
        score(hospital, champions, tmp_path / "scores.xlsx", settings=DEFAULT_SETTINGS)
    assert list(tmp_path.iterdir()) == []
