"""The history that the server holds: predicted from it, an admission is as it is in the batch."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from features.dataset import CodeSystems, DataSet, open_dataset
from features.online import OnlineFeatures
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from features.tables import STAYS, TableError
from models.artefact import Context
from serving.api import create_app
from serving.champions.loaded import ChampionSet
from serving.predictions.predictor import fact_features, predict
from serving.problems import Problem
from serving.requests.history import Held, HeldHistory, HistoryNotReadError, read_held_request
from serving.requests.indexed import Indexed, index_stays
from serving.requests.schema import HeldRequest
from serving.settings import ServingSettings
from tests.hospital import hospital as small_hospital
from tests.served import sent

SECRET = "Zhang-Wei-4711"


def everybody(_department: str | None) -> bool:
    return True


def asked(stay_id: str, point: str = "admission", **more: Any) -> HeldRequest:
    return read_held_request({"stay_id": stay_id, "prediction_point": point, **more})


@pytest.fixture(scope="module")
def context(champions: ChampionSet) -> Context:
    return champions.loaded[0].model.artefact.context


@pytest.fixture(scope="module")
def history(hospital: DataSet) -> HeldHistory:
    return HeldHistory(hospital.path)


def refused(history: HeldHistory, request: HeldRequest, context: Context, sees=everybody) -> Problem:
    with pytest.raises(Problem) as told:
        history.held(request, context, sees, is_dated=True)
    assert SECRET not in json.dumps(told.value.document())
    return told.value


def test_an_admission_predicted_from_held_records_is_as_in_the_batch_to_the_last_bit(
    hospital, champions, scored, history, context
):
    rows = pd.read_parquet(scored)
    for point in (Point.ADMISSION, Point.DISCHARGE):
        here = rows[rows["prediction_point"] == point]
        stays = sorted(here["stay_id"].unique())[::40]
        assert len(stays) > 20
        models = champions.at(point)
        held = [
            history.held(asked(stay, point.value), context, everybody, is_dated=True).records
            for stay in stays
        ]
        features = OnlineFeatures(CodeSystems.model_validate(context.code_systems), DEFAULT_SETTINGS)
        found = features.rows(held, facts=fact_features(models, held))
        assert not any(found.provisional)
        for model in models:
            scores = predict(model, found.features, threads=1)
            own = here[here["model"] == model.model_id].set_index("stay_id").loc[stays]
            np.testing.assert_array_equal(scores.prediction.value, own["value"].to_numpy())
            np.testing.assert_array_equal(scores.prediction.raw_output, own["raw_output"].to_numpy())
        assert [pd.Timestamp(time) for time in found.prediction_times] == own["prediction_time"].tolist()


def test_a_stay_alone_is_answered_from_held_records_as_in_the_batch_and_kept_if_asked_to(
    hospital, champions_folder, scored, tmp_path
):
    rows = pd.read_parquet(scored, filters=[("prediction_point", "=", "discharge")]).iloc[::300]
    settings = ServingSettings(
        champions_folder,
        folder=tmp_path,
        history=hospital.path,
        insecure_demo=True,
        features=DEFAULT_SETTINGS,
    )
    with TestClient(create_app(settings)) as client:
        for row in rows.itertuples():
            question = {"stay_id": row.stay_id, "prediction_point": "discharge"}
            answered = client.post("/v1/predictions?store=true", json=question).json()
            (prediction,) = answered["predictions"]
            assert (prediction["probability"], prediction["raw_output"]) == (row.value, row.raw_output)
            stored = client.get(f"/v1/admissions/{row.stay_id}/prediction").json()
            assert stored == answered | {"stored_by": "insecure-demo"}
        listed = client.get("/v1/worklist?since=1900-01-01&top=500").json()["items"]
        assert [item["stay_id"] for item in listed] == rows.sort_values("value")["stay_id"].tolist()[::-1]
        unknown = client.post("/v1/predictions", json={"stay_id": SECRET, "prediction_point": "discharge"})
        assert (unknown.status_code, SECRET in unknown.text) == (404, False)


def test_held_are_all_rows_of_the_patient_and_nobody_elses(hospital, history, context):
    with duckdb.connect() as con:
        stays = con.sql(hospital.select(STAYS)).df()
    busy = stays["patient_id"].value_counts().index[0]
    stay_id = stays.loc[stays["patient_id"] == busy, "stay_id"].iloc[0]
    held = history.held(asked(stay_id), context, everybody, is_dated=True).records
    expected = sent(hospital, stay_id, "admission")["records"]
    assert {name: len(rows) for name, rows in held.tables.items()} == {
        name: len(rows) for name, rows in expected.items()
    }
    assert len(held.tables["stays"]) == (stays["patient_id"] == busy).sum() > 1
    assert {row["patient_id"] for row in held.tables["patients"]} == {busy}
    assert held.history_from == hospital.declaration.observed_from


SMALL = """
    stay_id | patient_id | admitted_at         | discharged_at       | admission_department | discharge_department | status
    S1      | P1         | 2024-03-01T10:00:00 | 2024-03-05T10:00:00 | emergency            | cardiology           | discharged
    S2      | P2         | 2024-12-30T10:00:00 |                     | surgery              |                      | in
    S3      | P3         | 2024-12-30T10:00:00 |                     |                      |                      | in
