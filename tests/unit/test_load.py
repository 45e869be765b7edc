"""The load generator counts what it got, and nothing else, as an answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.load import Answered, Load, run


def answered(tmp_path: Path, answers: list[bytes], **how: float) -> Answered:
    """What a load of two clients finds where a server gives these answers in turn."""
    bodies = tmp_path / "bodies"
    bodies.write_text('{"n":1}\n{"n":2}', "utf-8")
    n_asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_asked
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"POST /asked HTTP/1.1\r\n")
                assert b"X-API-Key: k\r\n" in head
                assert (await reader.readexactly(7)).startswith(b'{"n":')
                answer = answers[n_asked % len(answers)]
                n_asked += 1
                writer.write(answer)
                if b"Connection: close" in answer:
                    break
        writer.close()

    async def measure() -> Answered:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            given = {"clients": 2, "seconds": 0.5} | how
            headers = {"X-API-Key": "k"}
            return await run(Load(port, "/asked", str(bodies), expect="yes", headers=headers, **given))  # type: ignore[arg-type]

    return asyncio.run(measure())


def response(status: int, content: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(content), *headers, b"", content]
    return b"\r\n".join(lines)


def test_only_a_right_answer_counts(tmp_path):
    right, wrong, busy = response(200, b"yes"), response(200, b"no"), response(503, b"yes")
    found = answered(tmp_path, [right, wrong, busy])
    assert set(found.failures) == {"content", "503"}
    assert found.answers >= 1
    assert found.per_second == pytest.approx(found.answers / found.seconds)
    assert found.p50_ms <= found.p99_ms <= found.most_ms


def test_a_connection_that_the_server_ends_with_its_answer_fails_no_request(tmp_path):
    found = answered(tmp_path, [response(200, b"yes", b"Connection: close")])
    assert found.failures == {}
    assert found.answers > 2


def test_a_rate_is_kept(tmp_path):
    """20 a second for half a second: numbers 0 to 9 are due before its end."""
    found = answered(tmp_path, [response(200, b"yes")], rate=20)
    assert (found.answers, found.failures) == (10, {})


def test_nobody_there_is_a_failure(tmp_path):
    (tmp_path / "bodies").write_text("{}", "utf-8")
    load = Load(1, "/", str(tmp_path / "bodies"), clients=1, seconds=0.2, expect="")
    found = asyncio.run(run(load))
    assert found.answers == 0
    assert set(found.failures) == {"ConnectionRefusedError"}
