"""The audit log over HTTP: who may read it, what is found page by page, whether it is as it was written."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from serving.access import pages
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.chain import AuditKey
from serving.access.documents import AuditDocument
from serving.access.guard import Access
from serving.access.roles import Role
from serving.database.connection import open_database
from serving.http.description import describe
from serving.http.responses import answer_problems
from serving.routes.audit import router

AUDITOR = Caller("audit office", frozenset({Role.AUDITOR}), None, "000000000000")
WARD = Caller("ward 3", frozenset({Role.PLANNER}), None, "3f9c0a1b2c4d")
EHR = Caller("https://ehr.hospital.example", frozenset({Role.INTEGRATOR}), None)
MODEL = "readmission-admission/7"


class Hospital:
    """The route over a log of its own, asked by whoever is named, at a time that is set."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "audit.jsonl"
        self.engine = open_database(f"sqlite:///{folder}/store.db")
        self.now = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
        self.log = AuditLog(self.file, AuditKey(bytes(range(32))), self.engine, now=lambda: self.now)
        self.caller = AUDITOR

        async def identify(_headers: object) -> Caller:
            return self.caller

        app = FastAPI()
        answer_problems(app)
        app.include_router(router(Access(identify), self.log))
        describe(app, ())
        self.client = TestClient(app, raise_server_exceptions=False)

    def get(self, query: str = "") -> tuple[int, Any]:
        response = self.client.get(f"/v1/audit{query}")
        return response.status_code, response.json()

    def found(self, query: str = "") -> list[int]:
        status, document = self.get(query)
        assert status == 200
        AuditDocument.model_validate(document)
        return [each["sequence"] for each in document["reads"]]

    def lines(self) -> list[bytes]:
        return self.file.read_bytes().splitlines(keepends=True)


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    yield made
    made.log.close()
    made.engine.dispose()


def test_a_read_is_told_with_who_when_what_and_of_which_models(hospital: Hospital):
    hospital.log.record(WARD, "read_worklist", ["S1", "S2"], [MODEL])
    status, document = hospital.get()
    assert status == 200
    # The newest first: this very read, then the one before.
    assert document == {
        "reads": [
            {
                "sequence": 2,
                "at": "2026-11-22T12:00:00.000+00:00",
                "caller": "audit office (000000000000)",
                "action": "read_audit",
                "n_stays": 0,
                "models": [],
            },
            {
                "sequence": 1,
                "at": "2026-11-22T12:00:00.000+00:00",
                "caller": "ward 3 (3f9c0a1b2c4d)",
                "action": "read_worklist",
                "n_stays": 2,
                "models": [MODEL],
            },
        ],
        "checked": {"oldest": 1, "newest": 2, "intact": True},
        "next": None,
    }


def test_reads_are_found_by_stay_caller_action_and_day(hospital: Hospital):
    hospital.log.record(WARD, "read_prediction", ["S1"], [MODEL])
    hospital.log.record(WARD, "read_worklist", ["S2", "S1"], [MODEL])
    hospital.now += dt.timedelta(days=1)
    hospital.log.record(EHR, "read_cards", ["S1"], [MODEL])
    hospital.now += dt.timedelta(days=1)
    # Each question stands in the log too, with the stay that was asked about.
    assert hospital.found("?stay_id=S1") == [4, 3, 2, 1]
    assert hospital.found("?stay_id=S2") == [5, 2]
    assert hospital.found("?stay_id=S") == [6]
    assert hospital.found("?caller=ward%203") == hospital.found("?caller=3f9c0a1b2c4d") == [2, 1]
    assert hospital.found("?caller=https://ehr.hospital.example") == [3]
    assert hospital.found("?action=read_prediction&stay_id=S1") == [1]
    assert hospital.found("?since=2026-11-23&until=2026-11-23") == [3]
    assert hospital.found("?until=2026-11-22") == [2, 1]
    assert hospital.found("?since=2026-11-25") == []


def test_pages_follow_each_other_until_there_are_no_older_reads(hospital: Hospital):
    for number in range(1, 8):
        hospital.log.record(WARD, "read_prediction", [f"S{number}"], [MODEL])
    found, query = [], "?caller=ward%203&limit=3"
    checked, before = [], ""
    for _ in range(3):
        _, document = hospital.get(query + before)
        found.append([each["sequence"] for each in document["reads"]])
        checked.append(tuple(document["checked"].values()))
        before = f"&before={document['next']}"
    # Number 8 is the first question itself; what comes after it does not move the pages.
    assert found == [[7, 6, 5], [4, 3, 2], [1]]
    assert checked == [(5, 8, True), (2, 4, True), (1, 1, True)]
    assert before == "&before=None"


def test_an_answer_looks_at_so_many_lines_and_no_more(hospital: Hospital, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "MAX_LINES", 3)
    hospital.log.record(WARD, "read_prediction", ["S1"], [MODEL])
    for _ in range(3):
        hospital.log.record(WARD, "read_prediction", ["S2"], [MODEL])
    _, first = hospital.get("?stay_id=S1&action=read_prediction")
    assert (first["reads"], first["checked"]["oldest"]) == ([], 3)
    _, second = hospital.get(f"?stay_id=S1&action=read_prediction&before={first['next']}")
    assert ([each["sequence"] for each in second["reads"]], second["next"]) == ([1], None)


