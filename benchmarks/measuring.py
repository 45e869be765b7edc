"""One measured piece of work in a process of its own, so that its peak memory is its own.

The parent stays small (it imports nothing heavy): on Linux a child's peak begins with its parent's.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

_LIBRARIES = ("duckdb", "pandas", "pyarrow", "lightgbm", "numpy")
# ru_maxrss counts kilobytes on Linux and bytes on macOS.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
_MEBIBYTE = 1024 * 1024


@dataclass
class Measured:
    """Wall and CPU seconds (user + system, all threads) of a piece of work, and its process's peak.

    `facts` are what the work itself found: counts, digests, quantiles.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of this block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu

    def as_json(self) -> str:
        """The measurement with the peak of the process until now."""
        self.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT / _MEBIBYTE
        return json.dumps(asdict(self))


def measure(task: str, **arguments: Any) -> Measured:
    """Run a task (module.function of this package) in a fresh process.

    Raises CalledProcessError if it fails.
    """
    told = {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()}
    print(f"  {task} …", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tasks", task, json.dumps(told)],
        stdout=subprocess.PIPE,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
        check=True,
        text=True,
    )
    measured = Measured(**json.loads(done.stdout.splitlines()[-1]))
    print(
        f"    {measured.wall_s:.1f} s, CPU {measured.cpu_s:.1f} s, peak {measured.peak_mb:.0f} MB",
        file=sys.stderr,
        flush=True,
    )
    return measured


def best_of(times: int, task: str, **arguments: Any) -> Measured:
    """The run with the least CPU time; the peak is the largest of all runs."""
    runs = [measure(task, **arguments) for _ in range(times)]
    best = min(runs, key=lambda run: run.cpu_s)
    best.peak_mb = max(run.peak_mb for run in runs)
    return best


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