"""  # noqa: E501


@pytest.fixture
def small(tmp_path: Path) -> DataSet:
    return small_hospital(tmp_path / "data", stays=SMALL, buckets=3)


@pytest.fixture
def of_small(small: DataSet) -> Context:
    declaration = small.declaration
    codes = declaration.code_systems.model_dump(exclude_none=True)
    return Context(declaration.time_zone, declaration.currency, codes, declaration.cost_basis)


def held_by(folder: Path, stay_id: str, point: str, context: Context) -> Held:
    return HeldHistory(folder).held(asked(stay_id, point), context, everybody, is_dated=True)


def test_a_stay_belongs_to_its_department_at_the_point(small, of_small):
    found = {
        (stay, point): held_by(small.path, stay, point, of_small).department
        for stay, point in (
            ("S1", "admission"),
            ("S1", "discharge"),
            ("S2", "admission"),
            ("S3", "admission"),
        )
    }
    assert list(found.values()) == ["emergency", "cardiology", "surgery", None]


def test_another_departments_stay_is_as_unknown_as_one_that_is_not_there(small, of_small):
    history = HeldHistory(small.path)
    told = [
        refused(history, asked(stay, "admission"), of_small, lambda department: department == "surgery")
        for stay in ("S1", "S3", SECRET)
    ]
    assert {(problem.kind.status, json.dumps(problem.document())) for problem in told} == {
        (404, json.dumps(told[0].document()))
    }
    # Nor does what the record lacks give the stay away.
    assert refused(history, asked("S3", "discharge"), of_small, bool).kind.status == 404
    assert (
        history.held(
            asked("S2"), of_small, lambda department: department == "surgery", is_dated=True
        ).department
        == "surgery"
    )


def test_a_stay_that_has_not_come_so_far_is_told(small, of_small):
    history = HeldHistory(small.path)
    problem = refused(history, asked("S2", "discharge"), of_small)
    assert (problem.kind.status, problem.errors[0].field) == (422, "prediction_point")
    assert "no discharged_at" in problem.errors[0].message
    # As of a time during the stay it can be asked.
    at = asked("S2", "discharge", prediction_time="2024-12-31T10:00:00")
    assert history.held(at, of_small, everybody, is_dated=True).records.prediction_time == dt.datetime(
        2024, 12, 31, 10
    )
    # 09:00 in Shanghai, before the admission at 10:00.
    early = asked("S2", prediction_time="2024-12-30T01:00:00Z")
    assert refused(history, early, of_small).errors[0].field == "prediction_time"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"stay_id": "S1"}, "prediction_point"),
        ({"prediction_point": "admission"}, "stay_id"),
        ({"stay_id": "S1", "prediction_point": SECRET}, "prediction_point"),
        ({"stay_id": "x" * 201, "prediction_point": "admission"}, "stay_id"),
        ({"stay_id": "S1", "prediction_point": "admission", "prediction_time": SECRET}, "prediction_time"),
        ({"stay_id": "S1", "prediction_point": "admission", SECRET: 1}, ""),
        ([SECRET], ""),
    ],
)
def test_a_request_that_is_not_as_declared_is_refused(content, field):
    with pytest.raises(Problem) as told:
        read_held_request(content)
    problem = told.value
    assert (problem.kind.status, [error.field for error in problem.errors]) == (422, [field])
    assert SECRET not in json.dumps(problem.document())


def test_models_of_another_kind_of_data_are_not_asked(small, of_small):
    other = Context(of_small.time_zone, "USD", of_small.code_systems, of_small.cost_basis)
    problem = refused(HeldHistory(small.path), asked("S1"), other)
    assert (problem.kind.name, problem.kind.status) == ("records-required", 422)
    assert "currency" in problem.detail


def test_a_new_data_set_is_taken_up_while_questions_are_asked(small, of_small, tmp_path):
    history = HeldHistory(small.path)
    assert (
        history.held(asked("S1"), of_small, everybody, is_dated=True).records.tables["stays"][0]["stay_id"]
        == "S1"
    )
    later = SMALL + "    S4      | P4         | 2024-12-31T10:00:00 |                     | surgery | | in\n"
    new = small_hospital(tmp_path / "new", stays=later, buckets=2)
    assert refused(history, asked("S4"), of_small).kind.status == 404

    def ask(_: int) -> str:
        return history.held(asked("S1"), of_small, everybody, is_dated=True).department or ""

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(ask, range(60))
        small.path.rename(tmp_path / "former")
        new.path.rename(small.path)
        assert set(answers) == {"emergency"}
    assert history.held(asked("S4"), of_small, everybody, is_dated=True).department == "surgery"


def test_a_data_set_that_cannot_be_read_is_told_as_such(small, of_small, monkeypatch):
    history = HeldHistory(small.path)
    assert history.held(asked("S1"), of_small, everybody, is_dated=True)
    monkeypatch.setattr("serving.requests.history._AGAIN_SECONDS", 0.0)
    bucket = next(n for n in range(3) if _holds(small, n, "S1"))
    (small.path / "stays" / f"bucket={bucket}" / "data.parquet").write_bytes(b"PAR1 damaged")
    problem = refused(history, asked("S1"), of_small)
    assert (problem.kind.name, problem.kind.status) == ("history-unavailable", 503)
    shutil.rmtree(small.path)
    assert refused(history, asked("S1"), of_small).kind.status == 503
    with pytest.raises(TableError, match=r"no dataset\.toml"):
        HeldHistory(small.path)


def test_nothing_is_read_of_a_stay_that_the_caller_does_not_see(small, of_small, monkeypatch):
    history = HeldHistory(small.path)
    history.held(asked("S1"), of_small, everybody, is_dated=True)
    monkeypatch.setattr("serving.requests.history._AGAIN_SECONDS", 0.0)
    for file in small.path.rglob("*.parquet"):
        file.write_bytes(b"PAR1 damaged")
    told = [refused(history, asked(stay), of_small, bool) for stay in ("S3", SECRET)]
    assert {problem.kind.status for problem in told} == {404}
    assert refused(history, asked("S1"), of_small).kind.status == 503


class Gate:
    """Holds back the indexing of a data set until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        monkeypatch.setattr("serving.requests.history.index_stays", self._index)

    def _index(self, folder: Path, memory_limit_mb: int) -> Indexed:
        assert self.is_open.wait(timeout=60)
        return index_stays(folder, memory_limit_mb)


