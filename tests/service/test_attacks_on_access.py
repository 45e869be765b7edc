"""Attacks on who may see what, at the real server: forged tokens, guessed keys, other wards' patients."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import OctKey
from requests import Response

from tests import issuer
from tests.attacks import PREDICT, STORED, Answer, attacked_server, problem, raw
from tests.fuzzing import EVERYTHING, WARD, Served
from tests.mutations import SECRET


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with attacked_server(tmp_path_factory.mktemp("attacked")) as server:
        yield server


def token(**changed: Any) -> dict[str, Any]:
    return issuer.claims(iat=int(time.time()), exp=int(time.time()) + 600, **changed)


def tokens() -> dict[str, str]:
    """Tokens that are not accepted, by what is wrong with them."""
    now, good = int(time.time()), issuer.token(token())
    head, claims, signature = good.split(".")
    other = issuer.part(token(sub="admin", departments=["*"]))
    none = issuer.part({"alg": "none", "kid": "ec-1"})
    public = OctKey.import_key(json.dumps(issuer.EC_KEY.as_dict(private=False)))
    return {
        "expired": issuer.token(issuer.claims(iat=now - 7200, exp=now - 3600)),
        "not yet valid": issuer.token(token(nbf=now + 3600)),
        "valid for a year": issuer.token(issuer.claims(iat=now, exp=now + 365 * 86_400)),
        "without an end": issuer.token({k: v for k, v in token().items() if k != "exp"}),
        "signed by a foreign key": issuer.token(token(), key=issuer.FOREIGN_KEY),
        "for somebody else": issuer.token(token(aud="elsewhere")),
        "of another issuer": issuer.token(token(iss="https://evil.example")),
        "of an issuer that begins alike": issuer.token(token(iss=issuer.ISSUER + ".evil.example")),
        "of no algorithm": f"{none}.{claims}.",
        "of no algorithm, with a signature": f"{none}.{claims}.{signature}",
        "of the algorithm NONE": f"{issuer.part({'alg': 'NONE'})}.{claims}.",
        "signed with the public key as a secret": issuer.token(
            token(), key=public, header={"alg": "HS256", "kid": "ec-1"}
        ),
        "with other claims": f"{head}.{other}.{signature}",
        "without a signature": f"{head}.{claims}.",
        "with another signature": f"{head}.{claims}.{signature[::-1]}",
        "that names its own keys": issuer.token(
            token(), key=issuer.FOREIGN_KEY, header={"jku": "http://127.0.0.1:1/keys"}
        ),
        "that brings its own key": issuer.token(
            token(), key=issuer.FOREIGN_KEY, header={"jwk": issuer.FOREIGN_KEY.as_dict(private=False)}
        ),
        "with a path as the key's name": issuer.token(token(), header={"kid": "../../etc/passwd"}),
        "of four parts": good + ".x",
        "of nothing": "..",
        "that is huge": "a" * 20_000,
        "with a secret": f"{SECRET}.{SECRET}.{SECRET}",
    }


def test_a_token_of_the_issuer_is_accepted_and_no_other(attacked: Served):
    address = b"/v1/worklist"

    def status(credential: str, name: bytes = b"Authorization: Bearer ") -> Answer:
        return raw(attacked, b"GET " + address + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   + name + credential.encode() + b"\r\n\r\n")  # fmt: skip

    assert status(issuer.token(token())).status == 200
    assert status(issuer.token(token(groups=["others"]))).status == 403
    for name, credential in tokens().items():
        answer = status(credential)
        assert (answer.status, problem(answer)) == (401, "credential-refused"), name
        assert answer.headers["www-authenticate"].startswith("Bearer "), name
    key = str(attacked.keys[EVERYTHING])
    wrong = [
        key[:-1] + ("0" if key[-1] != "0" else "1"),
        key.upper(),
        key[:-2],
        key + "0",
        "wc_",
        f"wc_{SECRET}",
    ]
    assert [status(each).status for each in wrong] == [401] * len(wrong)
    assert status(key, b"X-API-Key: ").status == 200
    assert [
        status(key, name).status for name in (b"Authorization: Basic ", b"Authorization: ", b"Cookie: key=")
    ] == [401] * 3
    assert status(f"{key}\r\nX-API-Key: {key}").status == 401


@pytest.mark.parametrize("name", STORED)
def test_another_wards_stay_is_answered_as_one_that_is_not_there(attacked: Served, name: str):
    """`now` and `other` were on surgery, `before` on oncology: it is answered as no stay, byte by byte."""
    template = f"/v1/admissions/{{stay_id}}/{name}"
    foreign, absent = (attacked.ask("GET", template, WARD, stay_id=stay) for stay in ("before", "absent"))
    assert attacked.ask("GET", template, WARD, stay_id="now").status_code == 200
    assert attacked.ask("GET", template, stay_id="before").status_code == 200
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content
    own = {"X-Request-Id", "Date"}
    assert {k: v for k, v in foreign.headers.items() if k.title() not in own} == {
        k: v for k, v in absent.headers.items() if k.title() not in own
    }  # fmt: skip


@pytest.mark.parametrize("path", [PREDICT, f"{PREDICT}/batch"])
def test_another_wards_history_is_answered_as_none(attacked: Served, path: str):
    """The records that the server holds of `before`, on oncology, are nothing to who asks for surgery."""

    def ask(stay_id: str) -> Response:
        body = {"stay_id": stay_id, "prediction_point": "discharge"}
        return attacked.ask("POST", path, WARD, body=body if path == PREDICT else {"items": [body]})

    foreign, absent, own = ask("before"), ask("absent"), ask("now")
    assert foreign.content == absent.content
    assert foreign.status_code == absent.status_code
    assert "unknown-stay" in foreign.text
    assert own.status_code == 200
    assert "unknown-stay" not in own.text


def test_another_wards_list_is_empty_as_that_of_no_ward(attacked: Served):
    foreign, absent = (
        attacked.ask("GET", "/v1/worklist", WARD, query={"department": ward})
        for ward in ("oncology", "absent")
    )
    assert foreign.content == absent.content
    assert foreign.json()["items"] == []
    listed = attacked.ask("GET", "/v1/worklist", WARD).json()["items"]
    assert {each["department"] for each in listed} == {"surgery"}
