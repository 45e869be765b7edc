"""`python -m benchmarks.store`: how fast predictions are stored, and read from among a million of them."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from serving.database.connection import file_address, open_database
from serving.predictions.documents import EXAMPLE_ANSWER
from serving.store.predictions import PredictionStore
from serving.store.stored import Stored

SAVED_AT_ONCE = 500
N_DEPARTMENTS = 30
N_REASONS = 5
REPEATS = 40
DAYS = 730
BEGIN = dt.datetime(2024, 1, 1)  # noqa: DTZ001  # local wall time, as prediction times are
TARGETS = ("readmission", "complication", "cost")


def answers(n: int, seed: int = 1) -> Iterator[Stored]:
    """Made-up answers over two years, three targets each; one in ten is a stay's second."""
    random_ = random.Random(seed)
    risk: dict[str, Any] = EXAMPLE_ANSWER["predictions"][0]
    reasons = risk["reasons"] * N_REASONS
    for i in range(n):
        at = BEGIN + dt.timedelta(days=DAYS) * i / n
        predictions = []
        for target in TARGETS:
            value = random_.random()
            band = "high" if value > 0.9 else "medium" if value > 0.6 else "low"
            found = {**risk, "target": target, "probability": value, "band": band, "percentile": value}
            predictions.append(found | {"reasons": reasons, "model": f"{target}-admission/7"})
        document = EXAMPLE_ANSWER | {
            "stay_id": f"S{i * 9 // 10:09d}",
            "prediction_time": at.isoformat(),
            "scored_at": f"{at:%Y-%m-%dT%H:%M:%S}Z",
            "predictions": predictions,
        }
        yield Stored(document, f"department {random_.randrange(N_DEPARTMENTS)}")


def measured(n: int, folder: Path) -> dict[str, float]:
    """Answers stored in a second, and the median of each way of reading them, in milliseconds."""
    store = PredictionStore(open_database(file_address(folder / "store.db")))
    seconds = 0.0
    left = answers(n)
    while some := list(islice(left, SAVED_AT_ONCE)):
        begin = time.perf_counter()
        store.save(some)
        seconds += time.perf_counter() - begin
    own = frozenset({"department 3"})
    ways: dict[str, Callable[[], object]] = {
        "worklist_ms": lambda: store.worklist(),
        "worklist_of_a_department_ms": lambda: store.worklist(departments=own),
        "worklist_of_a_department_high_ms": lambda: store.worklist(departments=own, band="high"),
        "worklist_since_ever_ms": lambda: store.worklist(since=BEGIN),
        "latest_ms": lambda: store.latest(f"S{n // 3:09d}"),
        "save_one_ms": lambda: store.save(list(answers(1))),
    }
    found = {"predictions": float(n), "stored_per_second": n / seconds}
    found["bytes_per_prediction"] = (folder / "store.db").stat().st_size / n
    return found | {name: median_ms(way) for name, way in ways.items()}


def median_ms(way: Callable[[], object]) -> float:
    """The median of some repeats, in milliseconds."""
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        way()
        taken.append((time.perf_counter() - begin) * 1_000)
    return statistics.median(taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    with TemporaryDirectory(prefix="wardcast-bench-") as temporary:
        results = measured(parser.parse_args().predictions, Path(temporary))
    print(json.dumps({name: round(value, 1) for name, value in results.items()}, indent=1))
