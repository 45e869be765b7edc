"""`python -m benchmarks [PART|all]`: measure, and write the table of results."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from benchmarks.measuring import machine
from benchmarks.parts import parts
from benchmarks.report import as_markdown

_RESULTS = Path(__file__).with_name("results.md")


def main() -> None:
    """Measure the chosen parts; the other parts' results stay in the table as they were."""
    chosen = _arguments()
    measured = parts(chosen.soak_minutes)
    work = chosen.work or Path(mkdtemp(prefix="wardcast-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    document = chosen.out.with_suffix(".json")
    earlier = json.loads(document.read_text("utf-8")) if document.is_file() else {}
    results = {name: part for name, part in earlier.items() if name in measured}
    try:
        for name in measured if chosen.part == "all" else (chosen.part,):
            print(name, file=sys.stderr)
            before = machine()
            found = measured[name](work, chosen.rows)
            results[name] = {"measured_on": str(dt.datetime.now(dt.UTC).date()), "machine": before, **found}
            document.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
            chosen.out.write_text(as_markdown(results), "utf-8")
    finally:
        if chosen.work is None and not chosen.keep:
            rmtree(work)
    print(as_markdown(results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=[*parts(0), "all"])
    parser.add_argument("--rows", type=int, default=1_000_000, help="admissions of the made-up hospital")
    parser.add_argument("--soak-minutes", type=float, default=1, help="steady load; 30 for the full version")
    parser.add_argument("--work", type=Path, help="folder for data; what is there is used again")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="table; a .json goes beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
