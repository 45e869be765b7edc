"""The server as a process of its own, on a free port of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from serving.server import serve
from serving.settings import ServingSettings
from tests.command import ROOT, clean_environment


@dataclass(frozen=True)
class ServerProcess:
    """A running server: its process, its port, and the file that its log goes to."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """The log until now; every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def resident_mb(self) -> float:
        """The memory that the process holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return float(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def server_process(champions: Path, log: Path, **settings: Any) -> Iterator[ServerProcess]:
    """Serve `champions` while the block runs; everybody may ask, unless the settings say otherwise."""
    told = json.dumps({"champions": str(champions), "insecure_demo": True, **settings})
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server_process", told],
            stdout=sink, stderr=sink, cwd=ROOT, env=clean_environment(OMP_WAIT_POLICY="passive"),
        )  # fmt: skip
    try:
        yield ServerProcess(process, _port(process, log), log)
    finally:
        process.kill()
        process.wait(30)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n") and '"listening"' in line:
                return int(json.loads(line)["port"])
        time.sleep(0.02)
    raise AssertionError(f"the server does not listen: {log.read_text('utf-8')[-2000:]}")


if __name__ == "__main__":
    serve(TypeAdapter(ServingSettings).validate_json(sys.argv[1]), port=0)
