"""The command line as a person runs it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARDCAST = (sys.executable, "-m", "wardcast")
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Done:
    """A finished command: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What `--json` printed: standard output holds that and nothing else."""
        return json.loads(self.out)


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without the variables that would change what a command does."""
    foreign = ("WARDCAST_", "MLFLOW_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # MLflow keeps its telemetry off by itself in continuous integration: the product must do so anywhere.
    for name in ("CI", "DO_NOT_TRACK"):
        kept.pop(name, None)
    return kept | variables


def wardcast(
    *arguments: object, cwd: Path, environment: Mapping[str, str] | None = None, timeout: float = 900
) -> Done:
    """Run `wardcast` with these arguments in the folder `cwd` to its end."""
    done = subprocess.run(
        [*WARDCAST, *map(str, arguments)],
        cwd=cwd,
        env=clean_environment(**(environment or {})),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def succeeded(*arguments: object, cwd: Path, environment: Mapping[str, str] | None = None) -> Done:
    """Run `wardcast` and insist that it was done."""
    done = wardcast(*arguments, cwd=cwd, environment=environment)
    assert done.code == 0, f"wardcast {' '.join(map(str, arguments))} ended with {done.code}:\n{done.err}"
    return done
