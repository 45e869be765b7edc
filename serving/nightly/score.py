"""Batch scoring: every admission of a data set, one row per admission and target, with reasons."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.atomic import written_aside
from features.build import rows_for_scoring
from features.dataset import DataSet, Declaration
from features.errors import UserError
from features.points import Point
from features.progress import Progress, silent
from features.settings import FeatureSettings
from models.columns import Columns
from models.supply import missing_tables
from serving.champions.context import differing_settings
from serving.champions.loaded import ChampionSet, Loaded
from serving.nightly.claim import claimed, cleared
from serving.nightly.scored import SCHEMA, combine, scored_rows
from serving.predictions.predictor import all_read, predict, settings_for
from serving.reasons import N_STORED
from serving.requests.schema import REQUEST_TABLES

RECORD = "run.json"
KEPT = "The parts that were finished are kept: the same command with --resume goes on from there."
# Rows predicted at once: their contributions are what memory holds.
CHUNK_ROWS = 8_192


Keep = Callable[[Mapping[Point, Sequence[Path]]], object]
"""Takes what was scored: for each prediction point one Parquet file per bucket, with all of `SCHEMA`."""


class ScoringError(UserError):
    """A data set cannot be scored; the message says why and what to do."""


@dataclass(frozen=True)
class TargetCount:
    """The rows of one target at one prediction point: scored, and of those written."""

    target: str
    prediction_point: str
    n_scored: int
    n_rows: int


@dataclass(frozen=True)
class Scored:
    """What a run wrote: `n_rows` rows at `path`; `n_admissions` different admissions were scored.

    An admission that is scored at two prediction points, or for two targets, counts once. With `top` the
    file holds fewer rows than the `n_scored` ones. `counts` tells both for each target at each point.
    `resumed`: the run went on with an interrupted one. `lacking` are, by champion, the tables that it learned
    from and the data set does not hold; none is listed that lacks nothing.
    """

    path: Path
    run_id: str
    n_admissions: int
    n_scored: int
    n_rows: int
    counts: tuple[TargetCount, ...]
    models: tuple[str, ...]
    resumed: bool
    lacking: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Run:
    """One run of scoring: what it reads, and the work folder that a later run can go on from."""

    dataset: DataSet
    champions: ChampionSet
    since: dt.datetime | None
    settings: FeatureSettings
    work: Path
    run_id: str
    stamp: tuple[int, int]
    resumed: bool


def score(
    dataset: DataSet,
    champions: ChampionSet,
    out: Path,
    *,
    since: dt.datetime | None = None,
    top: int | None = None,
    settings: FeatureSettings,
    resume: bool = False,
    keep: Keep | None = None,
    progress: Progress = silent,
) -> Scored:
    """Score every admission at every prediction point of the champions; write Parquet or CSV to `out`.

    One bucket of patients after another. `since` leaves out earlier prediction times; `top` keeps the
    highest values of each target and point. An interruption, or a full disk, leaves `out` as it was and a
    hidden folder `.<name>.partial` beside it, from which `resume` goes on. `keep` is handed every row, also
    those that `top` leaves out, before `out` is written; after a failure a resumed run hands it all again.

    Raises ScoringError if the champions do not fit the data set or cannot all be used, if `since` is given
    for records without dates, if `resume` finds a run of other data, models, settings or `since`, if the
    data set is replaced meanwhile, or if a file cannot be written; ClaimedError if another run is writing
    `out`.
    """
    check_out(out)
    if since is not None and not dataset.declaration.has_timeline:
        raise ScoringError("--since: these records have no dates. Leave it out to score every admission.")
    _check_champions(champions, dataset.declaration)
    work = out.with_name(f".{out.name}.partial")
    try:
        with claimed(work, out.name):
            run = _start(dataset, champions, work, since=since, settings=settings, resume=resume)
            return _finish(run, out, top, keep, progress)
    except OSError as error:
        if error.errno is None:
            raise
        raise ScoringError(
            f"{error.filename or out.name}: {os.strerror(error.errno)}. {_what_next(work)}"
        ) from error
    except BaseException as error:
        if (work / RECORD).is_file():
            error.add_note(KEPT)
        raise


def _what_next(work: Path) -> str:
    """What to do after a file could not be written."""
    if not (work / RECORD).is_file():
        return "Nothing was scored yet: mend that and run again."
    return f"What was scored so far is kept in {work.name}: mend that and go on with --resume."


def check_out(out: Path) -> None:
    """Raises ScoringError if scores cannot be written to a file of this name."""
    if out.suffix not in (".parquet", ".csv") or out.is_dir():
        raise ScoringError(f"{out.name}: name a file that ends in .parquet or .csv.")


def _finish(run: _Run, out: Path, top: int | None, keep: Keep | None, progress: Progress) -> Scored:
    """Score what is not scored yet, put the parts together at `out` and remove the work folder."""
    champions = run.champions
    parts: dict[Point, list[Path]] = {}
    counts = []
    for point in champions.points:
        at_point = dict(_score_point(run, point, progress))
        parts[point] = list(at_point)
        models = champions.at(point)
        assert all(n_rows % len(models) == 0 for n_rows in at_point.values()), "an admission lost a target"
        n = sum(at_point.values()) // len(models)
        kept = n if top is None else min(n, top)
        counts += [TargetCount(model.model.artefact.target, point.value, n, kept) for model in models]
    if run.dataset.stamp() != run.stamp:
        raise ScoringError(f"{out.name}: the data set was replaced while it was scored. Run again.")
    if keep is not None:
        keep(parts)
    n_rows = sum(count.n_rows for count in counts)
    with written_aside(out) as fresh:
        n_written = combine([part for some in parts.values() for part in some], fresh, top=top)
    assert n_written == n_rows, f"{n_rows} rows to write, {n_written} written"
    n_admissions = sum(_n_stays(some) for some in zip(*parts.values(), strict=True))
    shutil.rmtree(run.work)
    return Scored(
        path=out,
        run_id=run.run_id,
        n_admissions=n_admissions,
        n_scored=sum(count.n_scored for count in counts),
        n_rows=n_rows,
        counts=tuple(counts),
        models=tuple(loaded.model_id for loaded in champions.loaded),
        resumed=run.resumed,
        lacking={
            loaded.model_id: tables
            for loaded in champions.loaded
            if (tables := missing_tables(loaded.model.artefact, run.dataset.has))
        },
    )


def _n_stays(parts: Sequence[Path]) -> int:
    """Different admissions in the parts of one bucket, which no other bucket shares."""
    stays = (pq.read_table(part, columns=["stay_id"])["stay_id"].unique().to_pylist() for part in parts)
    return len(set().union(*stays))


def _check_champions(champions: ChampionSet, declaration: Declaration) -> None:
    if champions.refused:
        raise ScoringError("; ".join(f"{name}: {reason}" for name, reason in champions.refused))
    if not champions.loaded:
        raise ScoringError(
            "No champion to score with. Train a model with --promote first, or look "
            "whether --work names the right folder."
        )
    for loaded in champions.loaded:
        context = loaded.model.artefact.context
        differing = differing_settings(context, declaration, is_dated=loaded.is_dated)
        if differing:
            raise ScoringError(
                f"{loaded.model_id}: its {', '.join(differing)} differ from the data set's. "
                "Use champions that were trained on data of this kind."
            )


def _start(
    dataset: DataSet,
    champions: ChampionSet,
    work: Path,
    *,
    since: dt.datetime | None,
    settings: FeatureSettings,
    resume: bool,
) -> _Run:
    """A new run in the cleared work folder, or the interrupted one if it did the same work."""
    stamp = dataset.stamp()
    task = {
        "data": dataset.digest(),
        "models": {loaded.model_id: loaded.champion.digest for loaded in champions.loaded},
        "--since": None if since is None else since.isoformat(),
        "settings": settings.definitions(),
        "version of wardcast": metadata.version("wardcast"),
    }
    record = work / RECORD
    resumed = resume and record.is_file()
    if resumed:
        found = json.loads(record.read_text("utf-8"))
        differing = [name for name, value in task.items() if found["task"].get(name) != value]
        if differing:
            raise ScoringError(
                f"{work.name}: the interrupted run had other {', '.join(differing)}. "
                "Run without --resume to begin anew, or as that run was to go on with it."
            )
        run_id = str(found["run_id"])
    else:
        cleared(work)
        run_id = uuid.uuid4().hex
        with written_aside(record) as fresh:
            fresh.write_text(json.dumps({"run_id": run_id, "task": task}), "utf-8")
    return _Run(dataset, champions, since, settings, work, run_id, stamp, resumed)


def _score_point(run: _Run, point: Point, progress: Progress) -> Iterator[tuple[Path, int]]:
    """Score a point's buckets; yields each part file with its rows, those of an interrupted run too."""
    buckets = run.dataset.declaration.buckets
    parts = [run.work / f"{point.value}-{bucket:06d}.parquet" for bucket in range(buckets)]
    done = frozenset(bucket for bucket, part in enumerate(parts) if _is_whole(part))
    step, n_done = f"scoring at {point.value}", len(done)
    progress(step, n_done, buckets)
    models = run.champions.at(point)
    settings = settings_for(models, run.settings)
    for bucket, frame in rows_for_scoring(
        run.dataset, point, settings=settings, since=run.since, skip=done, read=all_read(models)
    ):
        with written_aside(parts[bucket]) as fresh:
            _write_part(fresh, frame, models, run)
        n_done += 1
        progress(step, n_done, buckets)
    for part in parts:
        yield part, pq.read_metadata(part).num_rows


def _is_whole(part: Path) -> bool:
    """A part takes its place when it is complete; a machine that lost its power may still leave a stump."""
    try:
        return part.is_file() and pq.read_metadata(part).schema.to_arrow_schema().equals(SCHEMA)
    except pa.ArrowInvalid:
        return False


def _write_part(part: Path, frame: pd.DataFrame, models: tuple[Loaded, ...], run: _Run) -> None:
    assert frame["stay_id"].is_unique, "an admission stands twice among the rows to score"
    with pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(frame), CHUNK_ROWS):
            chunk = frame.iloc[start : start + CHUNK_ROWS].reset_index(drop=True)
            columns = Columns.of(chunk.drop(columns=["row_warnings", "row_none"]))
            for model in models:
                scores = predict(model, columns, threads=run.settings.threads, n_reasons=N_STORED)
                lacking = missing_tables(model.model.artefact, run.dataset.has)
                absent = frozenset(name for name in REQUEST_TABLES if not run.dataset.has(name))
                writer.write_table(scored_rows(scores, chunk, run.run_id, lacking=lacking, absent=absent))
