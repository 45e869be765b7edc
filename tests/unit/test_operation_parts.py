"""Metrics, readiness and log lines, each by itself."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from models.columns import Columns
from serving.access.audit_files import open_audit_log
from serving.access.guard import insecure_demo_access
from serving.access.settings import AccessSettings
from serving.champions.loaded import ChampionSet, LiveChampions
from serving.database.connection import StoreError, file_address, open_database
from serving.database.errors import tell_failures
from serving.operation.failures import PERIOD_SECONDS, StoreFailures
from serving.operation.logs import JsonLines, logging_config
from serving.operation.metrics import MEDIA_TYPE, Metrics
from serving.operation.middleware import QuietRequests
from serving.operation.readiness import Readiness, store_answers
from serving.predictions.gathering import Gathering
from serving.problems import NOT_READY, Problem
from serving.routes.metrics import router
from serving.store.predictions import PredictionStore
from tests.stored import answer

SECRET = "Zhang-Wei-4711"


def samples(metrics: Metrics) -> dict[str, float]:
    """Each sample of the exposition by its name with labels, as written."""
    lines = metrics.text().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_a_request_is_counted_by_its_route_method_and_status():
    metrics = Metrics()
    metrics.request_ended("/v1/models", "GET", 200, 0.04)
    metrics.request_ended("/v1/models", "GET", 200, 0.4)
    metrics.request_ended("unmatched", SECRET, 404, 0.001)
    found = samples(metrics)
    labels = '{method="GET",route="/v1/models",status="200"}'
    assert found[f"wardcast_request_seconds_count{labels}"] == 2
    assert (
        found['wardcast_request_seconds_bucket{le="0.05",method="GET",route="/v1/models",status="200"}'] == 1
    )
    assert found['wardcast_request_seconds_count{method="other",route="unmatched",status="404"}'] == 1
    assert SECRET not in metrics.text().decode()


def test_the_queue_is_read_when_asked_and_gatherings_tell_size_and_waiting():
    metrics, waiting = Metrics(), [3]
    metrics.watch_queue(lambda: waiting[0])
    assert samples(metrics)["wardcast_queue_length"] == 3
    waiting[0] = 0
    metrics.gathered([0.001, 0.03])
    found = samples(metrics)
    assert found["wardcast_queue_length"] == 0
    assert found['wardcast_gathered_requests_bucket{le="1.0"}'] == 0
    assert found['wardcast_gathered_requests_bucket{le="2.0"}'] == 1
    assert found["wardcast_queue_wait_seconds_count"] == 2
    assert found["wardcast_queue_wait_seconds_sum"] == pytest.approx(0.031)


def test_those_who_are_computed_together_tell_how_long_they_waited():
    waited: list[Sequence[float]] = []
    gathering = Gathering[str, str](lambda items: [item.upper() for item in items], waited.append)
    assert gathering.answer("a", alike=1) == "A"
    ((seconds,),) = waited
    assert 0 <= seconds < 30
    assert len(gathering) == 0


def test_predictions_are_counted_by_band_and_scores_in_tenths_that_tell_no_single_score():
    metrics = Metrics()
    metrics.predicted("readmission", "readmission-admission/7", ["high", "low", "high"], [0.94, 0.1, 1.0])
    found = samples(metrics)
    model = 'model="readmission-admission/7",target="readmission"'
    bands = 'model="readmission-admission/7",target="readmission"}'
    assert found[f'wardcast_predictions_total{{band="high",{bands}'] == 2
    assert found[f'wardcast_predictions_total{{band="low",{bands}'] == 1
    assert found[f'wardcast_score_percentile_bucket{{le="0.1",{bands}'] == 1
    assert found[f'wardcast_score_percentile_bucket{{le="0.9",{bands}'] == 1
    assert found[f'wardcast_score_percentile_bucket{{le="1.0",{bands}'] == 3
    # 1.0 (for 0.94) + 0.1 + 1.0
    assert found[f"wardcast_score_percentile_sum{{{model}}}"] == pytest.approx(2.1)


def test_missing_features_are_counted_over_the_rows_of_a_prediction_point():
    metrics = Metrics()
    frame = pd.DataFrame({"age_years": [70.0, None], "sex": ["male", None], "n_stays_prior_365d": [0, 2]})
    metrics.features_built("admission", Columns.of(frame))
    metrics.features_built("admission", Columns.of(frame.iloc[1:]))
    found = samples(metrics)
    assert found['wardcast_feature_rows_total{prediction_point="admission"}'] == 3
    missing = 'wardcast_feature_missing_total{feature="%s",prediction_point="admission"}'
    assert [found[missing % name] for name in frame] == [2, 2, 0]


def test_problems_and_refused_champions_are_counted(tmp_path: Path):
    record = tmp_path / "readmission-admission" / "champion.json"
    record.parent.mkdir()
    record.write_text("{")
    champions, metrics = LiveChampions(tmp_path, retry_seconds=0, reload_seconds=0), Metrics()
    metrics.watch_champions(champions)
    metrics.problem_answered("audit-unavailable")
    metrics.problem_answered("store-unavailable")
    metrics.problem_answered("store-unavailable")
    found = samples(metrics)
    assert found['wardcast_problems_total{kind="audit-unavailable"}'] == 1
    assert found['wardcast_problems_total{kind="store-unavailable"}'] == 2
    assert found["wardcast_champions_refused"] == 1
    again = samples(metrics)["wardcast_champion_reload_failures_total"]
    assert again > found["wardcast_champion_reload_failures_total"] >= 1


def test_each_application_has_metrics_of_its_own():
    one, other = Metrics(), Metrics()
    one.predicted("cost", "cost-admission/1", ["low"], [0.3])
    assert "cost-admission/1" in one.text().decode()
    assert "cost-admission/1" not in other.text().decode()


def test_metrics_are_told_in_prometheus_text_whatever_is_accepted_and_requests_by_their_template():
    metrics, app = Metrics(), FastAPI()
    app.include_router(router(insecure_demo_access(), metrics))

    @app.get("/v1/admissions/{stay_id}/prediction")
    def _stored(stay_id: str) -> str:
        return stay_id

    app.add_middleware(QuietRequests, metrics=metrics)
    with TestClient(app) as client:
        client.get(f"/v1/admissions/{SECRET}/prediction")
        client.put(f"/v1/admissions/{SECRET}/prediction")
        client.request(SECRET, f"/{SECRET}")
        # The client library would repeat this version in its own media type.
        response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=9.9.9"})
    assert response.headers["content-type"] == MEDIA_TYPE
    template = 'route="/v1/admissions/{stay_id}/prediction"'
    assert f'wardcast_request_seconds_count{{method="GET",{template},status="200"}} 1.0' in response.text
    assert f'wardcast_request_seconds_count{{method="PUT",{template},status="405"}} 1.0' in response.text
    assert (
        'wardcast_request_seconds_count{method="other",route="unmatched",status="404"} 1.0' in response.text
    )
    assert SECRET not in response.text


def test_a_request_that_fails_is_counted_and_logged_by_the_kind_of_its_problem(caplog):
    metrics, app = Metrics(), FastAPI()

    @app.get("/fails")
    def _fails() -> None:
        raise ValueError(SECRET)

    app.add_middleware(QuietRequests, metrics=metrics)
    with caplog.at_level(logging.INFO, "wardcast"), TestClient(app) as client:
        response = client.get("/fails")
    assert (response.status_code, response.json()["type"]) == (500, "urn:wardcast:problem:internal-error")
    assert samples(metrics)['wardcast_problems_total{kind="internal-error"}'] == 1
    line = json.loads(next(each.message for each in caplog.records if each.name == "wardcast.access"))
    assert (line["status"], line["problem"]) == (500, "internal-error")
    assert SECRET not in caplog.text


def test_readiness_asks_for_champions_and_for_every_part_and_quotes_no_error():
    usable = [True]

    def check() -> None:
        if not usable[0]:
            raise OSError(f"{SECRET} is down")

    champions = ChampionSet()
    readiness = Readiness(lambda: champions, {"store": check}, again_seconds=0)
    assert readiness.champions() is champions
    usable[0] = False
    with pytest.raises(Problem, match="The store cannot be used \\(OSError\\)") as refused:
        readiness.champions()
    assert refused.value.kind is NOT_READY
    assert SECRET not in str(refused.value.document())


def test_whoever_asks_often_has_nothing_checked_more_often():
    n_checks = 0

    def check() -> None:
        nonlocal n_checks
        n_checks += 1
        raise OSError

    readiness = Readiness(ChampionSet, {"store": check}, again_seconds=3600)
    for _ in range(5):
        with pytest.raises(Problem, match="The store cannot be used"):
            readiness.champions()
    assert n_checks == 1


def test_who_asks_while_a_check_lasts_is_told_what_was_found_last():
    may_end, has_begun, n_checks = threading.Event(), threading.Event(), 0

    def check() -> None:
        nonlocal n_checks
        n_checks += 1
        if n_checks == 2:
            has_begun.set()
            assert may_end.wait(timeout=60)

    readiness = Readiness(ChampionSet, {"store": check}, again_seconds=0)
    readiness.champions()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(readiness.champions)
        assert has_begun.wait(timeout=60)
        assert readiness.champions() == ChampionSet()
        may_end.set()
        slow.result(timeout=60)
    assert n_checks == 2


def test_a_store_and_an_audit_log_that_cannot_be_used_make_the_server_not_ready(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/store.db")
    log = open_audit_log(AccessSettings(), tmp_path, engine)
    checks = {"store": lambda: store_answers(engine, StoreFailures()), "audit log": log.check}
    readiness = Readiness(ChampionSet, checks, again_seconds=0)
    assert readiness.champions() == ChampionSet()
    (tmp_path / "audit.jsonl").write_text("another hand\n")
    with pytest.raises(Problem, match="The audit log cannot be used"):
        readiness.champions()
    log.close()
    engine.dispose()
    for file in tmp_path.glob("store.db*"):
        file.write_bytes(b"no database")
    with pytest.raises(Problem, match="The store cannot be used \\(damaged\\)"):
        readiness.champions()
    engine.dispose()


def test_a_store_that_is_damaged_while_the_server_runs_makes_it_not_ready(tmp_path, caplog):
    file = tmp_path / "store.db"
    engine = open_database(file_address(file))
    PredictionStore(engine).save([answer(f"S{n}") for n in range(200)])
    engine.dispose()
    engine, failures = open_database(file_address(file)), StoreFailures()
    tell_failures(engine, failures.add)
    store = PredictionStore(engine)
    checks = {"store": lambda: store_answers(engine, failures)}
    readiness = Readiness(ChampionSet, checks, again_seconds=0)
    readiness.champions()
    content = bytearray(file.read_bytes())
    # Pages 2 to the last are overwritten; the first, which says that it is a database, is kept.
    content[4096:] = b"x" * (len(content) - 4096)
    with file.open("r+b") as stream:
        stream.write(content)
    # Nobody read from it yet.
    with pytest.raises(Problem, match="The store cannot be used \\(damaged\\)"):
        readiness.champions()
    for _ in range(3):
        with pytest.raises(StoreError, match="the file is damaged"):
            store.latest("S7")
    told = [json.loads(record.getMessage()) for record in caplog.records]
    assert told == [{"event": "store_failed", "kind": "damaged", "code": "SQLITE_CORRUPT"}]
    engine.dispose()


def test_damage_that_a_request_met_is_remembered_by_readiness(tmp_path):
    engine, failures = open_database(f"sqlite:///{tmp_path}/store.db"), StoreFailures()
    store_answers(engine, failures)
    failures.add(StoreError("away", "away"))
    store_answers(engine, failures)
    failures.add(StoreError(SECRET, "damaged", "SQLITE_CORRUPT"))
    with pytest.raises(StoreError) as refused:
        store_answers(engine, failures)
    assert refused.value.kind == "damaged"
    engine.dispose()


def test_a_failure_of_the_store_is_logged_once_for_as_long_as_it_lasts(caplog):
    now = [0.0]
    failures = StoreFailures(clock=lambda: now[0])
    locked, full = StoreError(SECRET, "locked", "SQLITE_BUSY"), StoreError(SECRET, "disk full", "SQLITE_FULL")
    for seconds, failure in [
        (0, locked),
        (40, locked),
        (40, full),
        # 50 seconds after it was met last: it still lasts.
        (90, locked),
        # More than a minute after: it is another.
        (91 + PERIOD_SECONDS, locked),
    ]:
        now[0] = seconds
        failures.add(failure)
    told = [json.loads(record.getMessage()) for record in caplog.records]
    assert [(line["kind"], line["code"]) for line in told] == [
        ("locked", "SQLITE_BUSY"),
        ("disk full", "SQLITE_FULL"),
        ("locked", "SQLITE_BUSY"),
    ]
    assert SECRET not in caplog.text


def formatted(name: str, message: str, *args: object, exc_info: Any = None) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.WARNING, "file.py", 7, message, args, exc_info)
    line: dict[str, Any] = json.loads(JsonLines().format(record))
    assert line["at"].endswith("Z")
    return line


def test_own_lines_keep_their_fields_and_plain_words():
    line = formatted("wardcast.access", json.dumps({"event": "request", "status": 200}))
    assert (line["level"], line["logger"], line["event"], line["status"]) == (
        "warning", "wardcast.access", "request", 200,
    )  # fmt: skip
    assert formatted("wardcast.serving", "WARNING: no lock")["message"] == "WARNING: no lock"
    assert formatted("wardcast.serving", "[1]")["message"] == "[1]"


def test_of_anybody_elses_line_only_the_template_is_written_and_of_an_exception_the_kind():
    line = formatted("uvicorn.error", '%s - "%s"', "10.0.0.7", SECRET)
    assert line["message"] == '%s - "%s"'
    assert formatted("asyncio", f"Fatal error\nprotocol: {SECRET}")["message"] == "Fatal error"
    try:
        raise ValueError(SECRET)
    except ValueError:
        line = formatted("uvicorn.error", "Exception in ASGI application", exc_info=sys.exc_info())
    assert line["error"] == "ValueError"
    assert SECRET not in json.dumps(line)


def test_of_a_warning_the_place_and_the_category_are_written():
    text = warnings.formatwarning(f"bad {SECRET}", UserWarning, "/opt/pandas/frame.py", 12, f"x = '{SECRET}'")
    line = formatted("py.warnings", "%s", text)
    assert line["place"] == "/opt/pandas/frame.py:12: UserWarning"
    assert SECRET not in json.dumps(line)


def test_the_level_is_that_of_the_products_own_lines():
    found = logging_config("warning")
    assert found["loggers"]["wardcast"]["level"] == "WARNING"
    assert found["root"]["level"] == "WARNING"