def test_a_history_that_was_never_read_is_not_ready(small, of_small, monkeypatch):
    gate = Gate(monkeypatch)
    gate.is_open.clear()
    history = HeldHistory(small.path)
    with pytest.raises(HistoryNotReadError):
        history.check()
    gate.is_open.set()
    history._worker.join(60)
    history.check()


def test_while_a_new_data_set_is_indexed_the_former_answers_where_it_is_still_there(
    small, of_small, tmp_path, monkeypatch
):
    gate = Gate(monkeypatch)
    in_force = tmp_path / "in-force"
    in_force.symlink_to(small.path)
    history = HeldHistory(in_force)
    assert history.held(asked("S1"), of_small, everybody, is_dated=True)
    moved = SMALL.replace("| emergency            |", "| surgery              |")
    new = small_hospital(tmp_path / "new", stays=moved, buckets=2)
    gate.is_open.clear()
    in_force.unlink()
    in_force.symlink_to(new.path)
    # Nobody waits for the index.
    started = time.monotonic()
    for _ in range(20):
        held = history.held(asked("S1"), of_small, everybody, is_dated=True)
        assert held.department == "emergency"
        assert held.records.tables["stays"][0]["admission_department"] == "emergency"
    assert time.monotonic() - started < 10
    gate.is_open.set()
    history._worker.join(60)
    held = history.held(asked("S1"), of_small, everybody, is_dated=True)
    assert (held.department, held.records.tables["stays"][0]["admission_department"]) == ("surgery",) * 2


