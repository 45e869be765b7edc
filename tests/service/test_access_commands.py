"""The commands for keys and for the audit log, on SQLite and, for what is kept there, on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from serving.access.audit_files import open_audit_log, read_audit_key
from serving.access.caller import Caller
from serving.access.heads import head_of
from serving.access.keys import KeyRing, create_key, list_keys, revoke_key
from serving.access.roles import Role
from serving.access.settings import AccessSettings
from serving.access.verification import verify
from serving.database.connection import open_database
from serving.problems import Problem
from serving.store.predictions import PredictionStore
from tests.postgres import Postgres, postgres
from tests.stored import answer
from wardcast.commands import audit, keys
from wardcast.commands import store as prune

CALLER = Caller("ward 3", frozenset({Role.PLANNER}), None)
ROUTE = "GET /v1/admissions/{stay_id}/prediction"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # No wardcast.toml of whoever runs the tests.
    monkeypatch.chdir(tmp_path)
    return tmp_path / "work"


def run(app: Any, *arguments: str, work: Path) -> Result:
    return CliRunner().invoke(app, [*arguments, "--work", str(work)])


def created(work: Path, *options: str) -> str:
    done = run(keys.app, "create", "--name", "ward 3", *options, work=work)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def store(work: Path) -> Engine:
    return open_database(f"sqlite:///{work}/wardcast.db")


def caller_of(work: Path, key: str) -> Caller:
    engine = store(work)
    try:
        return KeyRing(engine, keys_seconds=1.0).caller(key)
    finally:
        engine.dispose()


def test_a_key_is_made_and_told_once(work: Path):
    key = created(work, "--role", "planner", "--department", "Cardiology", "--department", "Surgery")
    departments = frozenset({"Cardiology", "Surgery"})
    expected = Caller("ward 3", frozenset({Role.PLANNER}), departments, key.split("_")[1])
    assert caller_of(work, key) == expected
    listed = run(keys.app, "list", "--json", work=work).stdout
    (document,) = json.loads(listed)
    assert (document["key_id"], document["state"]) == (key.split("_")[1], "valid")
    assert document["departments"] == ["Cardiology", "Surgery"]
    shown = run(keys.app, "list", work=work).output
    for text in (listed, shown):
        assert key.split("_")[2] not in text
        assert document["key_id"] in text


def test_standard_output_holds_the_key_alone(work: Path):
    done = run(keys.app, "create", "--name", "ehr", "--role", "integrator", work=work)
    assert done.stdout.startswith("wc_")
    assert done.stdout.count("\n") == 1
    assert "cannot be shown again" in done.stderr
    document = json.loads(
        run(keys.app, "create", "--name", "e", "--role", "auditor", "--json", work=work).stdout
    )
    assert caller_of(work, document["key"]).roles == {Role.AUDITOR}


def test_a_department_of_which_nothing_is_stored_is_told_with_those_that_are_like_it(work: Path):
    options = ("create", "--name", "p", "--role", "planner", "--department", "Cardiology")
    # As long as nothing is stored, no department is known.
    assert "Warning" not in run(keys.app, *options, work=work).stderr
    engine = store(work)
    PredictionStore(engine).save([answer("S1"), answer("S2", department=None)])
    engine.dispose()
    done = run(keys.app, *options, "--department", "cardiology", work=work)
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("Warning")] == [
        "Warning: no stored prediction has the department Cardiology; departments are compared letter for "
        "letter. Like it: cardiology."
    ]
    done = run(keys.app, "create", "--name", "p", "--role", "planner", "--department", "ICU", work=work)
    assert done.stderr.splitlines()[-1].endswith(
        "the department ICU; departments are compared letter for letter."
    )


def test_a_key_says_when_it_ends_and_the_list_which_end_soon(work: Path):
    done = run(keys.app, "create", "--name", "a", "--role", "auditor", work=work)
    assert "(90 days: neither --expires-in nor --expires-on was named)" in done.stderr
    done = run(keys.app, "create", "--name", "b", "--role", "auditor", "--expires-in", "14", work=work)
    assert "neither" not in done.stderr
    created(work, "--role", "auditor", "--expires-in", "15")
    ended = created(work, "--role", "auditor")
    run(keys.app, "revoke", ended.split("_")[1], work=work)
    listed = json.loads(run(keys.app, "list", "--json", work=work).stdout)
    # Whole days: a moment has passed since they were made.
    assert [document["days_left"] for document in listed] == [89, 13, 14, None]
    shown = run(keys.app, "list", work=work).output
    assert "ends in 13 days" in " ".join(shown.split())
    assert shown.count("ends in") == 1


def test_a_planner_who_sees_all_departments_is_meant_to(work: Path):
    done = run(keys.app, "create", "--name", "p", "--role", "planner", work=work)
    assert done.exit_code == 2
    assert caller_of(work, created(work, "--role", "planner", "--all-departments")).departments is None


def test_a_key_ends_after_ninety_days_or_when_it_is_told_to(work: Path):
    created(work, "--role", "auditor")
    created(work, "--role", "auditor", "--expires-in", "7")
    created(work, "--role", "auditor", "--expires-on", "2099-12-31")
    engine = store(work)
    ends = [(key.expires_at - key.created_at, key.expires_at) for key in list_keys(engine)]
    engine.dispose()
    assert [ends[0][0].days, ends[1][0].days] == [90, 7]
    # The last day counts to its end.
    assert ends[2][1] == dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "options",
    [
        ("--role", "root"),
        (),
        ("--role", "auditor", "--expires-in", "7", "--expires-on", "2099-12-31"),
        ("--role", "auditor", "--expires-in", "0"),
        ("--role", "auditor", "--expires-on", "2020-01-01"),
        ("--role", "planner", "--department", "A", "--all-departments"),
    ],
)
def test_what_could_never_work_is_wrong_usage(work: Path, options: tuple[str, ...]):
    done = run(keys.app, "create", "--name", "x", *options, work=work)
    assert done.exit_code == 2
    assert "wc_" not in done.output


def test_a_revoked_key_is_revoked(work: Path):
    key = created(work, "--role", "auditor")
    done = run(keys.app, "revoke", key.split("_")[1], work=work)
    assert (done.exit_code, done.output) == (0, f"{key.split('_')[1]} is revoked.\n")
    with pytest.raises(Problem):
        caller_of(work, key)
    assert json.loads(run(keys.app, "list", "--json", work=work).stdout)[0]["state"] == "revoked"


@pytest.fixture
def read(work: Path) -> Path:
    """A work folder whose log tells of three reads of two stays."""
    engine = store(work)
    log = open_audit_log(AccessSettings(), work, engine)
    for stay_id in ("S1", "S2", "S1"):
        log.record(CALLER, ROUTE, [stay_id], ["cost-admission/2"])
    log.close()
    engine.dispose()
    return work


def test_a_whole_log_exits_with_0(read: Path):
    done = run(audit.app, "verify", work=read)
    assert (done.exit_code, done.stdout) == (
        0,
        f"{read}/audit.jsonl: whole. 3 lines; the last is number 3.\n",
    )


def test_a_changed_log_exits_with_1_and_says_where(read: Path):
    log = read / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[2])
    done = run(audit.app, "verify", work=read)
    assert (done.exit_code, done.stdout) == (
        1,
        f"{log}: line 2 has the number 3: number 2 missing before it.\n",
    )
    document = json.loads(run(audit.app, "verify", "--json", work=read).stdout)
    assert (document["intact"], document["findings"]) == (
        False,
        ["line 2 has the number 3: number 2 missing before it"],
    )


def test_what_a_stop_left_is_told_and_exits_with_0(read: Path):
    with (read / "audit.jsonl").open("ab") as stream:
        stream.write(b'{"sequence":4')
    done = run(audit.app, "verify", work=read)
    assert done.exit_code == 0
    assert "0 lines and 13 bytes are newer than the head" in done.stdout


def test_a_log_is_verified_where_it_was_put_aside(read: Path):
    aside = read / "audit.jsonl.d"
    aside.mkdir()
    moved = (read / "audit.jsonl").rename(aside / "audit.jsonl")
    assert run(audit.app, "verify", "--log", str(moved), work=read).exit_code == 0
    assert run(audit.app, "verify", work=read).exit_code == 1


def test_a_stays_reads_are_found(read: Path):
    found = json.loads(run(audit.app, "find", "S1", "--json", work=read).stdout)
    assert [(each["sequence"], each["caller"], each["models"]) for each in found] == [
        (1, "ward 3", ["cost-admission/2"]),
        (3, "ward 3", ["cost-admission/2"]),
    ]
    assert run(audit.app, "find", "S2", work=read).stdout.count("ward 3") == 1
    assert json.loads(run(audit.app, "find", "S9", "--json", work=read).stdout) == []
    # A stay that nobody read, or that is misspelt: an empty table would leave that open.
    said = run(audit.app, "find", "S9", work=read).stdout
    assert said == "Nothing was found: the log holds no such read. Names are compared letter for letter.\n"


def test_a_callers_reads_are_found_by_the_name_or_the_id_of_its_key(work: Path):
    key = created(work, "--role", "planner", "--all-departments")
    engine = store(work)
    log = open_audit_log(AccessSettings(), work, engine)
    log.record(CALLER, ROUTE, ["S1"], [])
    log.record(KeyRing(engine, keys_seconds=1.0).caller(key), ROUTE, ["S2"], [])
    log.close()
    engine.dispose()
    key_id = key.split("_")[1]
    for asked, expected in (("ward 3", [1, 2]), (key_id, [2]), (f"ward 3 ({key_id})", [2]), ("ward", [])):
        found = json.loads(run(audit.app, "find", "--caller", asked, "--json", work=work).stdout)
        assert [each["sequence"] for each in found] == expected
    assert json.loads(run(audit.app, "find", "S1", "--caller", key_id, "--json", work=work).stdout) == []
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    for options, expected in ((("--since", today), 2), (("--until", "2026-01-01"), 0)):
        assert len(json.loads(run(audit.app, "find", *options, "--json", work=work).stdout)) == expected
    # The whole log is not what somebody finds by leaving everything out.
    assert run(audit.app, "find", work=work).exit_code == 2


def test_what_is_pruned_leaves_the_record_of_its_reads_and_the_keys(read: Path):
    key = created(read, "--role", "auditor")
    engine = store(read)
    PredictionStore(engine).save([answer("S1", scored_at="2020-01-01T00:00:00Z")])
    engine.dispose()
    pruned = json.loads(run(prune.app, "prune", "--older-than", "1", "--json", work=read).stdout)
    assert pruned["predictions"] == 1
    assert run(audit.app, "verify", work=read).exit_code == 0
    found = json.loads(run(audit.app, "find", "S1", "--json", work=read).stdout)
    assert [each["sequence"] for each in found] == [1, 3]
    assert caller_of(read, key).roles == {Role.AUDITOR}


def test_a_folder_without_a_log_is_told(work: Path):
    work.mkdir()
    for arguments in (("verify",), ("find", "S1")):
        done = run(audit.app, *arguments, work=work)
        assert "no key of the audit log" in str(done.exception)
    # Nothing was made by looking.
    assert list(work.iterdir()) == []


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


def test_keys_and_heads_are_kept_in_postgresql_too(server: Postgres, tmp_path: Path):
    server.run("createdb", "access")
    engine = open_database(server.uri("access"))
    now = dt.datetime.now(dt.UTC)
    made = create_key(
        engine,
        name="ward 3",
        roles=[Role.PLANNER],
        departments=["Cardiology"],
        expires_at=now + dt.timedelta(days=1),
        created_by="tests",
        now=now,
    )
    ring = KeyRing(engine, keys_seconds=0.000_001)
    assert ring.caller(made).departments == {"Cardiology"}
    revoke_key(engine, made.split("_")[1], now=now)
    with pytest.raises(Problem):
        ring.caller(made)
    for _ in range(2):
        log = open_audit_log(AccessSettings(), tmp_path, engine)
        log.record(CALLER, ROUTE, ["S1"], [])
        log.close()
    key = read_audit_key(tmp_path / "audit.key")
    found = verify(tmp_path / "audit.jsonl", key, lambda: head_of(engine, "audit.jsonl"))
    assert (found.findings, found.last.sequence) == ((), 2)
    engine.dispose()
