"""Who may call what: every route of the application, asked by every role and by nobody.

The table says what is promised. A route that it does not name fails, and so does a promise without a route.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import Engine
from starlette.testclient import TestClient

from serving.access.keys import create_key
from serving.access.roles import PERMISSIONS, Permission, Role
from serving.api import create_app
from serving.database.connection import file_address, open_database
from serving.parts import STORE_FILE
from serving.settings import ServingSettings

EVERYBODY = None
PROMISED: dict[tuple[str, str], Permission | None] = {
    ("GET", "/openapi.json"): EVERYBODY,
    ("GET", "/health/live"): EVERYBODY,
    ("GET", "/health/ready"): EVERYBODY,
    ("GET", "/cds-services"): EVERYBODY,
    ("GET", "/v1/models"): Permission.READ_MODELS,
    ("POST", "/v1/predictions"): Permission.PREDICT,
    ("POST", "/v1/predictions/batch"): Permission.PREDICT,
    ("GET", "/v1/admissions/{stay_id:path}/prediction"): Permission.READ_PREDICTIONS,
    ("GET", "/v1/admissions/{stay_id:path}/RiskAssessment"): Permission.READ_PREDICTIONS,
    ("GET", "/v1/admissions/{stay_id:path}/explanation.svg"): Permission.READ_PREDICTIONS,
    ("GET", "/v1/worklist"): Permission.READ_PREDICTIONS,
    ("POST", "/cds-services/{service_id}"): Permission.USE_CDS_HOOKS,
    ("POST", "/cds-services/{service_id}/feedback"): Permission.USE_CDS_HOOKS,
    ("GET", "/v1/audit"): Permission.READ_AUDIT,
    ("GET", "/metrics"): Permission.READ_METRICS,
}


@dataclass(frozen=True)
class Served:
    """An application, and a key for each role."""

    app: FastAPI
    keys: Mapping[Role, str]
    client: TestClient


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    work = tmp_path_factory.mktemp("work")
    app = create_app(ServingSettings(work / "champions"))
    with TestClient(app) as client:
        engine = open_database(file_address(work / STORE_FILE))
        yield Served(app, {role: key_of(engine, role) for role in Role}, client)
        engine.dispose()


def key_of(engine: Engine, role: Role) -> str:
    now = dt.datetime.now(dt.UTC)
    return create_key(
        engine,
        name=role,
        roles=[role],
        departments=None,
        expires_at=now + dt.timedelta(days=1),
        created_by="tests",
        now=now,
    )


def status(client: TestClient, method: str, template: str, key: str | None) -> int:
    address = template.replace("{stay_id:path}", "S1").replace("{service_id}", "any")
    assert "{" not in address
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return int(client.request(method, address, headers=headers).status_code)


def test_every_route_is_promised_to_somebody_and_every_promise_has_a_route(served: Served):
    routes = iter_route_contexts(served.app.routes)
    assert {(method, route.path) for route in routes for method in route.methods or ()} == PROMISED.keys()


def test_every_role_is_asked(served: Served):
    assert served.keys.keys() == set(Role) == set(PERMISSIONS)


@pytest.mark.parametrize(("method", "template"), PROMISED)
def test_a_route_answers_whom_it_is_promised_to_and_nobody_else(served: Served, method: str, template: str):
    permission = PROMISED[method, template]
    answers = {role: status(served.client, method, template, key) for role, key in served.keys.items()}
    nobody = status(served.client, method, template, None)
    if permission is EVERYBODY:
        assert not {401, 403} & {nobody, *answers.values()}
        return
    assert nobody == 401
    for role, answered in answers.items():
        is_allowed = permission in PERMISSIONS[role]
        assert (answered == 403) is not is_allowed, f"{role} got {answered}"
        assert answered != 401


def test_every_route_is_counted_by_its_template(served: Served):
    administrator = {"Authorization": f"Bearer {served.keys[Role.ADMINISTRATOR]}"}
    before = counted(served.client.get("/metrics", headers=administrator).text)
    for method, template in PROMISED:
        status(served.client, method, template, None)
    after = counted(served.client.get("/metrics", headers=administrator).text)
    # The first look at the metrics is among what the second one tells.
    expected = Counter([*PROMISED]) + Counter([("GET", "/metrics")])
    assert after - before == expected


def counted(metrics: str) -> Counter[tuple[str, str]]:
    found = re.findall(
        r'^wardcast_request_seconds_count\{method="(.*)",route="(.*)",status="\d+"\} (.*)$', metrics, re.M
    )
    requests: Counter[tuple[str, str]] = Counter()
    for method, route, n in found:
        requests[method, route] += round(float(n))
    return requests


def test_an_address_that_is_no_route_is_404_for_everybody(served: Served):
    for key in (None, *served.keys.values()):
        assert status(served.client, "GET", "/v1/patients", key) == 404
