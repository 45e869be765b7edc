"""Every problem is counted by its kind, whatever form its answer has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from tests.served import open_to_all


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/admissions/S1/prediction", "no-prediction"),
        ("/v1/admissions/S1/RiskAssessment", "no-prediction"),
        ("/v1/worklist?top=many", "invalid-request"),
        ("/v1/admissions/S1/RiskAssessment?colour=red", "invalid-request"),
        ("/v1/patients", "not-found"),
    ],
)
def test_a_problem_is_counted_by_its_kind(tmp_path: Path, path: str, kind: str) -> None:
    with TestClient(create_app(open_to_all(tmp_path / "champions"))) as client:
        for _ in range(3):
            assert client.get(path).status_code in (404, 422)
        counted = re.findall(
            r'^wardcast_problems_total\{kind="(.*)"\} (.*)$', client.get("/metrics").text, re.M
        )
    assert counted == [(kind, "3.0")]
