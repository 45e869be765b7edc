"""A real server with keys, asked by generated requests; every answer is held against the description.

What an answer must be, whoever asks whatever: no 5xx, within `SECONDS`, a status, media type and body that
the description names, and without any of the secrets that were planted, save where it says whom it is about.
"""

from __future__ import annotations

import datetime as dt
import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
import schemathesis
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks as openapi

from features.points import Point
from models.artefact import Context
from serving.access.audit_files import read_audit_key
from serving.access.heads import head_of
from serving.access.keys import create_key
from serving.access.roles import Role
from serving.access.verification import verify
from serving.database.connection import file_address, open_database
from serving.parts import STORE_FILE
from tests.hospital import hospital
from tests.mutations import SECRETS
from tests.parity.test_every_table import TEXTS
from tests.server_process import ServerProcess, server_process
from tests.service.test_api import promote

load_all_checks()

SECONDS = 20.0
EVERYTHING, WARD, NOBODY = "everything", "ward", "nobody"
CHECKS = [
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]
JSON = {"Content-Type": "application/json"}
PROBLEM_TYPES = ("application/problem+json", "application/fhir+json")
# Where an answer says whom it is about.
_ABOUT = frozenset({"stay_id", "department", "reference", "identifier", "encounter", "subject", "id"})
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Served:
    """A running server, its folder, a key for every role, for all of them, for two of them on one ward."""

    server: ServerProcess
    work: Path
    keys: Mapping[str, str | None]
    schema: Any
    session: requests.Session
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def headers(self, who: str) -> dict[str, str]:
        """The header that says who asks."""
        key = self.keys[who]
        return {} if key is None else {"Authorization": f"Bearer {key}"}

    def operation(self, method: str, template: str) -> Any:
        """The description of a route."""
        return self.schema[template][method]

    def send(self, case: Any, who: str) -> requests.Response:
        """Send a generated case and judge its answer."""
        if self.keys[who] is not None:
            # Two credentials are refused, whatever they are.
            case.headers.pop("X-API-Key", None)
        told = case.as_transport_kwargs(base_url=self.address, headers=self.headers(who))
        return self.judged(case, self.session.request(timeout=SECONDS, allow_redirects=False, **told))

    def ask(
        self,
        method: str,
        template: str,
        who: str = EVERYTHING,
        *,
        body: object = None,
        raw: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **parts: str,
    ) -> requests.Response:
        """Send a request of our own making and judge its answer as that of a generated one."""
        path = template
        for name, value in parts.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        content = json.dumps(body).encode() if raw is None and body is not None else raw
        sent = {**(JSON if content is not None else {}), **(headers or {}), **self.headers(who)}
        response = self.session.request(
            method, self.address + path, params=query, data=content, headers=sent,
            timeout=SECONDS, allow_redirects=False,
        )  # fmt: skip
        return self.judged(self.operation(method, template).Case(path_parameters=parts), response)

    def judged(self, case: Any, response: requests.Response) -> requests.Response:
        """The answer, if it may be given at all."""
        self.counts[f"{case.operation.method.upper()} {case.operation.path}", response.status_code] += 1
        assert response.status_code < 500, response.text
        if "Allow" not in response.headers:
            # An address that was changed into another one, or into none, is not the operation's any more.
            is_elsewhere = response.status_code == 404 and "not-found" in response.text
            if not is_elsewhere:
                case.validate_response(response, checks=CHECKS)
        assert _UUID.fullmatch(response.headers["X-Request-Id"])
        assert response.headers["Cache-Control"] == "no-store"
        assert not holds_secret(str(response.headers))
        told = told_beside(response, str(case.path_parameters.get("stay_id", "")))
        assert not holds_secret(told), f"{response.status_code} {case.operation.path}"
        return response

    def metrics(self) -> str:
        return self.ask("GET", "/metrics").text

    def check_traces(self) -> None:
        """No secret in log, metrics or audit log; every line of the log is JSON, with a route's template.

        The chain of the audit log is whole.
        """
        log = self.server.log.read_text("utf-8")
        assert not holds_secret(log)
        assert not holds_secret(self.metrics())
        audit = (self.work / "audit.jsonl").read_text("utf-8")
        assert not holds_secret(audit)
        engine = open_database(file_address(self.work / STORE_FILE))
        key = read_audit_key(self.work / "audit.key")
        chain = verify(self.work / "audit.jsonl", key, lambda: head_of(engine, "audit.jsonl"))
        engine.dispose()
        assert chain.n_lines > 0
        assert chain.is_intact
        templates = {path.replace("{stay_id}", "{stay_id:path}") for path in self.schema.raw_schema["paths"]}
        lines = self.server.lines()
        assert not [line for line in lines if line["event"] == "failure" or "error" in line]
        asked = [line for line in lines if line["event"] == "request"]
        assert {line["route"] for line in asked} <= templates | {"unmatched", "/openapi.json"}
        # Every address that is asked has a template; what is changed into none is not found.
        assert not [line for line in asked if line["route"] == "unmatched" and line["status"] == 200]
        assert len(asked) >= sum(self.counts.values())
        assert self.server.process.poll() is None


