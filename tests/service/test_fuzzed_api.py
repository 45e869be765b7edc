"""Some hundred generated requests to the real server, the same ones in every run; `make prove` asks 20,000.

A failure shows the request as a command that repeats it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzzing import NOBODY, Served, served
from tests.generated import SEED, ask_everything


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("fuzzed")) as found:
        yield found


def test_every_answer_is_as_described_and_no_secret_stays_behind(asked: Served):
    """Every single answer is judged when it comes. So that this says something, on every route one request in
    twenty gets behind all checks.
    """
    ask_everything(asked, 500)
    asked.check_traces()
    by_route: dict[str, list[int]] = {}
    for (route, status), n in asked.counts.items():
        by_route.setdefault(route, []).extend([status] * n)
    assert len(by_route) == len([method for path in asked.schema for method in asked.schema[path]])
    for route, statuses in by_route.items():
        assert statuses.count(200) >= max(1, len(statuses) // 20), route


def test_every_boundary_of_the_description_is_asked(asked: Served, tmp_path: Path):
    """schemathesis' own run over the boundaries of every parameter and field, unknown methods too."""
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(asked.schema.raw_schema), "utf-8")
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
        "response_schema_conformance,unsupported_method,allow_header_conformance"
    )
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", str(description), "--url", asked.address,
            "--header", f"Authorization: {asked.headers('everything')['Authorization']}",
            "--phases", "examples,coverage", "--checks", checks, "--seed", str(SEED), "--no-color",
            "--request-timeout", "20", "--generation-database", "none", "--warnings", "off",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert asked.server.process.poll() is None
    asked.check_traces()


def test_with_insecure_demo_answers_are_as_described_too(tmp_path: Path):
    with served(tmp_path, insecure_demo=True) as found:
        ask_everything(found, 100)
        assert found.ask("GET", "/v1/worklist", NOBODY).status_code == 200
        assert not {401, 403} & {status for _, status in found.counts}
        found.check_traces()
