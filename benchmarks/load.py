"""A load generator for one address of this machine: `python -m benchmarks.load JSON`.

A process of its own with a fixed number of clients, each with one connection that it keeps. It stops by
itself after `seconds`. Without a `rate` every client asks again at once (closed loop); with one the requests
are spread evenly, and a wait counts from when a request was due, so that a slow answer does not hide the
requests that it kept back.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

_TIMEOUT_S = 30.0
_PAUSE_S = 0.1


@dataclass(frozen=True)
class Load:
    """What to send where: `bodies` is a file of one JSON document a line, sent in turn.

    An answer counts if its status is 200 and it holds the text `expect`.
    """

    port: int
    path: str
    bodies: str
    clients: int
    seconds: float
    expect: str
    rate: float | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Answered:
    """What came back, over the seconds from the first request to the last answer."""

    seconds: float
    answers: int
    per_second: float
    p50_ms: float
    p99_ms: float
    most_ms: float
    failures: dict[str, int]


async def run(load: Load) -> Answered:
    """Send the load and wait for the last answer."""
    head = {"Host": "localhost", "Content-Type": "application/json", **load.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    bodies = [line.encode() for line in Path(load.bodies).read_text("utf-8").splitlines()]
    requests = [
        f"POST {load.path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for body in bodies
    ]
    numbers, waits, failures = count(), list[float](), Counter[str]()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(load.clients):
            clients.create_task(_client(load, requests, numbers, start, waits, failures))
    seconds = time.perf_counter() - start
    quantiles = np.quantile(waits, [0.5, 0.99, 1.0]) * 1000 if waits else [float("nan")] * 3
    return Answered(seconds, len(waits), len(waits) / seconds, *map(float, quantiles), dict(failures))


async def _client(
    load: Load,
    requests: list[bytes],
    numbers: count[int],
    start: float,
    waits: list[float],
    failures: Counter[str],
) -> None:
    end, connection = start + load.seconds, None
    while True:
        number = next(numbers)
        due = time.perf_counter() if load.rate is None else start + number / load.rate
        if due >= end:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        try:
            # A server may close an idle connection: that fails no request.
            if connection is None or connection[0].at_eof():
                connection = await asyncio.open_connection("127.0.0.1", load.port)
            async with asyncio.timeout(_TIMEOUT_S):
                status, closes, content = await _ask(*connection, requests[number % len(requests)])
            problem = str(status) if status != 200 else "" if load.expect.encode() in content else "content"
        except (OSError, EOFError, TimeoutError) as error:
            closes, problem = True, type(error).__name__
        if problem:
            failures[problem] += 1
            await asyncio.sleep(_PAUSE_S)
        else:
            waits.append(time.perf_counter() - due)
        if closes and connection is not None:
            connection[1].close()
            connection = None
    if connection is not None:
        connection[1].close()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool, bytes]:
    """The status, whether the connection ends with this answer, and its content."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    content = await reader.readexactly(length)
    return int(head.split(b" ", 2)[1]), b"connection: close" in head, content


def main() -> None:
    """Run the load that the first argument describes and print what was answered."""
    told: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(asdict(asyncio.run(run(Load(**told))))))


if __name__ == "__main__":
    main()
