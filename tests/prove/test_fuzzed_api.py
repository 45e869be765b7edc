"""20,000 generated requests to the real server, and whether another ward's stay shows by the time."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
import schemathesis
from scipy.stats import mannwhitneyu

from features.atomic import written_aside
from tests.fuzzing import WARD, Served, served
from tests.generated import PREDICT, SEED, STORED, ask_everything

REQUESTS = 20_000
PAIRS = 1_000
REPORT = Path(__file__).parents[2] / "benchmarks" / "fuzzed_api.md"

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3 * 3600)]


@dataclass(frozen=True)
class Told:
    """How long a route takes to answer 404 for another ward's stay and for an absent one, alternately asked.

    `area` is how often the first of them takes longer than the second, of all pairs: 0.5 tells nothing.
    """

    route: str
    foreign_ms: float
    absent_ms: float
    area: float


@dataclass(frozen=True)
class Run:
    """What the run was and found."""

    counts: Counter[tuple[str, int]]
    n_routes: int
    log_lines: int
    seconds: float
    megabytes_before: float
    megabytes_after: float
    told: list[Told]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with served(tmp_path_factory.mktemp("fuzzed")) as found:
        ask_everything(found, REQUESTS // 20)
        before, started_at = found.server.resident_mb(), time.monotonic()
        ask_everything(found, REQUESTS)
        seconds, after = time.monotonic() - started_at, found.server.resident_mb()
        counts = Counter(found.counts)
        told = [compared(found, template) for template in STORED]
        found.check_traces()
        n_routes = sum(len(found.schema[path]) for path in found.schema)
        done = Run(counts, n_routes, len(found.server.lines()), seconds, before, after, told)
    with written_aside(REPORT) as fresh:
        fresh.write_text(report(done), "utf-8")
    return done


def compared(found: Served, template: str) -> Told:
    """Ask for another ward's stay and for an absent one in turns."""
    body = {"stay_id": "before", "prediction_point": "discharge"}
    assert found.ask("POST", PREDICT, body=body, query={"store": "true"}).status_code == 200
    taken: dict[str, list[float]] = {"before": [], "absnt-": []}
    for _ in range(PAIRS):
        for stay, times in taken.items():
            started_at = time.perf_counter()
            response = found.session.get(
                found.address + template.replace("{stay_id}", stay), headers=found.headers(WARD), timeout=20
            )
            times.append(1000 * (time.perf_counter() - started_at))
            assert response.status_code == 404
    foreign, absent = taken.values()
    area = float(mannwhitneyu(foreign, absent).statistic) / len(foreign) / len(absent)
    return Told(template, median(foreign), median(absent), area)


def report(run: Run) -> str:
    """The run as Markdown."""
    statuses = sorted({status for _, status in run.counts})
    lines = [
        "# Generated requests to the real server",
        "",
        f"{sum(run.counts.values()):,} requests in {run.seconds / 60:.1f} minutes, one after the other, made "
        f"by schemathesis {schemathesis.__version__} from the server's own `/openapi.json` (what it allows "
        f"and what it does not) and from valid requests with changes, by the fixed seed {SEED}. Unmistakable "
        "identifiers, texts, values and dates are planted in them. Written by `make prove`.",
        "",
        "Every answer came within 20 seconds, had a status, media type, headers and body as described, no "
        "5xx, and held no planted value but where it says whom it is about; no refusal held one. "
        f"Afterwards every one of the log's {run.log_lines:,} lines was JSON with a route's template, and "
        "no planted value stood in log, metrics or audit log. The server held "
        f"{run.megabytes_before:.0f} MB after the first {REQUESTS // 20:,} requests and "
        f"{run.megabytes_after:.0f} MB after the last.",
        "",
        f"| route | {' | '.join(map(str, statuses))} |",
        f"|---|{'---:|' * len(statuses)}",
    ]
    for route in sorted({route for route, _ in run.counts}):
        cells = (f"{n:,}" if (n := run.counts[route, status]) else "" for status in statuses)
        lines.append(f"| `{route}` | {' | '.join(cells)} |")
    lines += [
        "",
        "## Whether another ward's stay shows",
        "",
        "A planner of one ward asks in turns for a stay of another ward that is stored, and for one that is "
        f"not: {PAIRS:,} times each. Both are answered 404 with the same bytes. The area is how often the "
        "first takes longer than the second, of all pairs of answers: 0.5 tells nothing.",
        "",
        "| route | another ward's, median ms | absent, median ms | area |",
        "|---|---:|---:|---:|",
        *(f"| `{t.route}` | {t.foreign_ms:.2f} | {t.absent_ms:.2f} | {t.area:.2f} |" for t in run.told),
    ]
    return "\n".join(lines) + "\n"


def test_at_least_twenty_thousand_requests_were_asked_over_all_routes(run: Run):
    """That each was answered as described was asserted when its answer came."""
    assert sum(run.counts.values()) >= REQUESTS
    assert len({route for route, _ in run.counts}) == run.n_routes
    for route in {route for route, _ in run.counts}:
        assert run.counts[route, 200] >= 5, route
    assert all(status < 500 for _, status in run.counts)


def test_the_server_does_not_grow(run: Run):
    """20,000 stored predictions, log lines and metrics later: some tens of megabytes are the allocator's."""
    assert run.megabytes_after < run.megabytes_before * 1.15 + 20


def test_another_wards_stay_takes_as_long_as_none(run: Run):
    """The area's standard error is 0.013 for 1,000 of each: three of them, and as much for drift."""
    for told in run.told:
        assert abs(told.area - 0.5) < 0.08, told
