"""A server to be attacked, and requests byte by byte, for the tests of what is served."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.predictions.documents import EXAMPLE_REQUEST
from tests import issuer
from tests.fuzzing import EVERYTHING, Served, holds_secret, served

PREDICT = "/v1/predictions"
STORED = ("prediction", "RiskAssessment", "explanation.svg")


@contextmanager
def attacked_server(folder: Path) -> Iterator[Served]:
    """A server that trusts an issuer of tokens, with predictions of three stays; its traces are read last."""
    trusted = {
        "issuer": issuer.ISSUER,
        "audiences": [issuer.AUDIENCE],
        "key_set": str(issuer.write_key_set(folder)),
        "roles_claim": ["groups"],
        "roles": {"wardcast-planners": "planner"},
    }
    with served(folder, access={"issuers": [trusted]}, body_seconds=1.0, head_seconds=2.0) as found:
        for stay in ("before", "now", "other"):
            body = {"stay_id": stay, "prediction_point": "discharge"}
            assert found.ask("POST", PREDICT, body=body, query={"store": "true"}).status_code == 200
        yield found
        assert found.ask("POST", PREDICT, body=EXAMPLE_REQUEST).status_code == 200
        found.check_traces()


@dataclass(frozen=True)
class Answer:
    """What came back over a connection until it was closed."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes = b""


def raw(served: Served, content: bytes, *more: bytes) -> Answer:
    """Send bytes as they are, on a connection of their own; status 0: closed without an answer."""
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=20) as connection:
        found = b""
        try:
            for part in (content, *more):
                connection.sendall(part)
            while part := connection.recv(65536):
                found += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert not holds_secret(found.decode("latin-1"))
    if not found:
        return Answer(0, {}, b"")
    head, _, body = found.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", len(body)))
    return Answer(int(first.split(" ")[1]), headers, body[:length], body[length:])


def head_of(
    served: Served, target: bytes, *lines: bytes, method: bytes = b"GET", host: bytes = b"localhost"
) -> bytes:
    """The head of a request by who may do everything."""
    key = str(served.keys[EVERYTHING]).encode()
    own = (b"Host: " + host, b"Authorization: Bearer " + key, b"Connection: close")
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *own, *lines, b"", b""])


def problem(answer: Answer) -> str:
    """The kind of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    return str(json.loads(answer.body)["type"]).removeprefix("urn:wardcast:problem:")
