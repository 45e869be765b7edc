"""A PostgreSQL server of the tests' own and an `mlflow server` on it, gone when the test is done."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 120
OWNER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this account."""


@dataclass(frozen=True)
class Postgres:
    """A running server that listens on a Unix socket in `folder` alone."""

    programs: Path
    folder: Path
    account: tuple[str, ...]

    def uri(self, database: str) -> str:
        return f"postgresql+psycopg2://{OWNER}@/{database}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own programs against this server."""
        where = ("--host", str(self.folder), "--username", OWNER)
        _run(*self.account, str(self.programs / program), *where, *arguments)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._control("--log", str(self.folder / "log"), "--options", options, "start")

    def stop(self) -> None:
        """End the server at once, as a failing machine would."""
        self._control("--mode", "immediate", "stop")

    @contextmanager
    def away(self) -> Iterator[None]:
        """End the server, and start it again when the block ends."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _control(self, *arguments: str) -> None:
        control = (str(self.programs / "pg_ctl"), "--pgdata", str(self.folder / "data"), "--wait")
        _run(*self.account, *control, *arguments)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server on an empty cluster; skips the test where PostgreSQL is not there and cannot be had."""
    programs = _programs()
    # Not below pytest's own folder, which only the account that runs the tests can enter.
    folder = Path(tempfile.mkdtemp(prefix="wardcast-pg-"))
    account: tuple[str, ...] = ()
    if os.geteuid() == 0:
        shutil.chown(folder, OWNER, OWNER)
        account = ("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups")
    server = Postgres(programs, folder, account)
    try:
        initdb = str(programs / "initdb")
        _run(*account, initdb, "--auth=trust", f"--username={OWNER}", "--no-sync", str(folder / "data"))
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = _installed()
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        with suppress(subprocess.CalledProcessError):
            _run("apt-get", "update", "-qq")
            _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql")
        found = _installed()
    if not found:
        pytest.skip("PostgreSQL is not installed here (Debian: apt-get install postgresql)")
    return found[-1]


def _installed() -> list[Path]:
    """Folders of Debian's own servers, the oldest first."""
    folders = [initdb.parent for initdb in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return sorted(folders, key=lambda folder: float(folder.parent.name))


def _run(*command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    # pg_ctl's server outlives it: it must not hold a pipe that somebody waits on.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd="/"
        )
        output.seek(0)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, output.read().decode())


@contextmanager
def mlflow_server(backend: str, artifacts: Path, log: Path) -> Iterator[str]:
    """Run `mlflow server` as mlflow/README.md has it, on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend]
    command += ["--artifacts-destination", str(artifacts), "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with running(command, f"{address}/health", log):
        yield address


@contextmanager
def running(command: list[str], address: str, log: Path, **environment: str) -> Iterator[None]:
    """Run a server in a session of its own until the block ends; it is up once `address` answers."""
    # MLflow starts its workers by name: those of this environment, whether it was activated or not.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PATH": path}
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=os.environ | quiet | environment,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(address):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        # Workers too: they are of the server's own session. Asked kindly, it would wait for idle connections.
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
