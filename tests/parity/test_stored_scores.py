"""Nightly scores in the store: every admission as the API would have answered it, once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa

from features.points import Point
from features.settings import DEFAULT_SETTINGS
from serving.champions.loaded import LiveChampions
from serving.database.connection import open_database, reading
from serving.database.tables import PREDICTED_TARGETS, PREDICTIONS
from serving.nightly import storing
from serving.nightly.score import Keep, score
from serving.nightly.storing import store_scored
from serving.predictions.answers import Answers
from serving.reasons import N_STORED
from serving.settings import ServingSettings
from serving.store.predictions import PredictionStore
from serving.store.stored import Stored
from serving.store.worklist import MAX_TOP
from tests.served import sent
from tests.stored import answer

SINCE = pd.Timestamp("2025-09-01")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: sa.Engine) -> PredictionStore:
    return PredictionStore(engine)


@pytest.fixture
def keep(store, hospital, champions) -> Keep:
    return partial(
        store_scored, store=store, dataset=hospital, champions=champions, settings=DEFAULT_SETTINGS
    )


@pytest.fixture(scope="module")
def recent(scored: Path) -> pd.DataFrame:
    rows = pd.read_parquet(scored)
    return rows[rows["prediction_time"] >= SINCE]


def n_stored(engine: sa.Engine) -> tuple[int, int]:
    with reading(engine) as connection:
        return tuple(
            connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in (PREDICTIONS, PREDICTED_TARGETS)
        )


def test_each_scored_admission_is_stored_as_the_api_answers_it(
    hospital, champions, champions_folder, recent, store, engine, keep, tmp_path
):
    # `top` shortens the file, not what is stored.
    score(
        hospital, champions, tmp_path / "scores.csv", settings=DEFAULT_SETTINGS, since=SINCE, keep=keep, top=3
    )
    keys = recent[["stay_id", "prediction_point"]].drop_duplicates()
    assert n_stored(engine) == (len(keys), len(recent))
    asked = keys.iloc[:: max(1, len(keys) // 40)]
    assert set(asked["prediction_point"]) == {"admission", "discharge"}
    items = [sent(hospital, row.stay_id, row.prediction_point) for row in asked.itertuples()]
    answers = Answers(LiveChampions(champions_folder), ServingSettings(champions_folder))
    for answered in answers.batch(items, n_reasons=N_STORED):
        found = store.latest(answered["stay_id"], Point(answered["prediction_point"]))
        # Warnings of the API are about what was sent.
        told = {"warnings", "scored_at"}
        assert {name: value for name, value in found.document.items() if name not in told} == {
            name: value for name, value in Stored(answered).kept.items() if name not in told
        }
        assert set(found.document["warnings"]) <= set(answered["warnings"])
        assert found.stored_by == "wardcast score"


def test_a_stored_score_belongs_to_the_department_of_its_stay(hospital, champions, store, keep, tmp_path):
    score(hospital, champions, tmp_path / "scores.csv", settings=DEFAULT_SETTINGS, since=SINCE, keep=keep)
    with duckdb.connect() as con:
        from features.tables import STAYS

        stays = con.sql(hospital.select(STAYS)).df().set_index("stay_id")
    rows = store.worklist(top=MAX_TOP).rows
    assert len(rows) > 50
    assert len({row.department for row in rows}) > 1
    for row in rows:
        stay = stays.loc[row.stay_id]
        admitted_by, discharged_by = stay["admission_department"], stay["discharge_department"]
        leaving = row.prediction_point == "discharge" and not pd.isna(discharged_by)
        assert row.department == (discharged_by if leaving else admitted_by)


def test_a_night_in_which_nothing_changed_adds_nothing(hospital, champions, engine, keep, tmp_path):
    for name in ("monday.csv", "tuesday.csv"):
        score(hospital, champions, tmp_path / name, settings=DEFAULT_SETTINGS, since=SINCE, keep=keep)
        stored = n_stored(engine)
        assert stored[0] > 100
        if name == "monday.csv":
            first = stored
    assert stored == first


def test_a_run_that_was_interrupted_while_it_stored_goes_on_and_stores_the_rest_once(
    hospital, champions, recent, store, engine, keep, tmp_path, monkeypatch
):
    monkeypatch.setattr(storing, "SAVED_AT_ONCE", 20)
    save, n_calls = PredictionStore.save, 0

    def interrupted(self, answers, **options):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4:
            raise KeyboardInterrupt
        return save(self, answers, **options)

    monkeypatch.setattr(PredictionStore, "save", interrupted)
    out = tmp_path / "scores.parquet"
    run = partial(score, hospital, champions, out, settings=DEFAULT_SETTINGS, since=SINCE, keep=keep)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert n_stored(engine)[0] == 60
    assert not out.exists()
    # Meanwhile somebody asked about a stay that the run had stored.
    seen = store.worklist(top=1).rows[0].stay_id
    store.save([answer(seen, 0.9, scored_at="2099-01-01T00:00:00Z")])
    assert run(resume=True).resumed
    keys = recent[["stay_id", "prediction_point"]].drop_duplicates()
    assert n_stored(engine) == (len(keys) + 1, len(recent) + 1)
    assert len(pd.read_parquet(out)) == len(recent)
