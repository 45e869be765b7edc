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
from wardcast.console import program, say, show_table
from wardcast.pipeline import built, built_earlier, has_labels, train
from wardcast.reports import flow_document, show_flow, show_quality, show_training
from wardcast.settings import Settings, SettingsError

if TYPE_CHECKING:
    import pandas as pd

    from features.dataset import Declaration
    from features.flow import FlowStep
    from features.quality.report import Quality

# What a demo leaves in its work folder: as long as it is there, nobody else has put a model there.
_MARKER = ".wardcast-demo"
_LEFT_BY_A_DEMO = {
    _MARKER,
    "data",
    "features",
    "champions",
    "mlartifacts",
    "mlflow.db",
    "reports",
    "scored.parquet",
}
# The next demo leaves them alone: keys and reads are not of its making.
_LEFT_BY_A_SERVER = {"wardcast.db", "wardcast.db-wal", "wardcast.db-shm", "audit.jsonl", "audit.key"}
_MODELS = (
    ("readmission", Point.DISCHARGE),
    ("readmission", Point.ADMISSION),
    ("complication", Point.ADMISSION),
    ("cost", Point.ADMISSION),
    ("charges", Point.ADMISSION),
    ("stay_days", Point.ADMISSION),
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
    declaration: Declaration
    top: pd.DataFrame
    work: Path
    document: dict[str, Any]


def demo_settings(settings: Settings) -> Settings:
    """The settings with a folder of the demo's own, below the work folder, where nothing else is kept."""
    return settings.model_copy(update={"work": settings.work / "demo"})


def tracking_of(settings: Settings) -> str:
    """The address of the store that holds this work folder's models: a demo's are always in its own."""
    from training.registry.store import default_tracking, local_tracking

    is_demo = (settings.work / _MARKER).is_file()
    return (local_tracking if is_demo else default_tracking)(settings.work)[0]


def taken_over(work: Path) -> None:
    """From now on somebody keeps models of their own in this work folder: no demo clears it any more."""
    (work / _MARKER).unlink(missing_ok=True)


def run_demo(
    source: str, path: Path | None, admissions: int, settings: Settings, *, progress: Progress
) -> DemoResult:
    """Run every step in the work folder. What a former demo left there goes once the records are read.

    Raises SettingsError if the work folder holds something that no demo left, or the file itself.
    """
    from features.dataset import open_dataset
    from features.ingest import ingest
    from serving.champions.loaded import load_champions
    from serving.nightly.score import score
    from serving.nightly.scored import top_table

    work = settings.work
    if path is not None and not path.exists():
        raise SettingsError(f"{path}: does not exist. Name the file of the source with --path.")
    if path is not None and work.resolve() in (path.resolve(), *path.resolve().parents):
        raise SettingsError(f"{path}: lies in the work folder, which is cleared. Use another --work.")
    _refuse_foreign(work)
    work.mkdir(parents=True, exist_ok=True)
    # Before anything else, so that a demo that is interrupted can be run again.
    (work / _MARKER).touch()
    options = {"admissions": admissions} if source == "synthetic" else {}
    data = work / "data"
    # Records that cannot be read leave the former demo as it was.
    quality = ingest(
        source,
        path,
        data,
        options=options,
        threads=settings.threads,
        memory_limit_mb=settings.memory_limit_mb,
        progress=progress,
    )
    _clear(work, keep={_MARKER, data.name, *_LEFT_BY_A_SERVER})
    flows, results = _models(data, settings, progress)
    dataset = open_dataset(data)
    until = dataset.declaration.observed_until if dataset.declaration.has_timeline else None
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
        "next": list(_next(settings)),
    }
    top = top_table(scored, _TOP)
    return DemoResult(quality, flows, results, dataset.declaration, top, work, document)


def _refuse_foreign(work: Path) -> None:
    """Raises SettingsError unless the folder is absent, empty, or holds what a demo leaves and no more."""
    if not work.exists():
        return
    # A run that was killed leaves hidden entries beside what it was writing.
    there = {entry.name for entry in work.iterdir()} if work.is_dir() else {work.name}
    foreign = {name for name in there - _LEFT_BY_A_DEMO - _LEFT_BY_A_SERVER if not _is_half_written(name)}
    if foreign or (there - _LEFT_BY_A_SERVER and _MARKER not in there):
        raise SettingsError(f"{work}: holds something that no demo made. Name another folder with --work.")


def _is_half_written(name: str) -> bool:
    return name.startswith(("mlflow.db-", *(f".{whole}." for whole in _LEFT_BY_A_DEMO)))


