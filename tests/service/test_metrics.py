"""What is answered is counted, once, by names of the models and the catalogue alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from serving.champions.loaded import LiveChampions
from serving.operation.metrics import MEDIA_TYPE, Metrics
from serving.predictions.answers import Answers
from serving.predictions.documents import EXAMPLE_REQUEST
from serving.problems import Problem
from serving.settings import ServingSettings
from tests.service.test_api import promote

SECRET = "Zhang-Wei-4711"


@pytest.fixture(scope="module")
def champions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured") / "champions"
    promote(folder, "readmission", version=3)
    return folder


def samples(text: str) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_answers_alone_and_of_a_batch_are_counted(champions):
    metrics = Metrics()
    answers = Answers(LiveChampions(champions), ServingSettings(champions), metrics)
    for _ in range(2):
        answer = answers.one(EXAMPLE_REQUEST, n_reasons=5)
    answers.batch([EXAMPLE_REQUEST] * 3, n_reasons=5)
    with pytest.raises(Problem):
        answers.one(EXAMPLE_REQUEST | {"stay_id": SECRET}, n_reasons=5)
    text = metrics.text().decode()
    assert SECRET not in text
    found = samples(text)
    (prediction,) = answer["predictions"]
    # Two alone and three of the batch; who is refused is not predicted.
    model = 'model="readmission-admission/3",target="readmission"'
    assert found[f'wardcast_predictions_total{{band="{prediction["band"]}",{model}}}'] == 5
    assert found[f"wardcast_score_percentile_count{{{model}}}"] == 5
    # The sum is of upper ends of tenths.
    tenth = math.ceil(prediction["percentile"] * 10) / 10
    assert found[f"wardcast_score_percentile_sum{{{model}}}"] == pytest.approx(5 * max(tenth, 0.1))
    assert found['wardcast_feature_rows_total{prediction_point="admission"}'] == 5
    missing = 'wardcast_feature_missing_total{feature="%s",prediction_point="admission"}'
    assert found[missing % "age_years"] == 0
    # Those of a batch have their turn together.
    assert found["wardcast_queue_wait_seconds_count"] == found["wardcast_gathered_requests_sum"] == 3
    assert found["wardcast_queue_length"] == 0


def test_the_whole_application_counts_requests_problems_and_champions_by_declared_names(champions):
    settings = ServingSettings(champions, insecure_demo=True)
    with TestClient(create_app(settings)) as client:
        client.post("/v1/predictions", json=EXAMPLE_REQUEST, headers={"X-Request-Id": SECRET})
        client.post(f"/v1/predictions?name={SECRET}", json={"stay_id": SECRET})
        client.get(f"/v1/admissions/{SECRET}/prediction")
        client.request(SECRET, f"/{SECRET}")
        response = client.get("/metrics")
    assert response.headers["content-type"] == MEDIA_TYPE
    assert SECRET not in response.text
    found = samples(response.text)
    route = 'method="POST",route="/v1/predictions"'
    assert found[f'wardcast_request_seconds_count{{{route},status="200"}}'] == 1
    assert found[f'wardcast_request_seconds_count{{{route},status="422"}}'] == 1
    assert found['wardcast_problems_total{kind="no-prediction"}'] == 1
    labels = 'name="readmission-admission",prediction_point="admission",target="readmission",version="3"'
    assert found[f"wardcast_champion{{{labels}}}"] == 1
    assert found["wardcast_champions_refused"] == 0


def test_features_that_no_champion_reads_are_neither_computed_nor_counted(tmp_path):
    folder, metrics = tmp_path / "champions", Metrics()
    answers = Answers(LiveChampions(folder, reload_seconds=0), ServingSettings(folder), metrics)

    def counted() -> set[str]:
        answers.one(EXAMPLE_REQUEST, n_reasons=5)
        found = samples(metrics.text().decode())
        return {name for name in ("age_years", "sex") if missing % name in found}

    missing = 'wardcast_feature_missing_total{feature="%s",prediction_point="admission"}'
    promote(folder, "readmission", without=("age_years", "sex"))
    assert counted() == set()
    promote(folder, "complication", without=("sex",))
    assert counted() == {"age_years"}
