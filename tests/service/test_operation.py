"""The server in operation: promotions under load, its end, overload, slow clients, logs; real processes."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from serving.api import create_app
from serving.operation.connections import BoundedConnection
from serving.operation.listening import AddressError, bound
from serving.predictions.answers import Answers
from serving.predictions.documents import EXAMPLE_REQUEST
from serving.server import Server, serve_on, uvicorn_config
from serving.settings import ServingSettings
from tests.command import ROOT, clean_environment
from tests.server_process import server_process
from tests.service.test_api import promote

SECRET = "Zhang-Wei-4711"
BODY = json.dumps(EXAMPLE_REQUEST)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def champions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("operated") / "champions"
    promote(folder, "readmission")
    promote(folder, "complication")
    return folder


def ask(port: int, method: str = "POST", path: str = "/v1/predictions", body: str | None = BODY) -> Any:
    """One request on a connection of its own: status, headers and document."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, JSON if body else {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), json.loads(response.read())
    finally:
        connection.close()


def received(sender: socket.socket) -> bytes:
    """All that the server sends until it closes the connection."""
    sender.settimeout(30)
    found = b""
    try:
        while part := sender.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def alone(folder: Path) -> dict[str, Any]:
    """The predictions of the example by the champions of a folder, asked once and for all, by model."""
    with TestClient(create_app(ServingSettings(folder, insecure_demo=True))) as client:
        answer = client.post("/v1/predictions", json=EXAMPLE_REQUEST).json()
    return {each["model"]: each for each in answer["predictions"]}