def _clear(work: Path, *, keep: set[str]) -> None:
    for entry in work.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _models(
    data: Path, settings: Settings, progress: Progress
) -> tuple[dict[str, tuple[FlowStep, ...]], list[dict[str, Any]]]:
    from training.registry.store import local_tracking

    flows: dict[str, tuple[FlowStep, ...]] = {}
    results = []
    sets, earlier = {}, {}
    for target, point in _MODELS:
        if point not in sets:
            sets[point] = built(data, point, settings, progress)
            earlier[point] = built_earlier(data, point, settings, progress)
            flows[str(point)] = sets[point].flow
        if has_labels(sets[point].path, target):
            # A shared store is for models of patients, not of a made-up hospital.
            outcome = train(
                sets[point],
                target,
                settings,
                promote=True,
                earlier=earlier[point],
                tracking=local_tracking(settings.work),
                progress=progress,
            )
            results.append(outcome.results)
    return flows, results


def _next(settings: Settings) -> dict[str, str]:
    """Commands to go on with, as a shell takes them whatever the folder is called, and what each is for."""
    work, wardcast = settings.work, program("wardcast")
    option = f"--work {shlex.quote(str(work))}"
    data, store = shlex.quote(f"{work}/data"), shlex.quote(f"sqlite:///{work}/mlflow.db")
    return {
        f"{wardcast} serve {option}": f"answers at http://{settings.host}:{settings.port}/openapi.json",
        f"{wardcast} models {option}": "which models are in force, and on what evidence",
        f"{wardcast} score {data} --out scores.csv --top 20 {option}": "the highest risks of all as a table",
        f"MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true {program('mlflow')} ui --host 127.0.0.1 "
        f"--port 5000 --backend-store-uri {store}": "every run with its plots at http://127.0.0.1:5000",
    }


def show_demo(result: DemoResult, settings: Settings) -> None:
    """Print what was made, from records to reasons."""
    show_quality(result.quality)
    for point, flow in result.flows.items():
        show_flow(flow, point)
    show_training(result.results)
    _show_top(result.top, result.declaration)
    say("A clinician confirms every recommendation. See README.md for what this must not be used for.\n")
    say(f"Everything lies in {result.work}/:")
    for name, what in _contents(result).items():
        say(f"  {name:16}{what}")
    say("Next:")
    for command, use in _next(settings).items():
        say(f"  {command}\n      {use}")


def _contents(result: DemoResult) -> dict[str, str]:
    has_quarantine = (result.work / "data" / "quarantine").is_dir()
    set_aside = "quarantine/ and quality.json say what was set aside" if has_quarantine else "quality.json"
    latest = f" of the last {_LATEST_DAYS} days alone" if result.declaration.has_timeline else ""
    return {
        "data/": f"checked records; {set_aside}",
        "features/": "one row per index admission, with the cohort flow",
        "champions/": "the models in force",
        "reports/": "a page for each model: how it was made, how good it is and for whom",
        "mlflow.db": "every run: parameters, metrics, plots, cards",
        "scored.parquet": f"predictions with reasons{latest}",
    }


def _show_top(top: pd.DataFrame, declaration: Declaration) -> None:
    if top.empty:
        say("No model of readmissions is in force: there is no list of the highest risks.")
        return
    columns = ["stay", "predicted as of", "risk", "band", "why (the model's view, not a cause)"]
    rows = [
        [
            row["stay_id"],
            row["prediction_time"],
            f"{row['value']:.1%}",
            row["band"],
            "\n".join(row["reasons"]),
        ]
        for row in top.to_dict("records")
    ]
    if not declaration.has_timeline:
        columns, rows = [columns[0], *columns[2:]], [[row[0], *row[2:]] for row in rows]
    when = f" in the last {_LATEST_DAYS} days" if declaration.has_timeline else ""
    outcome = _readmission(declaration)
    point = top["prediction_point"].iloc[0]
    show_table(f"The {len(top)} highest risks of {outcome}, predicted at {point}{when}", columns, rows)
    if not declaration.has_calendar:
        say(
            "The model has learned from these very patients, since no admission is later than another here: "
            "for new patients it is less sure. How good it is for those, the metrics above say: they were "
            "measured on patients left out of the training."
        )


def _readmission(declaration: Declaration) -> str:
    """The outcome in the words of the label's own rule."""
    rule = declaration.labels.readmission
    if rule.kind == "derived":
        return "unplanned readmission"
    return f"readmission ({rule.definition or 'as the extract gives it'})"
