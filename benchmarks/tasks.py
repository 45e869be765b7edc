"""Runs one measured piece of work: `python -m benchmarks.tasks MODULE.FUNCTION ARGUMENTS`.

Only what stands in a `timed` block is timed; imports and preparation are not, unless the work itself
imports as it goes. Only the work's own modules are loaded, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

_PATHS = ("data", "out", "built", "champions")


def main() -> None:
    """Run the named function and print its measurement as the last line."""
    module, name = sys.argv[1].split(".")
    told = json.loads(sys.argv[2])
    arguments = {key: Path(value) if key in _PATHS else value for key, value in told.items()}
    print(getattr(import_module(f"benchmarks.{module}"), name)(**arguments).as_json())


if __name__ == "__main__":
    main()