def test_champions_change_under_load_without_a_failed_request(tmp_path):
    """Two targets change four times each while six clients ask: every answer is one version's own."""
    folder, expected = tmp_path / "champions", {}
    for version in range(1, 6):
        for target in ("readmission", "complication"):
            promote(tmp_path / f"alone-{version}" / "champions", target, version=version, seed=version)
        expected |= alone(tmp_path / f"alone-{version}" / "champions")
    assert len(expected) == 10
    answers: list[tuple[int, Any]] = []
    stop = threading.Event()

    def client(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not stop.is_set():
            connection.request("POST", "/v1/predictions", BODY, JSON)
            response = connection.getresponse()
            answers.append((response.status, json.loads(response.read())))
        connection.close()

    def install(version: int) -> None:
        for target in ("readmission", "complication"):
            promote(folder, target, version=version, seed=version)

    install(1)
    with (
        server_process(folder, tmp_path / "log", reload_seconds=0.05) as server,
        ThreadPoolExecutor(6) as pool,
    ):
        clients = [pool.submit(client, server.port) for _ in range(6)]
        try:
            for version in range(2, 6):
                until = len(answers) + 12
                wait_for(lambda until=until: len(answers) >= until)  # type: ignore[misc]
                install(version)
            until = len(answers) + 24
            wait_for(lambda: len(answers) >= until)
        finally:
            stop.set()
        for each in clients:
            each.result(60)
    assert {status for status, _ in answers} == {200}
    for _, answer in answers:
        found = {each["target"]: each for each in answer["predictions"]}
        assert len(answer["predictions"]) == len(found) == 2
        for each in answer["predictions"]:
            assert each == expected[each["model"]]
    versions = {each["model"].split("/")[1] for _, answer in answers for each in answer["predictions"]}
    assert versions == {"1", "2", "3", "4", "5"}


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def test_a_server_that_is_told_to_end_answers_what_it_has_taken_and_exits_with_0(champions, tmp_path):
    with server_process(champions, tmp_path / "log", drain_seconds=1.5, shutdown_seconds=20) as server:
        assert ask(server.port, "GET", "/health/ready", None)[0] == 200
        with socket.create_connection(("127.0.0.1", server.port)) as taken:
            head = f"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
            taken.sendall(f"{head}Content-Type: application/json\r\n\r\n{BODY[:100]}".encode())
            assert ask(server.port, "GET", "/health/live", None)[0] == 200
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: any(line["event"] == "ending" for line in server.lines()))
            status, headers, document = ask(server.port, "GET", "/health/ready", None)
            assert (status, document["type"]) == (503, "urn:wardcast:problem:not-ready")
            assert headers["connection"] == "close"
            # Who has not turned away yet is still answered.
            assert ask(server.port)[0] == 200
            wait_for(lambda: refuses(server.port))
            taken.sendall(BODY[100:].encode())
            answer = received(taken)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(20) == 0
        assert server.lines()[-1]["event"] == "ended"


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_server_ends_within_its_bound_though_a_client_does_not(champions, tmp_path):
    with (
        server_process(champions, tmp_path / "log", drain_seconds=0.1, shutdown_seconds=1) as server,
        socket.create_connection(("127.0.0.1", server.port)) as stuck,
    ):
        stuck.sendall(
            b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
        assert ask(server.port, "GET", "/health/live", None)[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0


def test_a_request_that_takes_longer_than_the_end_is_told_to_come_again(champions, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()

    def ask_late(*_args: Any, **_options: Any) -> Any:
        entered.set()
        assert go_on.wait(60)
        raise AssertionError

    monkeypatch.setattr(Answers, "ask", ask_late)
    with ThreadPoolExecutor(1) as pool:
        try:
            with listening(champions, shutdown_seconds=1) as port:
                cut_off = pool.submit(ask, port)
                assert entered.wait(30)
            status, headers, document = cut_off.result(30)
        finally:
            go_on.set()
    assert (status, document["type"]) == (503, "urn:wardcast:problem:ending")
    assert (headers["retry-after"], headers["connection"]) == ("5", "close")


def test_overload_is_answered_503_and_the_server_stays_as_large_as_it_was(champions, tmp_path):
    """40 clients at once, where 4 may wait: answers and refusals alone, each refusal with Retry-After."""
    with server_process(champions, tmp_path / "log", max_waiting=4) as server:
        for _ in range(20):
            assert ask(server.port)[0] == 200
        before = server.resident_mb()
        with ThreadPoolExecutor(40) as pool:
            found = list(pool.map(lambda _: ask(server.port), range(200)))
        statuses = [status for status, _, _ in found]
        assert set(statuses) == {200, 503}
        for status, headers, document in found:
            if status == 503:
                assert document["type"] == "urn:wardcast:problem:busy"
                assert int(headers["retry-after"]) > 0
        # 200 requests of 1 kB; what 40 threads and the allocator keep is a matter of tens of megabytes.
        assert server.resident_mb() < before + 60
        assert ask(server.port)[0] == 200


def test_logs_are_lines_of_json_that_hold_no_value_whatever_is_sent(champions, tmp_path):
    secret = SECRET.encode()
    sent = [
        b"GET /" + secret + b"?name=" + secret + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /" + secret + b" HTTP/1.1\r\nHost: " + secret + b"\r\nConnection: close\r\n\r\n",
        secret + b" / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /" + secret + b"\r\n\r\n",
        b"GET /" + secret + b" HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + secret + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Name: " + secret * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " + secret + b"\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + secret + b"\r\n\r\n",
        b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\n" + secret + b"\r\n\r\n",
        b"GET /" + secret + b" HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Key: " + secret + b"\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"\x16\x03\x01" + secret,
    ]
    ports = []
    with server_process(champions, tmp_path / "log", head_seconds=1, body_seconds=1) as server:
        for content in sent:
            with socket.create_connection(("127.0.0.1", server.port)) as sender:
                ports.append(str(sender.getsockname()[1]))
                sender.sendall(content)
                answer = received(sender)
            assert secret not in answer
            assert answer == b"" or int(answer.split(b" ", 2)[1]) in range(400, 500)
        with socket.create_connection(("127.0.0.1", server.port)) as hanging_up:
            head = "POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            hanging_up.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        assert ask(server.port)[0] == 200
        wait_for(lambda: any(line.get("problem") == "disconnected" for line in server.lines()))
        lines = server.lines()
    log = (tmp_path / "log").read_text("utf-8")
    assert SECRET not in log
    assert not any(line["event"] == "failure" for line in lines)
    assert not any(port in log for port in ports)
    requests = [line for line in lines if line["event"] == "request"]
    assert {line["route"] for line in requests} == {"unmatched", "/v1/predictions"}
    assert {line["method"] for line in requests} == {"GET", "POST", "other"}
    assert all(len(line["request_id"]) == 36 for line in requests)
    assert len({line["request_id"] for line in requests}) == len(requests)


@contextmanager
def listening(folder: Path, **bounds: Any) -> Iterator[int]:
    """The server on a free port, in a thread of its own."""
    settings = ServingSettings(folder, insecure_demo=True, **bounds)
    server = Server(settings, uvicorn_config(create_app(settings), settings))
    socket_ = socket.create_server(("127.0.0.1", 0))
    running = threading.Thread(target=server.run, args=([socket_],), daemon=True)
    running.start()
    try:
        yield socket_.getsockname()[1]
    finally:
        server.should_exit = True
        running.join(30)
        socket_.close()


def test_requests_that_wait_leave_threads_for_who_asks_whether_the_server_is_ready(champions, monkeypatch):
    """50 requests hold a thread each, more than the 40 that the framework has by itself."""
    entered, go_on, ask_at_once = threading.Semaphore(0), threading.Event(), Answers.ask

    def ask_late(*args: Any, **options: Any) -> Any:
        entered.release()
        assert go_on.wait(60)
        return ask_at_once(*args, **options)

    monkeypatch.setattr(Answers, "ask", ask_late)
    with listening(champions, max_waiting=50) as port, ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(ask, port) for _ in range(50)]
        try:
            for _ in waiting:
                assert entered.acquire(timeout=30)
            assert ask(port, "GET", "/health/ready", None)[0] == 200
            assert ask(port)[0] == 503
        finally:
            go_on.set()
        assert {each.result(30)[0] for each in waiting} == {200}


def is_cut_within(sender: socket.socket, seconds: float, trickle: bytes) -> bool:
    """Whether the server ends the connection although a byte comes every 50 ms."""
    until = time.monotonic() + seconds
    sender.settimeout(0.05)
    while time.monotonic() < until:
        try:
            sender.sendall(trickle)
            if sender.recv(4096) == b"":
                return True
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("first", "trickle"),
    [
        (b"", b""),
        (b"GET /health/live HTTP/1.1\r\nX-Slow: ", b"a"),
        # The second request of a connection, and a body that goes on after the answer.
        (HEAD + b"\r\n" + HEAD + b"X-Slow: ", b"a"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"a"),
    ],
)
def test_who_sends_slowly_does_not_hold_a_connection(tmp_path, first, trickle):
    with (
        listening(tmp_path / "champions", head_seconds=0.4) as port,
        socket.create_connection(("127.0.0.1", port)) as sender,
    ):
        sender.sendall(first)
        assert is_cut_within(sender, 8, trickle)


def test_a_request_has_a_longest_time_whatever_it_waits_for(tmp_path):
    with (
        listening(tmp_path / "champions", body_seconds=60, request_seconds=0.4) as port,
        socket.create_connection(("127.0.0.1", port)) as sender,
    ):
        sender.sendall(
            b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000\r\n\r\n"
        )
        assert is_cut_within(sender, 8, b" ")


def test_an_answer_that_nobody_reads_does_not_hold_a_connection(tmp_path):
    """Pipelined requests whose answers fill every buffer: the server stops reading, then cuts."""
    with (
        listening(tmp_path / "champions", head_seconds=0.4, request_seconds=0.4) as port,
        socket.create_connection(("127.0.0.1", port)) as sender,
    ):
        sender.settimeout(0.2)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        until, is_cut = time.monotonic() + 20, False
        while time.monotonic() < until and not is_cut:
            try:
                sender.sendall(request * 100)
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                is_cut = True
        assert is_cut


def test_one_connection_too_many_is_told_to_come_again_and_many_too_many_are_cut(tmp_path):
    with listening(tmp_path / "champions", max_connections=2) as port, ExitStack() as open_:
        for _ in range(2):
            open_.enter_context(socket.create_connection(("127.0.0.1", port)))
        status, headers, document = ask(port, "GET", "/health/live", None)
        assert (status, document["type"]) == (503, "urn:wardcast:problem:busy")
        assert (headers["retry-after"], headers["connection"]) == ("5", "close")
        for _ in range(2):
            open_.enter_context(socket.create_connection(("127.0.0.1", port)))
        with socket.create_connection(("127.0.0.1", port)) as fifth:
            assert received(fifth) == b""


def test_the_limits_of_connections_are_uvicorns_own_where_it_has_them(tmp_path):
    settings = ServingSettings(tmp_path / "champions")
    config = uvicorn_config(FastAPI(), settings)
    assert config.http.func is BoundedConnection  # type: ignore[union-attr]
    assert config.timeout_graceful_shutdown == settings.shutdown_seconds
    assert (config.access_log, config.log_config, config.proxy_headers) == (False, None, False)


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [("0b0c0d0e-1111-4222-8333-444455556666", True), (SECRET, False), ("", False), ("1" * 36, False)],
)
def test_a_request_keeps_its_id_if_that_is_a_uuid(tmp_path, sent, is_kept):
    with TestClient(create_app(ServingSettings(tmp_path / "champions"))) as client:
        found = client.get("/health/live", headers={"X-Request-Id": sent}).headers["x-request-id"]
    assert (found == sent) is is_kept
    assert len(found) == 36


