"""The whole way once: records to data set, models, champions, scored admissions with reasons."""

from __future__ import annotations

import datetime as dt
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.points import Point
from features.progress import Progress
from wardcast.console import say, show_table
from wardcast.pipeline import built, built_earlier, train
from wardcast.reports import flow_document, show_flow, show_quality, show_training
from wardcast.settings import Settings, SettingsError

if TYPE_CHECKING:
    import pandas as pd

    from features.build import FlowStep
    from features.quality import Quality

# What the demo leaves in its work folder, so that the next run may clear it.
_MARKER = ".wardcast-demo"
_MODELS = (
    ("readmission", Point.DISCHARGE),
    ("readmission", Point.ADMISSION),
    ("complication", Point.ADMISSION),
    ("cost", Point.ADMISSION),
)
_TOP = 10
# What the demo scores: the last days of the extract, as a nightly run would.
_LATEST_DAYS = 60


@dataclass(frozen=True)
class DemoResult:
    """What the demo made, for the terminal and as the JSON document."""

    quality: Quality
    flows: dict[str, tuple[FlowStep, ...]]
    results: list[dict[str, Any]]
    top: pd.DataFrame
    work: Path
    document: dict[str, Any]


def run_demo(
    source: str, path: Path | None, admissions: int, settings: Settings, *, progress: Progress
) -> DemoResult:
    """Run every step in the work folder, which is cleared first if a demo made it.

    Raises SettingsError if the work folder holds something else, or the file itself.
    """
    from features.dataset import open_dataset
    from features.ingest import ingest
    from serving.loaded import load_champions
    from serving.score import score
    from serving.scored import top_table

    # Whatever cannot work is said before a former demo is cleared away.
    if path is not None and not path.exists():
        raise SettingsError(f"{path}: does not exist. Name the file of the source with --path.")
    if path is not None and settings.work.resolve() in (path.resolve(), *path.resolve().parents):
        raise SettingsError(f"{path}: lies in the work folder, which is cleared first. Use another --work.")
    work = _fresh(settings.work)
    options = {"admissions": admissions} if source == "synthetic" else {}
    data = work / "data"
    quality = ingest(
        source,
        path,
        data,
        options=options,
        threads=settings.threads,
        memory_limit_mb=settings.memory_limit_mb,
        progress=progress,
    )
    flows, results = _models(data, settings, progress)
    dataset = open_dataset(data)
    until = dataset.declaration.observed_until
    since = dt.datetime.combine(until, dt.time()) - dt.timedelta(days=_LATEST_DAYS) if until else None
    scored = work / "scored.parquet"
    score(
        dataset,
        load_champions(settings.champions),
        scored,
        since=since,
        settings=settings.features(),
        progress=progress,
    )
    document = {
        "work": str(work),
        "data": "data",
        "flow": {point: flow_document(flow) for point, flow in flows.items()},
        "models": results,
        "scored": "scored.parquet",
        "next": _next(work),
    }
    return DemoResult(quality, flows, results, top_table(scored, _TOP), work, document)


def _fresh(work: Path) -> Path:
    marker = work / _MARKER
    if work.exists() and not marker.is_file() and not (work.is_dir() and not any(work.iterdir())):
        raise SettingsError(f"{work}: holds something that no demo made. Name another folder with --work.")
    work.mkdir(parents=True, exist_ok=True)
    marker.touch()
    # The marker stays, so that a demo that is interrupted here may clear the rest next time.
    for entry in work.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != marker:
            entry.unlink()
    return work


def _models(
    data: Path, settings: Settings, progress: Progress
) -> tuple[dict[str, tuple[FlowStep, ...]], list[dict[str, Any]]]:
    flows: dict[str, tuple[FlowStep, ...]] = {}
    results = []
    sets, earlier = {}, {}
    for target, point in _MODELS:
        if point not in sets:
            sets[point] = built(data, point, settings, progress)
            earlier[point] = built_earlier(data, point, settings, progress)
            flows[str(point)] = sets[point].flow
        if _has_labels(sets[point].path, target):
            outcome = train(
                sets[point], target, settings, promote=True, earlier=earlier[point], progress=progress
            )
            results.append(outcome.results)
    return flows, results


def _has_labels(file: Path, target: str) -> bool:
    """Whether the extract can tell this outcome at all."""
    import pyarrow.parquet as pq

    from training.targets import TARGETS

    label = TARGETS[target].label
    return bool(pq.read_table(file, columns=[label])[label].null_count < pq.read_metadata(file).num_rows)


def _next(work: Path) -> list[str]:
    """Commands to go on with, as a shell takes them whatever the folder is called."""
    option = f"--work {shlex.quote(str(work))}"
    data, store = shlex.quote(f"{work}/data"), shlex.quote(f"sqlite:///{work}/mlflow.db")
    return [
        f"wardcast serve {option}",
        f"wardcast models {option}",
        f"wardcast score {data} --out scores.csv --top 20 {option}",
        f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri {store}",
    ]


def show_demo(result: DemoResult) -> None:
    """Print what was made, from records to reasons."""
    show_quality(result.quality)
    for point, flow in result.flows.items():
        show_flow(flow, point)
    show_training(result.results)
    _show_top(result.top)
    say("A clinician confirms every recommendation. See README.md for what this must not be used for.\n")
    say(f"Everything lies in {result.work}/:")
    for name, what in (
        ("data/", "checked records; quarantine/ and quality.json say what was set aside"),
        ("features/", "one row per index admission, with the cohort flow"),
        ("champions/", "the models in force"),
        ("mlflow.db", "every run: parameters, metrics, plots, cards"),
        ("scored.parquet", "predictions with reasons"),
    ):
        say(f"  {name:16}{what}")
    say("Next:")
    for command in result.document["next"]:
        say(f"  {command}")


def _show_top(top: pd.DataFrame) -> None:
    if top.empty:
        say("No model of readmissions is in force: there is no list of the highest risks.")
        return
    when = f"predicted at {top['prediction_point'].iloc[0]}"
    if top["prediction_time"].notna().all():
        when += f" in the last {_LATEST_DAYS} days"
    show_table(
        f"The {len(top)} highest risks of unplanned readmission {when}",
        ["stay", "predicted as of", "risk", "band", "why (the model's view, not a cause)"],
        [
            [
                row["stay_id"],
                row["prediction_time"],
                f"{row['value']:.1%}",
                row["band"],
                "\n".join(row["reasons"]),
            ]
            for row in top.to_dict("records")
        ],
    )
