"""A database server that is away holds nobody: all are told at once; when it is back, it is found again."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.access.keys import create_key
from serving.access.roles import Role
from serving.access.settings import AccessSettings
from serving.api import create_app
from serving.database import connection as database
from serving.database.attempts import RETRY_SECONDS, Attempts, AwayError
from serving.database.connection import open_database
from serving.settings import ServingSettings
from serving.store.predictions import PredictionStore
from tests.postgres import Postgres, postgres
from tests.stored import answer

# The least that libpq takes.
WAIT_SECONDS = 2
AT_ONCE = 24
# A busy machine needs some; one after the other they would take 48 seconds.
SLACK_SECONDS = 5
STORED = "/v1/admissions/S1/prediction"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    monkeypatch.setattr(database, "CONNECT_SECONDS", WAIT_SECONDS)
    with postgres() as running:
        running.run("createdb", "wardcast")
        yield running


@contextmanager
def deaf(server: Postgres) -> Iterator[None]:
    """Something that takes connections where the server was, and says nothing: a machine that hangs."""
    place = server.folder / ".s.PGSQL.5432"
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        place.chmod(0o777)
        listening.listen(256)
        try:
            yield
        finally:
            place.unlink()


@pytest.mark.parametrize("keys_seconds", [0.001, 60.0])
def test_a_server_that_is_away_is_told_at_once_and_found_again(
    server: Postgres, tmp_path: Path, keys_seconds: float
):
    settings = ServingSettings(
        tmp_path / "champions",
        database=server.uri("wardcast"),
        access=AccessSettings(keys_seconds=keys_seconds),
    )
    engine, now = open_database(server.uri("wardcast")), dt.datetime.now(dt.UTC)
    PredictionStore(engine).save([answer("S1")])
    key = create_key(
        engine, name="ward 3", roles=[Role.PLANNER], departments=None,
        expires_at=now + dt.timedelta(days=1), created_by="tests", now=now,
    )  # fmt: skip
    engine.dispose()

    def asked(client: TestClient, _number: int = 0) -> tuple[int, str, float]:
        begun = time.monotonic()
        response = client.get(STORED, headers={"Authorization": f"Bearer {key}"})
        seconds = time.monotonic() - begun
        return response.status_code, response.json().get("type", "").rpartition(":")[2], seconds

    with TestClient(create_app(settings)) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        assert asked(client)[0] == 200
        with server.away():
            # Kept keys tell who asks; the prediction is then what cannot be read.
            told = (503, "access-unavailable" if keys_seconds < 1 else "store-unavailable")
            # A machine that refuses connections is told as fast as one that answers.
            assert asked(client)[:2] == told
            with deaf(server):
                time.sleep(RETRY_SECONDS)
                first = list(pool.map(lambda number: asked(client, number), range(AT_ONCE)))
                assert {each[:2] for each in first} == {told}
                # One of them waits for the attempt, and no other.
                assert sorted(each[2] for each in first)[-2] < WAIT_SECONDS - 0.3
                assert max(each[2] for each in first) < WAIT_SECONDS + SLACK_SECONDS
                assert client.get("/health/ready").status_code == 503
        time.sleep(RETRY_SECONDS)
        again = list(pool.map(lambda number: asked(client, number), range(AT_ONCE)))
        # Whoever comes while the first of them connects may be told that it is away, for the last time.
        assert {each[:2] for each in again} <= {(200, ""), told}
        assert {asked(client)[0] for _ in range(3)} == {200}


def test_a_server_that_stops_answering_holds_all_for_one_attempt_alone(server: Postgres):
    engine = open_database(server.uri("wardcast"))
    store = PredictionStore(engine)
    store.save([answer("S1")])
    seconds = []

    def read(_number: int) -> None:
        begun = time.monotonic()
        with pytest.raises(database.StoreError, match="does not answer"):
            store.latest("S1")
        seconds.append(time.monotonic() - begun)

    # Until the first attempt has failed nobody knows that the server is away: all wait for that one.
    with server.away(), deaf(server), ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(read, range(AT_ONCE)))
    engine.dispose()
    assert len(seconds) == AT_ONCE
    # More than the pool's 15 connections wait once more for one of them: twice the attempt at the most.
    assert max(seconds) < 2 * WAIT_SECONDS + SLACK_SECONDS


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Server:
    """What is connected to: it answers, or not."""

    def __init__(self) -> None:
        self.is_up, self.n_attempts = True, 0

    def __call__(self) -> str:
        self.n_attempts += 1
        if not self.is_up:
            raise ConnectionError
        return "connection"


def test_after_an_attempt_that_failed_nobody_makes_another_for_a_second():
    clock, made = Clock(), Server()
    attempts = Attempts(clock)
    assert attempts.attempt(made) == attempts.attempt(made) == "connection"
    made.is_up = False
    with pytest.raises(ConnectionError):
        attempts.attempt(made)
    made.is_up = True
    clock.now += 0.9
    with pytest.raises(AwayError):
        attempts.attempt(made)
    assert made.n_attempts == 3
    clock.now += 0.1
    assert attempts.attempt(made) == attempts.attempt(made) == "connection"


def test_while_it_is_away_one_makes_the_attempt_and_nobody_waits_for_it():
    clock, made = Clock(), Server()
    attempts = Attempts(clock)
    made.is_up = False
    with pytest.raises(ConnectionError):
        attempts.attempt(made)
    clock.now += RETRY_SECONDS
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(10)
        return "connection"

    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(attempts.attempt, slow)
        assert begun.wait(10)
        with pytest.raises(AwayError):
            attempts.attempt(made)
        go_on.set()
        assert attempt.result(10) == "connection"
