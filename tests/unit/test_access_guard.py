"""The guard of the routes: 401 for a credential, 403 for a role, before anything of a request is read.

Annotations are not put off here: dependencies are made with the application.
"""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from serving.access.caller import Caller
from serving.access.guard import Access, InsecureDemoError, access_by, open_access
from serving.access.keys import KeyRing, create_key, revoke_key
from serving.access.roles import Permission, Role
from serving.access.settings import AccessSettings
from serving.database.connection import open_database
from serving.http.responses import answer_problems
from serving.problems import INVALID, Problem
from tests.issuer import claims, settings, token, tokens

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.dispose()


@pytest.fixture
def key(engine: Engine) -> str:
    return create_key(
        engine,
        name="ward 3",
        roles=[Role.PLANNER],
        departments=["Cardiology"],
        expires_at=NOW + dt.timedelta(days=1),
        created_by="op",
        now=NOW,
    )


def app_of(access: Access) -> FastAPI:
    app = FastAPI()
    answer_problems(app)

    def body() -> bytes:
        raise Problem(INVALID, "the body was read")

    @app.get("/reads")
    def reads(caller: Annotated[Caller, Depends(access.needs(Permission.READ_PREDICTIONS))]) -> Any:
        return {"name": caller.name, "departments": sorted(caller.departments or [])}

    @app.post("/predicts")
    def predicts(
        caller: Annotated[Caller, Depends(access.needs(Permission.PREDICT))],
        content: Annotated[bytes, Depends(body)],
        number: int,
    ) -> Any:
        raise AssertionError((caller, content, number))

    return app


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    ring = KeyRing(engine, keys_seconds=0.001)
    with TestClient(app_of(access_by(ring, tokens(settings(), settings(issuer="i2"))))) as opened:
        yield opened


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def refused(answer: Any, status: int, kind: str, challenge: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:wardcast:problem:{kind}"
    assert answer.headers["www-authenticate"] == challenge


WITHOUT = ("not-authenticated", 'Bearer realm="wardcast"')
WRONG = ("credential-refused", 'Bearer realm="wardcast", error="invalid_token"')
NO_ROLE = ("forbidden", 'Bearer realm="wardcast", error="insufficient_scope"')


def test_a_key_is_taken_from_either_header(client: TestClient, key: str):
    expected = {"name": "ward 3", "departments": ["Cardiology"]}
    assert client.get("/reads", headers=bearer(key)).json() == expected
    assert client.get("/reads", headers={"X-API-Key": key}).json() == expected
    assert client.get("/reads", headers={"authorization": f"bEARER  {key} "}).json() == expected


def test_a_token_is_taken(client: TestClient):
    answer = client.get("/reads", headers=bearer(token()))
    assert answer.json() == {"name": "https://login.hospital.example u-17", "departments": ["Cardiology"]}


def test_without_a_credential_the_answer_tells_how_to_send_one(client: TestClient):
    refused(client.get("/reads"), 401, *WITHOUT)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic d2M6d2M="},
        {"Authorization": "wc_000000000000_" + "0" * 64},
        {"X-API-Key": ""},
        {"X-API-Key": "wc_000000000000_" + "0" * 64},
        {"Authorization": "Bearer \u00e9".encode("latin-1")},  # a byte that is no ASCII
    ],
)
def test_a_credential_that_is_none_is_refused(client: TestClient, headers: dict[str, Any]):
    refused(client.get("/reads", headers=headers), 401, *WRONG)


def test_of_two_credentials_none_is_chosen(client: TestClient, key: str):
    two = [("X-API-Key", key), ("Authorization", f"Bearer {token()}")]
    for headers in (two, two[:1] * 2, two[1:] * 2):
        refused(client.get("/reads", headers=headers), 401, *WRONG)


def test_a_credential_in_the_address_is_none(client: TestClient, key: str):
    refused(client.get("/reads", params={"access_token": key, "X-API-Key": key}), 401, *WITHOUT)


def test_a_role_that_does_not_allow_it_is_forbidden(client: TestClient, key: str):
    auditor = token(claims(groups=["wardcast-auditors"]))
    refused(client.get("/reads", headers=bearer(auditor)), 403, *NO_ROLE)
    refused(client.get("/reads", headers=bearer(token(claims(groups=[])))), 403, *NO_ROLE)
    refused(client.post("/predicts", headers=bearer(key)), 403, *NO_ROLE)


def test_nothing_of_a_request_is_read_from_who_may_not_send_it(client: TestClient, key: str):
    # Neither the body nor the parameter `number`, which is missing.
    refused(client.post("/predicts", content=b"x"), 401, *WITHOUT)
    refused(client.post("/predicts", content=b"x", headers=bearer(key)), 403, *NO_ROLE)


def test_a_revoked_key_is_refused(client: TestClient, engine: Engine, key: str):
    assert client.get("/reads", headers=bearer(key)).status_code == 200
    revoke_key(engine, key.split("_")[1], now=NOW)
    time.sleep(0.01)
    refused(client.get("/reads", headers=bearer(key)), 401, *WRONG)


def test_answers_hold_nothing_of_the_credential(client: TestClient, key: str):
    wrong_key = key[:-4] + "0000"
    foreign = token(claims(aud="x"))
    parts = {wrong_key: wrong_key.split("_")[1:], foreign: foreign.split("."), "patient-4711": ["4711"]}
    for credential, secrets in parts.items():
        answer = client.get("/reads", headers=bearer(credential))
        assert answer.status_code == 401
        shown = answer.text + str(answer.headers)
        assert not [secret for secret in secrets if secret in shown]


def test_the_settings_open_access(engine: Engine, key: str):
    with TestClient(app_of(open_access(AccessSettings(), engine))) as client:
        assert client.get("/reads", headers=bearer(key)).status_code == 200
        refused(client.get("/reads", headers=bearer(token())), 401, *WRONG)
        refused(client.get("/reads"), 401, *WITHOUT)


def test_in_the_insecure_demo_nobody_is_asked_and_the_log_says_so(
    engine: Engine, caplog: pytest.LogCaptureFixture
):
    access = open_access(AccessSettings(), engine, insecure_demo=True)
    with TestClient(app_of(access)) as client:
        assert client.get("/reads").json()["name"] == "insecure-demo"
    assert "NOBODY IS ASKED WHO THEY ARE" in caplog.text


def test_the_insecure_demo_is_for_this_machine_alone(engine: Engine):
    with pytest.raises(InsecureDemoError, match="other machines"):
        open_access(AccessSettings(), engine, insecure_demo=True, is_loopback=False)


def test_authentication_is_on_whatever_the_address(
    engine: Engine, key: str, caplog: pytest.LogCaptureFixture
):
    for is_loopback in (True, False):
        access = open_access(AccessSettings(), engine, is_loopback=is_loopback)
        with TestClient(app_of(access)) as client:
            refused(client.get("/reads"), 401, *WITHOUT)
    assert caplog.text == ""


def test_the_description_names_both_ways_to_send_a_credential(client: TestClient):
    document = client.get("/openapi.json").json()
    assert document["paths"]["/reads"]["get"]["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]
    schemes = document["components"]["securitySchemes"]
    assert (schemes["HTTPBearer"]["scheme"], schemes["APIKeyHeader"]["name"]) == ("bearer", "X-API-Key")
