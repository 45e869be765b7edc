"""The audit log: every read is on the disk before it is answered, and no line can go missing unseen."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from features.pseudonyms import KeyFileError
from serving.access import audit
from serving.access.audit import AuditLog, AuditLogError
from serving.access.audit_files import open_audit_log, read_audit_key
from serving.access.caller import Caller
from serving.access.chain import FIRST, START, AuditKey, Entry, Head, written
from serving.access.heads import ForeignHeadError, head_of, move_head
from serving.access.reads import Sought, reads_of
from serving.access.roles import Role
from serving.access.settings import AccessSettings
from serving.access.verification import MAX_GROUP, Verification, verify
from serving.database.connection import open_database, writing
from serving.problems import Problem

KEY = AuditKey(bytes(range(32)))
AT = dt.datetime(2026, 11, 22, 12, 0, 0, 5_000, tzinfo=dt.UTC)
PLANNER = Caller("ward 3", frozenset({Role.PLANNER}), frozenset({"Cardiology"}))
WARD_4 = Caller("ward 4", frozenset({Role.PLANNER}), None, "000000000000")
NURSE = Caller("https://login (u)", frozenset({Role.PLANNER}), None)
MODEL = "readmission-admission/7"
ROUTE = "GET /v1/admissions/{stay_id}/prediction"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def opened(file: Path, engine: Engine) -> AuditLog:
    return AuditLog(file, KEY, engine, now=lambda: AT)


def with_lines(file: Path, engine: Engine, n: int) -> list[bytes]:
    """A log of n reads of the stays S1, S2, …; its lines."""
    log = opened(file, engine)
    for number in range(1, n + 1):
        log.record(PLANNER, ROUTE, [f"S{number}"], [MODEL])
    log.close()
    return file.read_bytes().splitlines(keepends=True)


def checked(file: Path, engine: Engine) -> Verification:
    return verify(file, KEY, lambda: head_of(engine, file.name))


def test_a_line_says_who_did_what_when_with_which_models(file: Path, engine: Engine):
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, ["S1", "S2", "S1"], [MODEL, MODEL])
    log.close()
    (line,) = file.read_bytes().splitlines()
    record = json.loads(line)
    digest = record.pop("digest")
    assert record == {
        "sequence": 1,
        "at": "2026-11-22T12:00:00.005+00:00",
        "caller": "ward 3",
        "action": ROUTE,
        "stays": [KEY.pseudonym("S1"), KEY.pseudonym("S2")],
        "models": [MODEL],
        "previous": "0" * 64,
    }
    # As any language's HMAC makes them: the key of each use is made of the secret first.
    chain = hmac.digest(KEY.secret, b"wardcast audit: chain", hashlib.sha256)
    content = json.dumps(record, separators=(",", ":")).encode()
    assert digest == hmac.new(chain, content, hashlib.sha256).hexdigest()
    stay = hmac.digest(KEY.secret, b"wardcast audit: stay", hashlib.sha256)
    assert KEY.pseudonym("S1") == hmac.new(stay, b"S1", hashlib.sha256).hexdigest()[:32]


def test_each_line_bears_the_digest_of_the_one_before(file: Path, engine: Engine):
    records = [json.loads(line) for line in with_lines(file, engine, 3)]
    assert [record["sequence"] for record in records] == [1, 2, 3]
    assert [record["previous"] for record in records] == [FIRST, *(each["digest"] for each in records[:2])]
    assert head_of(engine, file.name) == Head(3, records[2]["digest"])


def test_the_file_holds_no_identifier_and_is_for_its_owner_alone(file: Path, engine: Engine):
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, ["stay-4711"], [MODEL])
    log.close()
    assert b"4711" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_who_knows_a_stay_finds_its_reads(file: Path, engine: Engine):
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, ["S1"], [MODEL])
    log.record(PLANNER, "GET /v1/worklist", ["S2", "S1"], [MODEL, "cost-admission/2"])
    log.record(PLANNER, ROUTE, ["S11"], [MODEL])
    log.close()
    found = list(reads_of(file, Sought("S1"), KEY))
    assert [(each["sequence"], each["action"]) for each in found] == [(1, ROUTE), (2, "GET /v1/worklist")]
    assert found[1]["models"] == [MODEL, "cost-admission/2"]
    assert list(reads_of(file, Sought("S3"), KEY)) == []
    # Another key makes other pseudonyms: without the right one nobody can try which stays were read.
    assert AuditKey(b"another").pseudonym("S1") != KEY.pseudonym("S1")


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(caller="ward 3"), [1, 2, 5]),
        (Sought(caller="3f9c0a1b2c4d"), [2]),
        (Sought(caller="ward 3 (3f9c0a1b2c4d)"), [2]),
        # No part of a name, and no name of a token.
        (Sought(caller="ward"), []),
        (Sought(caller="https://login"), []),
        (Sought(caller="https://login (u)"), [4]),
        (Sought(action="read_worklist"), [3, 4]),
        (Sought("S1", "ward 3", "read_prediction"), [1, 5]),
        (Sought(since=dt.date(2026, 11, 23)), [4, 5]),
        (Sought(until=dt.date(2026, 11, 22)), [1, 2, 3]),
        (Sought(since=dt.date(2026, 11, 23), until=dt.date(2026, 11, 23)), [4, 5]),
        (Sought(since=dt.date(2026, 11, 24)), []),
    ],
)
def test_reads_are_found_by_caller_action_and_day(
    file: Path, engine: Engine, sought: Sought, found: list[int]
):
    clock = [AT]
    log = AuditLog(file, KEY, engine, now=lambda: clock[0])
    east = dt.timezone(dt.timedelta(hours=8))
    for at, caller, action, stay_id in (
        (AT, PLANNER, "read_prediction", "S1"),
        (AT, replace(PLANNER, key_id="3f9c0a1b2c4d"), "read_prediction", "S2"),
        # The 23rd in Beijing, and the last second of the 22nd in UTC.
        (dt.datetime(2026, 11, 23, 7, 59, 59, tzinfo=east), WARD_4, "read_worklist", "S1"),
        (dt.datetime(2026, 11, 23, 8, 0, 0, tzinfo=east), NURSE, "read_worklist", "S1"),
        (AT + dt.timedelta(days=1), replace(PLANNER, key_id="aaaaaaaaaaaa"), "read_prediction", "S1"),
    ):
        clock[0] = at
        log.record(caller, action, [stay_id], [MODEL])
    log.close()
    assert [each["sequence"] for each in reads_of(file, sought, KEY)] == found


def test_a_whole_log_is_verified(file: Path, engine: Engine):
    with_lines(file, engine, 3)
    found = checked(file, engine)
    assert found.is_intact
    assert (found.n_lines, found.last.sequence, found.n_newer, found.n_unfinished) == (3, 3, 0, 0)


def test_an_empty_log_is_whole(file: Path, engine: Engine):
    opened(file, engine).close()
    assert checked(file, engine) == Verification(START, 0, 0, 0, ())


def altered(line: bytes) -> bytes:
    return line.replace(b'"ward 3"', b'"ward 4"')


def resigned(line: bytes, secret: bytes) -> bytes:
    """The line changed, with a digest that fits it under another key."""
    record = json.loads(line)
    entry = Entry("ward 4", record["action"], tuple(record["stays"]), tuple(record["models"]))
    return written(entry, Head(record["sequence"] - 1, record["previous"]), AT, AuditKey(secret))[0]


def copy_of(lines: list[bytes], place: int, line: bytes) -> list[bytes]:
    return [*lines[:place], line, *lines[place + 1 :]]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda lines: lines[:1] + lines[2:], "line 2 has the number 3: number 2 missing before it"),
        (lambda lines: lines[2:], "line 1 has the number 3: 1 to 2 missing before it"),
        (lambda lines: lines[:-1], "the end is cut off: the last number is 4, and 5 was written"),
        (lambda lines: lines[:2], "the end is cut off: the last number is 2, and 5 was written"),
        (lambda lines: lines[:0], "the end is cut off: the last number is 0, and 5 was written"),
        (lambda lines: copy_of(lines, 1, altered(lines[1])), "line 2 was altered"),
        (lambda lines: copy_of(lines, 4, altered(lines[4])), "line 5 was altered"),
        (lambda lines: copy_of(lines, 1, resigned(lines[1], b"guess")), "line 2 was altered"),
        (lambda lines: copy_of(lines, 4, lines[4][:-9]), "the end is cut off: the last number is 4"),
        (lambda lines: copy_of(lines, 1, lines[1][:-9]), "line 2 was altered"),
        (lambda lines: copy_of(lines, 2, b"\n"), "line 3 was altered"),
        (lambda lines: copy_of(lines, 2, b""), "line 3 has the number 4: number 3 missing before it"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1 has the number 2: number 1 missing"),
        (lambda lines: [*lines[:4], lines[3], lines[4]], "line 5 has the number 4: it was moved, or written"),
        (lambda lines: [*lines, lines[4]], "line 6 has the number 5: it was moved, or written twice"),
        (lambda lines: [*lines[:2], lines[4], *lines[2:4]], "line 3 has the number 5: 3 to 4 missing"),
        (lambda lines: [*lines, b'{"sequence":6}\n'], "line 6 was altered"),
        (lambda lines: copy_of(lines, 1, lines[1].upper()), "line 2 was altered"),
        (lambda lines: copy_of(lines, 1, b" " + lines[1]), "line 2 was altered"),
        (lambda lines: copy_of(lines, 1, lines[1][:-1] + b" \n"), "line 2 was altered"),
        (lambda lines: copy_of(lines, 1, lines[1][:-1] + b"\r\n"), "line 2 was altered"),
    ],
)
def test_every_change_by_another_hand_is_found_and_named(
    file: Path, engine: Engine, change: Any, finding: str
):
    lines = with_lines(file, engine, 5)
    file.write_bytes(b"".join(change(lines)))
    found = checked(file, engine)
    assert found.findings[0].startswith(finding)
    assert not found.is_intact


def test_a_removed_file_is_found(file: Path, engine: Engine):
    with_lines(file, engine, 2)
    file.unlink()
    assert checked(file, engine).findings == ("the end is cut off: the last number is 0, and 2 was written",)


def test_several_changes_are_all_named(file: Path, engine: Engine):
    lines = with_lines(file, engine, 6)
    file.write_bytes(b"".join([altered(lines[0]), lines[1], *lines[3:5]]))
    assert checked(file, engine).findings == (
        "line 1 was altered",
        "line 3 has the number 4: number 3 missing before it",
        "the end is cut off: the last number is 5, and 6 was written",
    )


def test_who_has_the_key_but_not_the_store_cannot_make_the_log_anew(file: Path, engine: Engine):
    lines = with_lines(file, engine, 3)
    head, remade = START, b""
    for line in lines:
        record = json.loads(line)
        entry = Entry("someone else", record["action"], tuple(record["stays"]), tuple(record["models"]))
        made, head = written(entry, head, AT, KEY)
        remade += made
    file.write_bytes(remade)
    assert checked(file, engine).findings == (
        "number 3 is not the line that was written: the log was made anew",
    )


def test_a_line_from_another_log_of_the_same_key_does_not_fit(file: Path, engine: Engine, tmp_path: Path):
    lines = with_lines(file, engine, 3)
    other = opened(tmp_path / "other.jsonl", engine)
    for _ in range(3):
        other.record(PLANNER, "other", [], [])
    other.close()
    foreign = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(copy_of(lines, 1, foreign[1])))
    found = checked(file, engine).findings
    assert found[0] == "line 2 does not follow the line before it: one of them was replaced"


def ahead(file: Path, n: int) -> None:
    """Lines that the head does not know, as a crash before its move leaves them."""
    last = json.loads(file.read_bytes().splitlines()[-1])
    head = Head(last["sequence"], last["digest"])
    with file.open("ab") as stream:
        for _ in range(n):
            line, head = written(Entry("ward 3", ROUTE, (), ()), head, AT, KEY)
            stream.write(line)


def test_a_stop_before_the_head_moved_is_no_change_by_another_hand(file: Path, engine: Engine):
    with_lines(file, engine, 2)
    ahead(file, 3)
    found = checked(file, engine)
    assert (found.is_intact, found.n_newer) == (True, 3)
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, ["S9"], [MODEL])
    log.close()
    found = checked(file, engine)
    # Two, three of the stop, the line that tells of it, and the read.
    assert (found.is_intact, found.n_newer, found.n_lines) == (True, 0, 7)
    told = json.loads(file.read_bytes().splitlines()[5])
    assert told["caller"] == "wardcast"
    assert told["action"].startswith("went on after a stop: 3 lines newer than the head, 0 bytes")


def test_a_line_that_a_stop_left_unfinished_is_cut_off_and_told(file: Path, engine: Engine):
    lines = with_lines(file, engine, 2)
    file.write_bytes(b"".join(lines) + lines[1][:50])
    found = checked(file, engine)
    assert (found.is_intact, found.n_unfinished) == (True, 50)
    opened(file, engine).close()
    told = json.loads(file.read_bytes().splitlines()[2])
    assert told["action"].endswith("0 lines newer than the head, 50 bytes of an unfinished line cut off")
    assert checked(file, engine).is_intact


def test_a_stop_before_the_first_head_was_kept(file: Path, engine: Engine):
    line, _ = written(Entry("ward 3", ROUTE, (), ()), START, AT, KEY)
    file.write_bytes(line)
    opened(file, engine).close()
    assert checked(file, engine).n_lines == 2


def test_a_stop_loses_one_group_at_most_so_a_head_further_behind_was_set_back(file: Path, engine: Engine):
    with_lines(file, engine, 1)
    ahead(file, MAX_GROUP)
    assert checked(file, engine).is_intact
    ahead(file, 1)
    assert "the head was set back" in checked(file, engine).findings[0]


def test_lines_written_while_a_log_is_verified_are_no_finding(file: Path, engine: Engine):
    lines = with_lines(file, engine, 1)
    first = head_of(engine, file.name)
    ahead(file, 2 * MAX_GROUP)
    last = json.loads(file.read_bytes().splitlines()[-1])
    # The head as it was before the log was read, and after.
    heads = iter([first, Head(last["sequence"], last["digest"])])
    found = verify(file, KEY, lambda: next(heads))
    assert (found.findings, found.n_newer) == ((), 0)
    # The log as it was read before those lines were written.
    heads = iter([first, Head(last["sequence"], last["digest"])])
    file.write_bytes(lines[0])
    assert verify(file, KEY, lambda: next(heads)).findings == ()


def test_a_broken_log_is_not_written_on(file: Path, engine: Engine):
    lines = with_lines(file, engine, 3)
    for broken in (lines[:2], [], [lines[0], altered(lines[1]), lines[2][:-1]], [*lines[:2], b"{}\n"]):
        content = b"".join(broken)
        file.write_bytes(content)
        with pytest.raises(AuditLogError, match="not as it was written"):
            opened(file, engine)
        # It is kept as it was found.
        assert file.read_bytes() == content


def test_a_long_last_line_is_found_again(file: Path, engine: Engine):
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, [f"S{number}" for number in range(5_000)], [MODEL])
    log.close()
    assert file.stat().st_size > 2 * 64 * 1024
    opened(file, engine).close()
    # Nothing was told: it went on where it had ended.
    assert checked(file, engine).n_lines == 1


def test_one_process_writes_a_log(file: Path, engine: Engine):
    log = opened(file, engine)
    with pytest.raises(AuditLogError, match="another process writes"):
        opened(file, engine)
    log.close()
    opened(file, engine).close()


def test_a_log_that_another_hand_changed_meanwhile_is_not_written_on(file: Path, engine: Engine):
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, ["S1"], [MODEL])
    with file.open("ab") as stream:
        stream.write(b"{}\n")
    with pytest.raises(Problem) as refused:
        log.record(PLANNER, ROUTE, ["S2"], [MODEL])
    assert (refused.value.kind.name, refused.value.kind.status) == ("audit-unavailable", 503)
    log.close()


@pytest.mark.parametrize("moved", [Path.unlink, lambda file: file.rename(file.with_suffix(".old"))])
def test_a_log_that_was_moved_away_is_not_written_on(file: Path, engine: Engine, moved: Any):
    log = opened(file, engine)
    moved(file)
    with pytest.raises(Problem):
        log.record(PLANNER, ROUTE, ["S1"], [MODEL])
    log.close()


def test_a_full_disk_refuses_the_read_and_leaves_no_half_line(
    file: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, ["S1"], [MODEL])
    before = file.read_bytes()

    def full(descriptor: int, content: bytearray) -> None:
        os.write(descriptor, content[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(audit, "_write_all", full)
        with pytest.raises(Problem) as refused:
            log.record(PLANNER, ROUTE, ["S2"], [MODEL])
    assert refused.value.kind.status == 503
    assert refused.value.detail == "Reads must be recorded, and the audit log cannot be written."
    assert [json.loads(record.getMessage()) for record in caplog.records] == [
        {"event": "audit_unwritable", "kind": "OSError", "cause": "ENOSPC"}
    ]
    assert file.read_bytes() == before
    log.record(PLANNER, ROUTE, ["S3"], [MODEL])
    log.close()
    assert [record["sequence"] for record in reads_of(file, Sought("S3"), KEY)] == [2]
    assert checked(file, engine).is_intact


def test_a_store_that_is_locked_is_told_to_be_so_and_not_the_audit_log(
    file: Path, engine: Engine, caplog: pytest.LogCaptureFixture
):
    log = opened(file, engine)
    # The least wait of the driver: else the test would wait 15 seconds.
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    other = open_database(engine.url)
    with writing(other), pytest.raises(Problem) as refused:
        log.record(PLANNER, ROUTE, ["S1"], [MODEL])
    assert refused.value.detail == (
        "Reads must be recorded, and the store, which keeps the audit log's last line, cannot be written."
    )
    assert [json.loads(record.getMessage()) for record in caplog.records] == [
        {"event": "audit_unwritable", "kind": "StoreError", "cause": "locked"}
    ]
    log.close()
    other.dispose()


def test_a_store_that_does_not_answer_refuses_the_read(file: Path, engine: Engine):
    log = opened(file, engine)
    log.record(PLANNER, ROUTE, ["S1"], [MODEL])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_heads RENAME TO away"))
    for _ in range(3):
        with pytest.raises(Problem):
            log.record(PLANNER, ROUTE, ["S2"], [MODEL])
    # Lines that no head knows do not pile up.
    assert len(file.read_bytes().splitlines()) == 2
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO audit_heads"))
    log.record(PLANNER, ROUTE, ["S3"], [MODEL])
    log.close()
    found = checked(file, engine)
    assert (found.is_intact, found.n_lines, found.n_newer) == (True, 3, 0)


def test_requests_that_come_at_once_are_each_written_and_share_the_waits(
    file: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    log = opened(file, engine)
    syncs, first, go_on = [], threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        first.set()
        assert go_on.wait(10)

    monkeypatch.setattr(audit.os, "fsync", slow)
    threads = [
        threading.Thread(target=log.record, args=(PLANNER, ROUTE, [f"S{number}"], [MODEL]))
        for number in range(20)
    ]
    threads[0].start()
    assert first.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(log._waiting) < 19:
        threads[1].join(0.01)
    go_on.set()
    for thread in threads:
        thread.join()
    log.close()
    # One wait for the first, one for the nineteen that came meanwhile.
    assert len(syncs) == 2
    found = checked(file, engine)
    assert (found.is_intact, found.n_lines) == (True, 20)
    assert all(len(list(reads_of(file, Sought(f"S{number}"), KEY))) == 1 for number in range(20))


def test_a_request_that_is_written_does_not_wait_for_those_that_came_later(
    file: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    log = opened(file, engine)
    begun = [threading.Event(), threading.Event()]
    go_on = [threading.Event(), threading.Event()]
    turns = iter(range(2))

    def slow(_descriptor: int) -> None:
        turn = next(turns)
        begun[turn].set()
        assert go_on[turn].wait(10)

    monkeypatch.setattr(audit.os, "fsync", slow)
    first, second = (threading.Thread(target=log.record, args=(PLANNER, ROUTE, [], [])) for _ in range(2))
    first.start()
    assert begun[0].wait(10)
    second.start()
    while not log._waiting:
        second.join(0.01)
    go_on[0].set()
    assert begun[1].wait(10)
    first.join(10)
    assert not first.is_alive()
    go_on[1].set()
    second.join(10)
    log.close()
    assert checked(file, engine).n_lines == 2


def test_more_requests_than_one_group_are_all_written(
    file: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audit, "MAX_GROUP", 3)
    log = opened(file, engine)
    threads = [threading.Thread(target=log.record, args=(PLANNER, ROUTE, [], [])) for _ in range(20)]
    with log._writing:
        for thread in threads:
            thread.start()
        # The first has taken what it found, and waits to write it.
        while len(log._waiting) < 17:
            threads[0].join(0.01)
    for thread in threads:
        thread.join(10)
    log.close()
    found = checked(file, engine)
    assert (found.is_intact, found.n_lines) == (True, 20)


def test_a_failed_write_refuses_all_who_waited_for_it_and_no_others(
    file: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    log = opened(file, engine)
    refused: list[str] = []

    def read_one(stay_id: str) -> None:
        try:
            log.record(PLANNER, ROUTE, [stay_id], [])
        except Problem:
            refused.append(stay_id)

    fails = iter([False, True, False])
    begun, go_on = threading.Event(), threading.Event()

    def sync(_descriptor: int) -> None:
        begun.set()
        assert go_on.wait(10)
        if next(fails):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(audit.os, "fsync", sync)
    threads = [threading.Thread(target=read_one, args=(f"S{number}",)) for number in range(4)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(log._waiting) < 3:
        threads[1].join(0.01)
    go_on.set()
    for thread in threads:
        thread.join(10)
    read_one("S4")
    log.close()
    assert sorted(refused) == ["S1", "S2", "S3"]
    found = checked(file, engine)
    assert (found.is_intact, found.n_lines) == (True, 2)


def test_a_log_is_verified_while_it_is_written(file: Path, engine: Engine):
    log = opened(file, engine)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            log.record(PLANNER, ROUTE, ["S1"], [MODEL])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            assert checked(file, engine).findings == ()
    finally:
        done.set()
        writer.join()
        log.close()


KILLED = """
import os, sys
from pathlib import Path
from serving.access import audit
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.chain import AuditKey
from serving.database.connection import open_database

