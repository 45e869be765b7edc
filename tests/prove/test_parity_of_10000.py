"""10,000 admissions from `wardcast score` and from a real server: the same predictions, to the last bit."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pandas as pd
import pytest
import requests
from scipy.stats import mannwhitneyu

from features.atomic import written_aside
from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.points import Point
from features.tables import STAYS
from models.artefact import Context
from serving.problems import Problem
from serving.requests.history import HeldHistory, read_held_request
from serving.requests.schema import REQUEST_TABLES
from tests.command import ROOT, succeeded
from tests.served import as_answered, requests_of, train_champions
from tests.server_process import server_process
from training.targets import TARGETS

ADMISSIONS = 12_000
AT_LEAST = 10_000
BATCH = 50
PAIRS = 2_000
POINTS = (Point.ADMISSION, Point.DISCHARGE)
REPORT = Path(__file__).parents[2] / "benchmarks" / "parity.md"
LATE = re.compile(r"\d+ rows lie after the prediction time and are ignored")
"""What only the API warns of."""

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3 * 3600)]

Item = dict[str, Any]


@dataclass
class Way:
    """How often admissions were asked for in one way, and where an answer was not the scored one."""

    name: str
    stays: set[str] = field(default_factory=set)
    answers: int = 0
    predictions: int = 0
    differing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Told:
    """How long (µs of the processor) a held stay of another department takes to be answered 404, and one that
    is not held.

    `area` is how often the first of them takes longer than the second, of all pairs: 0.5 tells nothing.
    """

    unseen_us: float
    absent_us: float
    area: float


@dataclass(frozen=True)
class Run:
    """What was compared, and how it came out."""

    ways: list[Way]
    targets: dict[str, int]
    told: Told
    minutes: float


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    started_at, work = time.monotonic(), tmp_path_factory.mktemp("parity")
    ingest("synthetic", None, work / "data", options={"admissions": ADMISSIONS}, buckets=4)
    hospital = open_dataset(work / "data")
    served = [(name, point) for point in POINTS for name in TARGETS if point in TARGETS[name].points]
    champions = train_champions(hospital, work, served)
    succeeded("score", hospital.path, "--out", work / "scored.parquet", "--work", work, cwd=ROOT)
    rows = pd.read_parquet(work / "scored.parquet")
    sent, held = Way("records sent"), Way("history held by the server")
    settings = {"folder": str(work), "history": str(hospital.path), "max_body_bytes": 2**26}
    with server_process(champions, work / "server.log", **settings) as server, requests.Session() as session:
        address = f"http://127.0.0.1:{server.port}"
        for bucket in range(hospital.declaration.buckets):
            records = requests_of(hospital, bucket)
            own = rows[rows["stay_id"].isin(records.keys())]
            groups = own.groupby(["stay_id", "prediction_point"])
            scored = {key: group.sort_values("model").to_dict("records") for key, group in groups}
            for part in parts_of([*scored], BATCH):
                questions = [{"stay_id": stay, "prediction_point": point} for stay, point in part]
                compare(held, questions, ask(session, address, questions), scored, hospital)
                told = {"history_from": str(hospital.declaration.observed_from), "currency": "CNY"}
                full = [each | told | {"records": records[each["stay_id"]]} for each in questions]
                compare(sent, full, ask(session, address, full), scored, hospital)
    targets = rows.groupby(["target", "prediction_point"]).size()
    found = Run(
        [sent, held],
        {f"{target}, {point}": int(n) for (target, point), n in targets.items()},
        compared_times(hospital),
        (time.monotonic() - started_at) / 60,
    )
    with written_aside(REPORT) as fresh:
        fresh.write_text(report(found), "utf-8")
    return found


def parts_of(keys: Sequence[tuple[str, str]], size: int) -> Iterator[Sequence[tuple[str, str]]]:
    """The keys in parts; the first of all parts has one key, asked for by itself."""
    yield keys[:1]
    for start in range(1, len(keys), size):
        yield keys[start : start + size]


def ask(session: requests.Session, address: str, items: list[Item]) -> list[Any]:
    if len(items) == 1:
        return [session.post(f"{address}/v1/predictions", json=items[0], timeout=120).json()]
    answer = session.post(f"{address}/v1/predictions/batch", json={"items": items}, timeout=120)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def compare(
    way: Way,
    items: Sequence[Item],
    answers: Sequence[Any],
    scored: dict[tuple[str, str], list[Item]],
    hospital: DataSet,
) -> None:
    """Hold answers against the scored rows: every number, reason, band, interval, warning and time."""
    for item, answer in zip(items, answers, strict=True):
        stay, point = item["stay_id"], item["prediction_point"]
        rows = scored[stay, point]
        tables = [name for name in REQUEST_TABLES if hospital.has(name)]
        expected = {
            "stay_id": stay,
            "prediction_point": point,
            "prediction_time": rows[0]["prediction_time"].isoformat(),
            "predictions": [as_answered(row, tables) for row in rows],
            "provisional": False,
            "warnings": [*dict.fromkeys(text for row in rows for text in json.loads(row["warnings"]))],
        }
        found = {name: answer.get(name) for name in expected}
        found["warnings"] = [text for text in found["warnings"] or () if not LATE.fullmatch(text)]
        way.stays.add(stay)
        way.answers += 1
        way.predictions += len(rows)
        # As text: 0.0 equals -0.0, and their texts do not.
        if as_text(found) != as_text(expected):
            way.differing.append(f"{stay} {point}: {[n for n in expected if found[n] != expected[n]]}")


def as_text(document: object) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def compared_times(hospital: DataSet) -> Told:
    """Ask in turns for held stays that the caller does not see and for stays that are not held."""
    declaration = hospital.declaration
    codes = declaration.code_systems.model_dump(exclude_none=True)
    context = Context(declaration.time_zone, declaration.currency, codes, declaration.cost_basis)
    history = HeldHistory(hospital.path)
    with duckdb.connect() as con:
        sql = f"SELECT stay_id FROM ({hospital.select(STAYS)}) WHERE admitted_at IS NOT NULL ORDER BY 1"
        stays = [row[0] for row in con.execute(f"{sql} LIMIT {PAIRS}").fetchall()]
    request = read_held_request({"stay_id": stays[0], "prediction_point": "admission"})
    history.held(request, context, lambda _: True, is_dated=True)

    def refused(stay_id: str) -> float:
        request = read_held_request({"stay_id": stay_id, "prediction_point": "admission"})
        started = time.thread_time_ns()
        with pytest.raises(Problem) as told:
            history.held(request, context, lambda department: department == "nobody's", is_dated=True)
        assert told.value.kind.status == 404
        return (time.thread_time_ns() - started) / 1_000

    # The same letters, so that the texts are as long.
    pairs = [(refused(stay), refused(stay[:-1] + "x")) for stay in stays]
    unseen, absent = ([pair[side] for pair in pairs] for side in (0, 1))
    area = float(mannwhitneyu(unseen, absent).statistic) / len(unseen) / len(absent)
    return Told(median(unseen), median(absent), area)


def report(run: Run) -> str:
    """The run as Markdown."""
    lines = [
        "# Batch and API give the same predictions",
        "",
        f"A made-up hospital of {ADMISSIONS:,} admissions, a champion for every target at admission and "
        "discharge. `wardcast score` wrote every admission's predictions to a Parquet file; a real server "
        f"answered for the same admissions over HTTP, in batches of {BATCH}: once with the patient's records "
        "sent, once from the history that it holds. Every answer was compared with its rows of the file as "
        "text, so that one bit of a number shows: predictions, intervals, bands, percentiles, reasons with "
        "their contributions and sentences, warnings, times, models. One warning only the API has: how many "
        "rows lie after the prediction time, since the whole record is sent. Written by `make prove`, "
        f"{dt.datetime.now(dt.UTC).date()}, in {run.minutes:.0f} minutes.",
        "",
        "| asked with | admissions | answers | predictions | differing |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {way.name} | {len(way.stays):,} | {way.answers:,} | {way.predictions:,} "
            f"| {len(way.differing):,} |"
            for way in run.ways
        ),
        "",
        "| target, prediction point | predictions in the file |",
        "|---|---:|",
        *(f"| {name} | {n:,} |" for name, n in sorted(run.targets.items())),
        "",
        "## Whether another department's stay shows",
        "",
        f"Stays of another department that the server holds, and stays that it does not hold, asked for in "
        f"turns, {PAIRS:,} times each: both are answered 404. The area is how often the first takes longer "
        "than the second, of all pairs: 0.5 tells nothing.",
        "",
        "| another department's, median µs of the processor | not held, median µs | area |",
        "|---:|---:|---:|",
        f"| {run.told.unseen_us:.0f} | {run.told.absent_us:.0f} | {run.told.area:.2f} |",
    ]
    return "\n".join(lines) + "\n"


def test_ten_thousand_admissions_are_predicted_alike_in_batch_and_by_the_api(run: Run):
    for way in run.ways:
        assert len(way.stays) >= AT_LEAST
        assert way.differing == []
    assert sum(run.targets.values()) == run.ways[0].predictions == run.ways[1].predictions


def test_the_time_does_not_tell_whether_another_departments_stay_is_held(run: Run):
    """The area's standard error is 0.009 for 2,000 of each: three of them, and as much for drift."""
    assert abs(run.told.area - 0.5) < 0.055, run.told
