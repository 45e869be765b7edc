"""Servers as processes of their own on this machine, started for a measurement and stopped after it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

_LONGEST_START_S = 120
_LONGEST_STOP_S = 30
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Running:
    """A server that answers: its port, how long it took to be ready, and its process group."""

    port: int
    ready_s: float
    group: int

    def memory_mb(self) -> float:
        """What all its processes hold now."""
        return sum(_resident_bytes(pid) for pid in self._processes()) / _MEBIBYTE

    def cpu_s(self) -> float:
        """The processor seconds that its processes have used until now."""
        return sum(_cpu_s(pid) for pid in self._processes())

    def _processes(self) -> list[int]:
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return [pid for pid in pids if _field(pid, 2) == self.group]


def wardcast_server(work: Path, log: Path, *options: str) -> AbstractContextManager[Running]:
    """`wardcast serve` on the champions of a work folder."""
    port = _free_port()
    command = [sys.executable, "-m", "wardcast", "serve", "--work", str(work), "--port", str(port)]
    return _serve([*command, *options], port, "/health/ready", log)


def mlflow_server(model: Path, log: Path) -> AbstractContextManager[Running]:
    """`mlflow models serve` on one MLflow model, with its one worker process."""
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model)]
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    return _serve([*command, *options], port, "/ping", log)


@contextmanager
def _serve(command: Sequence[str], port: int, ready: str, log: Path) -> Iterator[Running]:
    # MLflow starts uvicorn by name.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("wb") as sink:
        start = time.perf_counter()
        # A group of its own, so that what it starts ends with it.
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment, start_new_session=True)
    try:
        while not _answers(port, ready):
            late = time.perf_counter() - start > _LONGEST_START_S
            assert process.poll() is None and not late, f"no server; see {log}"  # noqa: PT018
            time.sleep(0.02)
        yield Running(port, time.perf_counter() - start, process.pid)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(_LONGEST_STOP_S)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _field(pid: int, number: int) -> int:
    """A field of /proc/PID/stat, counted from the state, which is 0; -1 if the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[number])
    except (OSError, IndexError):
        return -1


def _resident_bytes(pid: int) -> int:
    return max(0, _field(pid, 21)) * os.sysconf("SC_PAGE_SIZE")


def _cpu_s(pid: int) -> float:
    return max(0, _field(pid, 11) + _field(pid, 12)) / os.sysconf("SC_CLK_TCK")