def test_a_port_in_use_is_told_with_what_to_do_before_anything_is_opened(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "wardcast", "serve", "--port", str(port), "--work", "work"]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=120, cwd=tmp_path,
            env=clean_environment(PYTHONPATH=str(ROOT)),
        )  # fmt: skip
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last == (
        f"127.0.0.1, port {port}: in use. End the other process (is a server running already?), or name "
        "another --port."
    )
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        # A network for documentation (RFC 5737), and a name that none may have (RFC 2606).
        ("192.0.2.1", "no address of this machine. Name one with --host."),
        ("nobody.invalid", "no such host. Name an address of this machine with --host."),
    ],
)
def test_a_host_that_is_not_this_machine_is_told(host, said):
    with pytest.raises(AddressError, match=re.escape(f"{host}, port 8000: {said}")):
        bound(host, 8000)


def test_two_servers_that_start_at_once_do_not_share_a_port(champions):
    # Bound by both, since neither listens yet: the one that listens second is told.
    (first,) = bound("127.0.0.1", 0)
    port = first.getsockname()[1]
    (second,) = bound("127.0.0.1", port)
    with first, second:
        first.listen()
        settings = ServingSettings(champions, insecure_demo=True)
        with pytest.raises(AddressError, match=f"port {port}: in use"):
            serve_on(settings, [second], "127.0.0.1", port)