def test_while_the_only_data_set_is_indexed_its_clients_are_told_to_come_again(
    small, of_small, tmp_path, monkeypatch
):
    monkeypatch.setattr("serving.requests.history._AGAIN_SECONDS", 0.01)
    gate = Gate(monkeypatch)
    history = HeldHistory(small.path)
    history._worker.join(60)
    new = small_hospital(tmp_path / "new", stays=SMALL, buckets=2)
    gate.is_open.clear()
    small.path.rename(tmp_path / "former")
    new.path.rename(small.path)
    problem = refused(history, asked("S1"), of_small)
    assert (problem.kind.status, problem.kind.retry_after_seconds) == (503, 5)
    gate.is_open.set()
    history._worker.join(60)
    assert history.held(asked("S1"), of_small, everybody, is_dated=True).department == "emergency"


def test_a_data_set_that_cannot_be_indexed_is_tried_again_after_some_seconds(small, of_small, monkeypatch):
    monkeypatch.setattr("serving.requests.history._AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("serving.requests.history._RETRY_SECONDS", 3600.0)
    kept = {file: file.read_bytes() for file in small.path.rglob("*.parquet")}
    for file in kept:
        file.write_bytes(b"PAR1 damaged")
    history = HeldHistory(small.path)
    worker = history._worker
    worker.join(60)
    assert refused(history, asked("S1"), of_small).kind.status == 503
    assert history._worker is worker
    for file, content in kept.items():
        file.write_bytes(content)
    monkeypatch.setattr("serving.requests.history._RETRY_SECONDS", 0.0)
    monkeypatch.setattr("serving.requests.history._AGAIN_SECONDS", 5.0)
    assert history.held(asked("S1"), of_small, everybody, is_dated=True).department == "emergency"


@pytest.mark.parametrize(("timeline", "is_dated"), [("real", False), ("none", True)])
def test_records_with_dates_and_models_without_have_nothing_to_do_with_each_other(
    small, of_small, timeline, is_dated
):
    file = small.path / "dataset.toml"
    file.write_text(file.read_text().replace('timeline = "real"', f'timeline = "{timeline}"'))
    with pytest.raises(Problem) as told:
        HeldHistory(small.path).held(asked("S1"), of_small, everybody, is_dated=is_dated)
    assert (told.value.kind.name, "time line" in told.value.detail) == ("records-required", True)
    assert HeldHistory(small.path).held(asked("S1"), of_small, everybody, is_dated=not is_dated)


def _holds(dataset: DataSet, bucket: int, stay_id: str) -> bool:
    with duckdb.connect() as con:
        return stay_id in con.sql(dataset.select(STAYS, bucket)).df()["stay_id"].tolist()


def test_an_absent_table_stays_unknown_and_an_empty_one_none(tmp_path, of_small):
    without = small_hospital(tmp_path / "less", stays=SMALL, without=("procedures",))
    tables = held_by(without.path, "S1", "discharge", of_small).records.tables
    assert "procedures" not in tables
    assert "visits" not in tables
    other = small_hospital(tmp_path / "other", stays=SMALL)
    assert held_by(other.path, "S1", "discharge", of_small).records.tables["procedures"] == []
    assert open_dataset(other.path).has("procedures")


def test_a_held_admission_whose_own_time_the_records_do_not_reach_is_provisional_as_of_their_end(
    hospital, champions_folder, tmp_path
):
    """The batch leaves it out until the next extract; whoever asks for it is told what is known so far."""
    end = dt.datetime.combine(hospital.declaration.observed_until, dt.time()) + dt.timedelta(days=1)
    with duckdb.connect() as con:
        stays = con.sql(
            f"SELECT stay_id FROM ({hospital.select(STAYS)}) "
            f"WHERE admitted_at > TIMESTAMP '{end}' - INTERVAL 24 HOUR AND admitted_at < TIMESTAMP '{end}'"
        ).fetchall()
    assert stays
    settings = ServingSettings(
        champions_folder,
        folder=tmp_path,
        history=hospital.path,
        insecure_demo=True,
        features=DEFAULT_SETTINGS,
    )
    with TestClient(create_app(settings)) as client:
        question = {"stay_id": stays[0][0], "prediction_point": "admission"}
        answered = client.post("/v1/predictions", json=question).json()
    assert (answered["provisional"], answered["prediction_time"]) == (True, end.isoformat())
