"""What a run of batch scoring found, put into the store: one answer per admission and prediction point."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from features.dataset import DataSet, connect
from features.points import Point
from features.progress import Progress, silent
from features.settings import FeatureSettings
from features.sql import parquet_rows
from features.tables import STAYS
from serving.champions.loaded import ChampionSet, Loaded
from serving.reasons import tell
from serving.reasons.languages import Language
from serving.requests.department import department_of
from serving.requests.schema import REQUEST_TABLES
from serving.store.predictions import PredictionStore
from serving.store.stored import Stored

STORED_BY = "wardcast score"
"""Stands where a caller's identity stands of what was stored over HTTP."""

# While one transaction writes, no audit line and no key can be: it is kept short.
SAVED_AT_ONCE = 200
_FETCHED_AT_ONCE = 2_000
_COLUMNS = ("s.*", "d.admission_department", "d.discharge_department")


@dataclass(frozen=True)
class Kept:
    """What a run left in the store: answers that are new, and those that say what was stored before."""

    n_new: int
    n_unchanged: int


def store_scored(
    parts: Mapping[Point, Sequence[Path]],
    store: PredictionStore,
    dataset: DataSet,
    champions: ChampionSet,
    settings: FeatureSettings,
    progress: Progress = silent,
) -> Kept:
    """Store the scored rows of each point's buckets, in their order; returns how many answers that were.

    `parts` are the files of `score`, one per bucket of `dataset`, scored by `champions`. An answer
    that says what the store's latest before it says is not stored again: a run that goes on after an
    interruption, or a night in which nothing changed, adds nothing.
    Raises StoreError if the database fails: what was stored until then is whole and stays.
    """
    files = [(point, *each) for point, some in parts.items() for each in enumerate(some)]
    not_sent = frozenset(name for name in REQUEST_TABLES if not dataset.has(name))
    n_new = n_all = 0
    progress("storing", 0, len(files))
    with ExitStack() as ending:
        spill = Path(ending.enter_context(TemporaryDirectory(prefix="wardcast-")))
        con = ending.enter_context(
            connect(threads=settings.threads, memory_limit_mb=settings.memory_limit_mb, spill=spill)
        )
        for n_done, (point, bucket, file) in enumerate(files, start=1):
            models = {loaded.model_id: loaded for loaded in champions.at(point)}
            answers = _answers(_rows(con, dataset, bucket, file), point, models, not_sent)
            while some := list(islice(answers, SAVED_AT_ONCE)):
                n_new += store.save(some, skip_repeated=True)
                n_all += len(some)
            progress("storing", n_done, len(files))
    return Kept(n_new, n_all - n_new)


def _rows(
    con: duckdb.DuckDBPyConnection, dataset: DataSet, bucket: int, file: Path
) -> Iterator[dict[str, Any]]:
    """The rows of a bucket with their stays' departments, those of one stay next to each other."""
    # Sorted inside the data engine, which spills: a bucket's reasons may be more than memory holds.
    found = con.sql(
        f"SELECT {', '.join(_COLUMNS)} FROM {parquet_rows(file)} s "
        f"LEFT JOIN ({dataset.select(STAYS, bucket)}) d USING (stay_id) ORDER BY s.stay_id"
    )
    reader = found.to_arrow_reader(_FETCHED_AT_ONCE)
    assert reader is not None
    for batch in reader:
        yield from batch.to_pylist()


def _answers(
    rows: Iterable[dict[str, Any]], point: Point, models: Mapping[str, Loaded], not_sent: frozenset[str]
) -> Iterator[Stored]:
    order = {model_id: place for place, model_id in enumerate(models)}
    for _, same in groupby(rows, key=itemgetter("stay_id")):
        targets = sorted(same, key=lambda row: order[row["model"]])
        first = targets[0]
        warnings = [text for row in targets for text in json.loads(row["warnings"])]
        at = first["prediction_time"]
        scored_at = max(row["scored_at"] for row in targets)
        document = {
            "stay_id": first["stay_id"],
            "prediction_point": point.value,
            "prediction_time": None if at is None else at.isoformat(),
            "predictions": [
                tell(_prediction(row, models[row["model"]]), Language.EN, not_sent=not_sent)
                for row in targets
            ],
            "provisional": first["provisional"],
            "warnings": list(dict.fromkeys(warnings)),
            "scored_at": scored_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        yield Stored(document, department_of(first, point), first["episode_id"], STORED_BY)


def _prediction(row: Mapping[str, Any], loaded: Loaded) -> dict[str, Any]:
    """A scored row as the API answers it."""
    document: dict[str, Any] = {"target": row["target"]}
    if loaded.model.artefact.kind == "risk":
        document["probability"] = row["value"]
    else:
        document |= {"expected": row["value"], "interval": _interval(row, loaded)}
        document |= {"unit": row["unit"], "currency": row["currency"]}
    kept = ("band", "percentile", "base_value", "raw_output", "scale", "model")
    return document | {name: row[name] for name in kept} | {"reasons": json.loads(row["reasons"])}


def _interval(row: Mapping[str, Any], loaded: Loaded) -> dict[str, Any] | None:
    distribution = loaded.model.artefact.distribution
    if distribution is None:
        return None
    return {"level": distribution.level, "low": row["low"], "high": row["high"]}