folder, moment = Path(sys.argv[1]), sys.argv[2]
log = AuditLog(folder / "audit.jsonl", AuditKey(bytes(range(32))), open_database(f"sqlite:///{folder}/store.db"))
caller = Caller("ward 3", frozenset(), None)
log.record(caller, "first", ["S1"], [])
if moment == "within the line":
    audit._write_all = lambda descriptor, content: (os.write(descriptor, content[:30]), os._exit(9))
elif moment == "before the head":
    audit.move_head = lambda *_: os._exit(9)
log.record(caller, "second", ["S2"], [])
os._exit(9)
"""


@pytest.mark.parametrize(
    ("moment", "n_newer", "n_unfinished", "n_reads"),
    [("within the line", 0, 30, 0), ("before the head", 1, 0, 1), ("after both", 0, 0, 1)],
)
def test_a_killed_server_is_told_apart_from_another_hand(
    tmp_path: Path, engine: Engine, moment: str, n_newer: int, n_unfinished: int, n_reads: int
):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], timeout=60, check=False)
    assert done.returncode == 9
    file = tmp_path / "audit.jsonl"
    found = checked(file, engine)
    assert (found.is_intact, found.n_newer, found.n_unfinished) == (True, n_newer, n_unfinished)
    opened(file, engine).close()
    assert checked(file, engine).is_intact
    assert len(list(reads_of(file, Sought("S1"), KEY))) == 1
    assert len(list(reads_of(file, Sought("S2"), KEY))) == n_reads


def test_the_first_log_gets_a_key_of_its_own(tmp_path: Path, engine: Engine):
    log = open_audit_log(AccessSettings(), tmp_path, engine)
    log.record(PLANNER, ROUTE, ["S1"], [MODEL])
    log.close()
    key_file = tmp_path / "audit.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    key = read_audit_key(key_file)
    assert len(key.secret) == 32
    assert "secret" not in repr(key)
    open_audit_log(AccessSettings(), tmp_path, engine).close()
    assert len(list(reads_of(tmp_path / "audit.jsonl", Sought("S1"), key))) == 1


def test_a_log_whose_key_is_lost_gets_no_other_key(tmp_path: Path, engine: Engine):
    open_audit_log(AccessSettings(), tmp_path, engine).close()
    (tmp_path / "audit.key").unlink()
    with pytest.raises(AuditLogError, match="no key of the audit log"):
        open_audit_log(AccessSettings(), tmp_path, engine)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, engine: Engine):
    open_audit_log(AccessSettings(), tmp_path, engine).close()
    (tmp_path / "audit.key").chmod(0o644)
    with pytest.raises(KeyFileError, match="other accounts"):
        open_audit_log(AccessSettings(), tmp_path, engine)


def test_another_log_of_the_same_store_has_a_head_of_its_own(tmp_path: Path, engine: Engine):
    with_lines(tmp_path / "audit.jsonl", engine, 3)
    with_lines(tmp_path / "audit-2.jsonl", engine, 2)
    assert checked(tmp_path / "audit.jsonl", engine).last.sequence == 3
    assert checked(tmp_path / "audit-2.jsonl", engine).last.sequence == 2


def test_a_read_is_not_looked_for_in_an_altered_log(file: Path, engine: Engine):
    lines = with_lines(file, engine, 3)
    file.write_bytes(b"".join(copy_of(lines, 1, altered(lines[1]))))
    with pytest.raises(ValueError, match="line 2 was altered"):
        list(reads_of(file, Sought("S3"), KEY))
    with pytest.raises(ValueError, match="there is no audit log"):
        list(reads_of(file.with_name("none.jsonl"), Sought("S3"), KEY))


def test_a_head_moves(engine: Engine):
    assert head_of(engine, "a") == START
    for after, head in ((START, Head(1, "x")), (Head(1, "x"), Head(2, "y"))):
        # Twice, as where a connection ended before it said whether it was done.
        for _ in range(2):
            move_head(engine, "a", after, head, AT)
            assert head_of(engine, "a") == head
    assert head_of(engine, "b") == START
    for after in (START, Head(1, "x")):
        with pytest.raises(ForeignHeadError):
            move_head(engine, "a", after, Head(3, "z"), AT)
    assert head_of(engine, "a") == Head(2, "y")


def test_two_servers_that_share_a_store_do_not_take_one_name_for_two_logs(tmp_path: Path, engine: Engine):
    here, there = (opened(tmp_path / name / "audit.jsonl", engine) for name in ("here", "there"))
    here.record(PLANNER, ROUTE, ["S1"], [MODEL])
    # Its line would take the place of the other's as the last one, and a cut would no longer show.
    for _ in range(2):
        with pytest.raises(Problem, match="audit-unavailable"):
            there.record(PLANNER, ROUTE, ["S2"], [MODEL])
    here.record(PLANNER, ROUTE, ["S3"], [MODEL])
    assert checked(tmp_path / "here" / "audit.jsonl", engine).is_intact
    here.close()
    there.close()
    with pytest.raises(AuditLogError, match="not as it was written"):
        opened(tmp_path / "there" / "audit.jsonl", engine)


def test_a_head_that_another_hand_set_back_stops_the_log(file: Path, engine: Engine):
    log = opened(file, engine)
    for number in range(3):
        log.record(PLANNER, ROUTE, [f"S{number}"], [MODEL])
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit_heads SET sequence = 1, digest = 'x'"))
    with pytest.raises(Problem, match="audit-unavailable"):
        log.record(PLANNER, ROUTE, ["S4"], [MODEL])
    log.close()