def test_what_lies_days_before_the_first_day_is_not_looked_at(hospital: Hospital):
    for _ in range(4):
        hospital.log.record(WARD, "read_prediction", ["S1"], [MODEL])
        hospital.now += dt.timedelta(days=1)
    _, document = hospital.get("?since=2026-11-25")
    assert [each["sequence"] for each in document["reads"]] == [5, 4]
    # A clock that was set back may have left a later line with an earlier day: one day more is looked at.
    assert document["checked"] == {"oldest": 2, "newest": 5, "intact": True}
    assert document["next"] is None


@pytest.mark.parametrize("size", [1, 7, 300, 100_000])
def test_lines_are_told_apart_wherever_a_block_ends(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, size: int
):
    monkeypatch.setattr(pages, "_BLOCK_BYTES", size)
    for number in range(1, 6):
        # One line of some hundred stays is longer than a block.
        hospital.log.record(WARD, "read_worklist", [f"S{n}" for n in range(number * 20)], [MODEL])
    _, document = hospital.get("?action=read_worklist")
    assert [each["n_stays"] for each in document["reads"]] == [100, 80, 60, 40, 20]
    assert document["checked"]["intact"]


def changed(line: bytes) -> bytes:
    return line.replace(b"read_prediction", b"read_predictioN")


@pytest.mark.parametrize(
    ("change", "found", "intact"),
    [
        (lambda lines: lines, [3, 2, 1], True),
        (lambda lines: [lines[0], changed(lines[1]), lines[2]], [3, 1], False),
        (lambda lines: [*lines[:2], changed(lines[2])], [2, 1], False),
        (lambda lines: [lines[1], lines[0], lines[2]], [3, 1, 2], False),
        (lambda lines: [*lines[:2], lines[1]], [2, 2, 1], False),
    ],
)
def test_lines_that_another_hand_changed_are_told(
    hospital: Hospital, caplog: pytest.LogCaptureFixture, change: Any, found: list[int], intact: bool
):
    caplog.set_level(logging.ERROR, "wardcast.serving")
    for number in range(3):
        # Of the same length, so that lines can take each other's place.
        hospital.log.record(WARD, "read_prediction", [f"S{number}"], [MODEL])
    hospital.file.write_bytes(b"".join(change(hospital.lines())))
    _, document = hospital.get("?caller=3f9c0a1b2c4d")
    assert [each["sequence"] for each in document["reads"]] == found
    assert document["checked"]["intact"] is intact
    told = [json.loads(record.message)["event"] for record in caplog.records]
    assert told == ([] if intact else ["audit_altered"])


def test_a_beginning_that_is_missing_is_told(hospital: Hospital):
    for number in range(3):
        hospital.log.record(WARD, "read_prediction", [f"S{number}"], [MODEL])
    first, *others = hospital.lines()
    hospital.log._n_bytes -= len(first)  # As if the file were of that length when it was opened.
    hospital.file.write_bytes(b"".join(others))
    _, document = hospital.get()
    assert document["checked"] == {"oldest": 2, "newest": 4, "intact": False}


def test_a_log_that_another_process_changed_is_not_read(hospital: Hospital):
    with hospital.file.open("ab") as stream:
        stream.write(b"x")
    status, problem = hospital.get()
    assert (status, problem["type"]) == (503, "urn:wardcast:problem:audit-unavailable")


@pytest.mark.parametrize("before", ["1", "999999999", str(2**53 - 1)])
def test_a_place_that_is_none_is_refused(hospital: Hospital, before: str):
    status, problem = hospital.get(f"?before={before}")
    assert (status, problem["errors"][0]["field"]) == (422, "query.before")


@pytest.mark.parametrize(
    "query",
    ["?limit=0", "?limit=501", "?before=0", f"?before={2**53}", "?since=yesterday", "?since=1767225600",
     "?action=x%27--", "?stay=S1", "?stay_id=S1&stay_id=S2", "?stay_id="],
)  # fmt: skip
def test_what_is_misspelt_is_refused_and_not_recorded(hospital: Hospital, query: str):
    assert hospital.get(query)[0] == 422
    assert hospital.lines() == []


@pytest.mark.parametrize(
    "caller",
    [
        WARD,
        EHR,
        # Who sees some departments would learn of others' stays that somebody read them.
        Caller("audit office", frozenset({Role.AUDITOR}), frozenset({"Cardiology"})),
        Caller("audit office", frozenset({Role.AUDITOR}), frozenset()),
    ],
)
def test_who_may_not_is_refused(hospital: Hospital, caller: Caller):
    hospital.caller = caller
    assert hospital.get()[0] == 403
    assert hospital.lines() == []


def test_the_log_holds_pseudonyms_alone_and_so_do_answers(hospital: Hospital):
    hospital.log.record(WARD, "read_prediction", ["stay-4711"], [MODEL])
    response = hospital.client.get("/v1/audit?stay_id=stay-4711")
    assert [each["sequence"] for each in response.json()["reads"]] == [2, 1]
    assert "4711" not in response.text
    assert b"4711" not in hospital.file.read_bytes()
