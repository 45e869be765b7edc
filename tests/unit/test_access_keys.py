"""API keys: shown once, kept as a digest, accepted until they expire or are revoked."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from serving.access.caller import Caller
from serving.access.keys import ApiKeyError, KeyRing, create_key, list_keys, revoke_key
from serving.access.roles import Role
from serving.database.connection import open_database
from serving.problems import Problem

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.dispose()


class Time:
    """A clock for the cache and one for the day."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.now = NOW


def made(
    engine: Engine,
    name: str = "ward 3",
    roles: tuple[Role, ...] = (Role.PLANNER,),
    departments: tuple[str, ...] | None = ("Cardiology",),
    expires_at: dt.datetime = NOW + DAY,
) -> str:
    return create_key(
        engine,
        name=name,
        roles=roles,
        departments=departments,
        expires_at=expires_at,
        created_by="op",
        now=NOW,
    )


def ring(engine: Engine, time: Time) -> KeyRing:
    return KeyRing(engine, keys_seconds=2.0, clock=lambda: time.seconds, now=lambda: time.now)


def refusal(by: KeyRing, key: str) -> Problem:
    with pytest.raises(Problem) as refused:
        by.caller(key)
    return refused.value


def test_a_key_names_its_caller(engine: Engine):
    key = made(engine)
    key_id = key.split("_")[1]
    expected = Caller("ward 3", frozenset({Role.PLANNER}), frozenset({"Cardiology"}), key_id)
    found = ring(engine, Time()).caller(key)
    assert found == expected
    # Another key may have the same name.
    assert found.identity == f"ward 3 ({key_id})"


def test_a_key_without_departments_sees_all(engine: Engine):
    key = made(engine, roles=(Role.INTEGRATOR, Role.AUDITOR), departments=None)
    caller = ring(engine, Time()).caller(key)
    assert (caller.roles, caller.departments) == ({Role.INTEGRATOR, Role.AUDITOR}, None)


def test_a_key_has_256_random_bits_of_which_a_digest_alone_is_kept(engine: Engine, tmp_path: Path):
    keys = {made(engine) for _ in range(20)}
    assert len(keys) == 20
    for key in keys:
        assert re.fullmatch("wc_[0-9a-f]{12}_[0-9a-f]{64}", key)
    secret = key.rpartition("_")[2]
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM api_keys")).mappings().all()
    assert hashlib.sha256(secret.encode()).hexdigest() in {row["digest"] for row in rows}
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [key for key in keys if key.rpartition("_")[2].encode() in files]


def test_a_key_is_listed_with_all_but_the_key(engine: Engine):
    key = made(engine)
    (listed,) = list_keys(engine)
    assert listed.key_id == key.split("_")[1]
    assert (listed.name, listed.created_by, listed.created_at) == ("ward 3", "op", NOW)
    assert key.rpartition("_")[2] not in repr(listed)


@pytest.mark.parametrize(
    "changed",
    [
        lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),
        lambda key: key.upper(),
        lambda key: "WC" + key[2:],
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key + "\n",
        lambda key: " " + key,
        lambda key: key[:16] + "0" * 64,
        lambda key: key.replace("_", "-"),
        lambda key: key[:16],
        lambda key: "wc_" + "0" * 12 + key[15:],
        lambda key: key.translate({ord(digit): chr(0xFF10 + int(digit)) for digit in "0123456789"}),
        lambda key: "wc_' OR '1'='1_" + key[16:],
        lambda _key: "wc_",
        lambda _key: "wc_" + "a" * 100_000,
    ],
)
def test_what_is_not_the_key_letter_for_letter_is_refused(engine: Engine, changed):
    key = made(engine)
    problem = refusal(ring(engine, Time()), changed(key))
    assert (problem.kind.name, problem.kind.status) == ("credential-refused", 401)
    assert "unknown or was revoked" in problem.detail


def test_the_secret_of_one_key_does_not_open_another(engine: Engine):
    first, second = made(engine), made(engine)
    mixed = first[:16] + second[16:]
    assert refusal(ring(engine, Time()), mixed).kind.status == 401


def test_the_digest_from_the_store_is_no_key(engine: Engine):
    key = made(engine)
    (listed,) = list_keys(engine)
    assert refusal(ring(engine, Time()), key[:16] + listed.digest).kind.status == 401


def test_a_key_ends_in_the_moment_it_expires(engine: Engine):
    time, key = Time(), made(engine, expires_at=NOW + DAY)
    by = ring(engine, time)
    time.now = NOW + DAY - dt.timedelta(microseconds=1)
    assert by.caller(key).name == "ward 3"
    # Without another look at the store.
    time.now = NOW + DAY
    assert "expired" in refusal(by, key).detail


def test_who_guesses_does_not_learn_which_keys_expired(engine: Engine):
    time, key = Time(), made(engine)
    time.now = NOW + DAY
    assert "expired" not in refusal(ring(engine, time), key[:16] + "0" * 64).detail


def test_a_revoked_key_is_refused_within_the_time_that_is_stated(engine: Engine):
    time, key, other = Time(), made(engine), made(engine, name="other")
    by = ring(engine, time)
    assert by.caller(key).name == "ward 3"
    revoke_key(engine, key.split("_")[1], now=NOW)
    time.seconds = 1.99
    assert by.caller(key).name == "ward 3"
    time.seconds = 2.0
    assert "revoked" in refusal(by, key).detail
    assert by.caller(other).name == "other"
    assert [each.state(NOW) for each in list_keys(engine)].count("revoked") == 1


def test_a_new_key_is_accepted_within_the_time_that_is_stated(engine: Engine):
    time = Time()
    by = ring(engine, time)
    refusal(by, "wc_none")
    refusal(by, f"wc_{'0' * 12}_{'0' * 64}")
    key = made(engine)
    refusal(by, key)
    time.seconds = 2.0
    assert by.caller(key).name == "ward 3"


def test_neither_a_request_nor_a_guess_costs_a_query(engine: Engine):
    time, key = Time(), made(engine)
    by = ring(engine, time)
    assert by.caller(key).name == "ward 3"
    engine.dispose()
    # Nothing can be asked any more.
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE api_keys"))
    assert by.caller(key).name == "ward 3"
    refusal(by, f"wc_{'0' * 12}_{'0' * 64}")
    time.seconds = 2.0
    problem = refusal(by, key)
    assert (problem.kind.name, problem.kind.status) == ("access-unavailable", 503)


def test_a_key_is_revoked_once(engine: Engine):
    key_id = made(engine).split("_")[1]
    revoke_key(engine, key_id, now=NOW)
    for wrong in (key_id, "0" * 12, ""):
        with pytest.raises(ApiKeyError, match="no such key"):
            revoke_key(engine, wrong, now=NOW)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"roles": ()}, "needs a role"),
        ({"name": " "}, "needs a name"),
        ({"name": "a\nb"}, "needs a name"),
        ({"name": "n" * 256}, "needs a name"),
        ({"expires_at": NOW}, "expired already"),
    ],
)
def test_a_key_that_could_not_work_is_not_made(engine: Engine, wrong: dict[str, object], why: str):
    with pytest.raises(ApiKeyError, match=why):
        made(engine, **wrong)  # type: ignore[arg-type]
    assert list_keys(engine) == []


def test_a_state_is_told_at_a_time(engine: Engine):
    made(engine, expires_at=NOW + DAY)
    (key,) = list_keys(engine)
    assert [key.state(NOW), key.state(NOW + DAY)] == ["valid", "expired"]