def holds_secret(text: str) -> bool:
    """Whether a planted value stands in a text, escaped or not."""
    return any(secret in text for secret in SECRETS)


def told_beside(response: requests.Response, stay_id: str) -> str:
    """An answer without the places that say whom it is about; a refusal as a whole."""
    media_type = response.headers.get("Content-Type", "").split(";")[0]
    if response.status_code != 200 or media_type in PROBLEM_TYPES[:1] or not response.content:
        return response.text
    if media_type not in ("application/json", "application/fhir+json"):
        return html.unescape(response.text).replace(stay_id, "") if stay_id else response.text
    return json.dumps(_without_whom(response.json()), ensure_ascii=False)


def _without_whom(content: Any) -> Any:
    if isinstance(content, list):
        return [_without_whom(each) for each in content]
    if isinstance(content, dict):
        return {name: _without_whom(value) for name, value in content.items() if name not in _ABOUT}
    return content


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Served]:
    """Serve small models, with a history of three stays (`before`, `now`, `other`), while the block runs."""
    champions, history = folder / "work" / "champions", hospital(folder / "history", **TEXTS)
    declared = history.declaration
    codes = declared.code_systems.model_dump(exclude_none=True)
    context = Context(declared.time_zone, declared.currency, codes, declared.cost_basis)
    for target in ("readmission", "complication", "cost"):
        promote(champions, target, context=context)
    promote(champions, "readmission", Point.DISCHARGE, context=context)
    with (
        server_process(
            champions, folder / "log", **{"history": str(history.path), "insecure_demo": False, **settings}
        ) as server,
        requests.Session() as session,
    ):
        session.trust_env = False
        described = session.get(f"http://127.0.0.1:{server.port}/openapi.json", timeout=SECONDS).json()
        schema = schemathesis.openapi.from_dict(described)
        yield Served(server, champions.parent, made_keys(champions.parent), schema, session)


def made_keys(work: Path) -> dict[str, str | None]:
    """Keys of the server of a folder."""
    engine, now = open_database(file_address(work / STORE_FILE)), dt.datetime.now(dt.UTC)
    wanted: dict[str, tuple[list[Role], list[str] | None]] = {role.value: ([role], None) for role in Role}
    wanted |= {EVERYTHING: (list(Role), None), WARD: ([Role.PLANNER, Role.INTEGRATOR], ["surgery"])}
    try:
        return {NOBODY: None} | {
            name: create_key(
                engine, name=name, roles=roles, departments=departments,
                expires_at=now + dt.timedelta(days=1), created_by="tests", now=now,
            )
            for name, (roles, departments) in wanted.items()
        }  # fmt: skip
    finally:
        engine.dispose()
