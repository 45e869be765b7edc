"""From a checked data set to a registered model: built, trained, judged, logged and perhaps promoted."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.atomic import written_aside
from features.build import PatientLevelData, build
from features.dataset import open_dataset
from features.points import Point
from features.progress import Progress
from wardcast.settings import Settings

if TYPE_CHECKING:
    import datetime as dt

    from training.gate.champion import ChampionComparison
    from training.train import Effort, Trained


EARLIER_HOURS = (0, 6)
"""After admission: when a model of admissions may be asked before its landmark."""
NO_LABELS = {
    "readmission": "this extract does not tell who was readmitted",
    "complication": "this extract does not tell who had a complication",
    "cost": "this extract holds no costs",
    "charges": "this extract holds no totals of stays",
    "stay_days": "this extract does not tell how long stays lasted",
}


@dataclass(frozen=True)
class Outcome:
    """A registered model's results, whether it is champion now, and its report as a page."""

    results: dict[str, Any]
    is_champion: bool
    report: Path


def account() -> str:
    """Who is at work, for the record: the account's name, or its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"


def built(data: Path, point: Point, settings: Settings, progress: Progress) -> PatientLevelData:
    """The data set of a point, in the work folder."""
    out = settings.work / "features" / f"{point}.parquet"
    return build(open_dataset(data), point, out, settings=settings.features(), progress=progress)


def built_earlier(
    data: Path, point: Point, settings: Settings, progress: Progress
) -> tuple[PatientLevelData, ...]:
    """The data sets that show how a model of admissions does when it is asked before its landmark."""
    dataset, own = open_dataset(data), settings.features()
    if point is not Point.ADMISSION or not dataset.declaration.has_calendar:
        return ()
    folder = settings.work / "features"
    return tuple(
        build(
            dataset,
            point,
            folder / f"{point}+{hours}h.parquet",
            settings=replace(own, landmark_hours=float(hours)),
            progress=progress,
        )
        for hours in EARLIER_HOURS
        if hours < own.landmark_hours
    )


def train(
    data: PatientLevelData,
    target: str,
    settings: Settings,
    *,
    promote: bool,
    effort: Effort | None = None,
    earlier: Sequence[PatientLevelData] = (),
    tracking: tuple[str, Path | None] | None = None,
    progress: Progress,
) -> Outcome:
    """Train and register a model of `target`; with `promote`, make it champion if the gate passes.

    Its report is written to `reports/` in the work folder. `effort` as in `train_model`, `earlier` as in
    `built_earlier`, of the same data; `tracking` is address and artefact folder of the store, by default the
    settings' own. Raises TrainingError too where the data set holds no outcome of this target.
    """
    from training.gate import decide
    from training.gate.settings import GateSettings
    from training.registry.changes import acted_on_since
    from training.registry.promotion import history_of_all
    from training.registry.promotion import promote as put_in_force
    from training.registry.store import check_store, default_tracking
    from training.registry.tracking import log_trained
    from training.report.page import report_page
    from training.targets import TrainingError
    from training.train import Effort, train_model

    # Whatever could fail at the end is asked first: training takes long.
    changed_by = account()
    if not has_labels(data.path, target):
        raise TrainingError(f"{target}: {NO_LABELS[target]}, so there is nothing to learn from.")
    of_this = f"{target} at {data.point}"
    tracking_uri, artifact_root = tracking or default_tracking(settings.work)
    check_store(tracking_uri)
    acted_on_from = acted_on_since(
        settings.acted_on_from, history_of_all(tracking_uri=tracking_uri), data.declaration
    )
    trained = train_model(
        data,
        target,
        threads=settings.threads,
        effort=effort or Effort(),
        earlier=earlier,
        acted_on_from=acted_on_from,
        progress=progress,
    )
    distribution = trained.artefact.distribution
    with step(progress, f"comparing {of_this} with the champion"):
        comparison = _comparison(trained, data, settings, acted_on_from)
    gate = decide(
        trained.results,
        comparison,
        interval_level=distribution.level if distribution else None,
        settings=GateSettings(champion_rule=settings.champion_rule),
    )
    with step(progress, f"logging and registering {of_this}"):
        logged = log_trained(trained, gate, tracking_uri=tracking_uri, artifact_root=artifact_root)
    report = settings.work / "reports" / f"{logged.name}-{logged.version}.html"
    with written_aside(report) as fresh:
        fresh.write_text(report_page(trained.artefact, logged.results, trained.figures), "utf-8")
    if promote and gate.passed:
        with step(progress, f"promoting {of_this}"):
            put_in_force(
                logged.name,
                logged.version,
                tracking_uri=tracking_uri,
                champions=settings.champions,
                changed_by=changed_by,
            )
    return Outcome(logged.results, promote and gate.passed, report)


@contextmanager
def step(progress: Progress, name: str) -> Iterator[None]:
    """A step of one piece, told when it begins and ends."""
    progress(name, 0, 1)
    yield
    progress(name, 1, 1)


def _comparison(
    trained: Trained, data: PatientLevelData, settings: Settings, acted_on_from: dt.date | None
) -> ChampionComparison | None:
    """Challenger against the present champion on rows later than both models' calibration slices."""
    from models.champions import champion_named, load_champion
    from training.gate.compare import compare_with_champion
    from training.inputs import read_rows
    from training.targets import TARGETS

    present = champion_named(settings.champions, trained.artefact.name)
    if present is None:
        return None
    champion = load_champion(present)
    theirs = [spec.name for spec in champion.artefact.features]
    rows = read_rows(data, TARGETS[trained.artefact.target], theirs)
    return compare_with_champion(trained, champion, present.version, rows, acted_on_from=acted_on_from)


def has_labels(file: Path, target: str) -> bool:
    """Whether the data set holds an outcome of this target at all."""
    import pyarrow.parquet as pq

    from training.targets import TARGETS

    label = TARGETS[target].label
    return bool(pq.read_table(file, columns=[label])[label].null_count < pq.read_metadata(file).num_rows)
