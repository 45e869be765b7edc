"""What is answered is counted, once, by names of the models and the catalogue alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from serving.answers import Answers
from serving.documents import EXAMPLE_REQUEST
from serving.loaded import LiveChampions
from serving.operation.metrics import Metrics
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
    # Those of a batch wait for nobody.
    assert found["wardcast_queue_wait_seconds_count"] == found["wardcast_gathered_requests_sum"] == 2
    assert found["wardcast_queue_length"] == 0
