"""The history that the server holds: a patient's records out of a canonical data set, found by a stay."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.dataset import DataSet, Declaration, connect, open_dataset
from features.points import Point, PointName
from features.records import AdmissionRecords
from features.tables import STAYS, Table, TableError
from models.artefact import Context
from serving.champions.context import differing_settings
from serving.problems import (
    HISTORY_UNAVAILABLE,
    RECORDS_REQUIRED,
    UNKNOWN_STAY,
    FieldError,
    Problem,
    field_errors,
    invalid,
)
from serving.requests.consistency import status_errors, time_errors
from serving.requests.department import department_of
from serving.requests.schema import REQUEST_TABLES, Instant, Text

Row = dict[str, object]
Tables = dict[str, list[Row]]

N_ATTEMPTS = 3
_AGAIN_SECONDS = 0.1
_SEND = "Send the admission's records with the request."

_log = logging.getLogger("wardcast.serving")


class HeldRequest(BaseModel):
    """A request about a stay whose history the server holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stay_id: Text
    prediction_point: PointName
    prediction_time: Annotated[
        Instant | None, Field(description="default: the point's own; earlier is provisional, later refused")
    ] = None

    @property
    def point(self) -> Point:
        """The prediction point."""
        return Point(self.prediction_point)


def read_held_request(content: object) -> HeldRequest:
    """The request without records, every field of the declared type. Raises Problem (422)."""
    try:
        return HeldRequest.model_validate(content)
    except ValidationError as error:
        raise invalid(field_errors(error, lambda _: list(HeldRequest.model_fields))) from None


@dataclass(frozen=True)
class Held:
    """What the server holds of an admission; `department` is that of the stay, None where it is not known."""

    records: AdmissionRecords
    department: str | None


class HeldHistory:
    """The records of a data set's patients. May be used from many threads at once.

    The stays are indexed at the first question. The data set may be replaced while the server runs: the
    next question is answered from the new one.
    """

    def __init__(self, folder: Path, *, memory_limit_mb: int = 200) -> None:
        """Answer from the data set in `folder`. Raises TableError if there is none."""
        open_dataset(folder)
        self._folder = folder
        self._memory_limit_mb = memory_limit_mb
        self._lock = threading.Lock()
        self._indexed: _Indexed | None = None

    def held(self, request: HeldRequest, context: Context, sees: Callable[[str | None], bool]) -> Held:
        """What is held of the admission that a request names.

        `context` is that of the models which shall answer, `sees` tells whose departments' patients the
        caller sees. Raises Problem: 422 for a stay that has not come so far, or a history of another kind
        than the models'; 404 for a stay that is not held or not seen; 503 while the data set cannot be read.
        """
        tables, declaration = self._patient_of(request.stay_id)
        _check_kind(context, declaration)
        stay = next((row for row in tables.get("stays", ()) if row["stay_id"] == request.stay_id), None)
        department = None if stay is None else department_of(stay, request.point)
        if stay is None or not sees(department):
            raise Problem(UNKNOWN_STAY, f"Nothing is held of it that the caller may see. {_SEND}")
        asked_at = _local(request.prediction_time, ZoneInfo(declaration.time_zone))
        _check_stay(request, asked_at, tables["stays"], is_dated=declaration.has_timeline)
        records = AdmissionRecords(
            stay_id=request.stay_id,
            point=request.point,
            tables=tables,
            prediction_time=asked_at,
            history_from=declaration.observed_from,
        )
        return Held(records, department)

    def _patient_of(self, stay_id: str) -> tuple[Tables, Declaration]:
        """All rows of the patient of a stay, none if it is not held, with what the data set says of them."""
        for attempt in range(N_ATTEMPTS):
            try:
                indexed = self._current()
                tables = indexed.tables_of(stay_id)
                # Replaced meanwhile, the rows may be of two data sets.
                if indexed.dataset.stamp() == indexed.stamp:
                    return tables, indexed.dataset.declaration
            except (OSError, TableError, duckdb.Error) as error:
                # Never its words: the data engine may quote a record.
                _log.warning(json.dumps({"event": "history not read", "error": type(error).__name__}))
            if attempt + 1 < N_ATTEMPTS:
                time.sleep(_AGAIN_SECONDS)
        raise Problem(HISTORY_UNAVAILABLE, f"Try again. {_SEND}")

    def _current(self) -> _Indexed:
        with self._lock:
            stamp = (self._folder / "dataset.toml").stat()
            if self._indexed is None or self._indexed.stamp != (stamp.st_ino, stamp.st_mtime_ns):
                self._indexed = _indexed(open_dataset(self._folder), self._memory_limit_mb)
            return self._indexed


@dataclass(frozen=True)
class _Indexed:
    """A data set with the bucket of every stay: 12 bytes each, in the order of the hashes of their ids."""

    dataset: DataSet
    stamp: tuple[int, int]
    hashes: NDArray[np.uint64]
    buckets: NDArray[np.int32]
    con: duckdb.DuckDBPyConnection

    def tables_of(self, stay_id: str) -> Tables:
        """The rows of the stay's patient by table, of the tables that the data set has; none if not held."""
        with self.con.cursor() as con:
            for bucket in self._buckets_of(con, stay_id):
                patient = f"SELECT patient_id FROM ({self.dataset.select(STAYS, bucket)}) WHERE stay_id = ?"
                found = con.execute(patient, [stay_id]).fetchone()
                if found is not None:
                    return dict(self._rows_of(con, bucket, str(found[0])))
        return {}

    def _buckets_of(self, con: duckdb.DuckDBPyConnection, stay_id: str) -> list[int]:
        """The stay's bucket, and, once in a blue moon, that of another stay with the same hash."""
        row = con.execute("SELECT hash(?::VARCHAR)", [stay_id]).fetchone()
        assert row is not None
        key = np.uint64(row[0])
        first, last = (np.searchsorted(self.hashes, key, side=side) for side in ("left", "right"))
        return sorted(set(self.buckets[first:last].tolist()))

    def _rows_of(
        self, con: duckdb.DuckDBPyConnection, bucket: int, patient_id: str
    ) -> Iterator[tuple[str, list[Row]]]:
        def rows(table: Table, where: str, values: list[str]) -> list[Row]:
            sql = f"SELECT * FROM ({self.dataset.select(table, bucket)}) WHERE {where}"
            found = con.execute(sql, values)
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        stays = rows(STAYS, "patient_id = ?", [patient_id])
        stay_ids = [str(stay["stay_id"]) for stay in stays]
        for name, table in REQUEST_TABLES.items():
            if table is STAYS:
                yield name, stays
            elif table.owner == "patient_id" and self.dataset.has(name):
                yield name, rows(table, "patient_id = ?", [patient_id])
            elif self.dataset.has(name):
                yield name, rows(table, f"stay_id IN ({', '.join('?' * len(stay_ids))})", stay_ids)


def _indexed(dataset: DataSet, memory_limit_mb: int) -> _Indexed:
    stamp = dataset.stamp()
    con = connect(threads=1, memory_limit_mb=memory_limit_mb)
    con.execute("SET parquet_metadata_cache = true")
    hashes, buckets = [], []
    for bucket in range(dataset.declaration.buckets):
        found = con.execute(f"SELECT hash(stay_id) AS hash FROM ({dataset.select(STAYS, bucket)})")
        own = np.asarray(found.fetchnumpy()["hash"], dtype=np.uint64)
        hashes.append(own)
        buckets.append(np.full(len(own), bucket, dtype=np.int32))
    every = np.concatenate(hashes)
    order = np.argsort(every, kind="stable")
    return _Indexed(dataset, stamp, every[order], np.concatenate(buckets)[order], con)


def _check_kind(context: Context, declaration: Declaration) -> None:
    differing = differing_settings(context, declaration)
    if differing:
        what = f"The history that the server holds differs from the models' in {', '.join(differing)}."
        raise Problem(RECORDS_REQUIRED, f"{what} {_SEND}", [FieldError("records", "is required")])


def _local(instant: dt.datetime | None, zone: ZoneInfo) -> dt.datetime | None:
    if instant is None or instant.tzinfo is None:
        return instant
    return instant.astimezone(zone).replace(tzinfo=None)


def _check_stay(
    request: HeldRequest, asked_at: dt.datetime | None, stays: list[Row], *, is_dated: bool
) -> None:
    errors = [*time_errors(request.stay_id, request.point, asked_at, stays)] if is_dated else []
    errors = errors or [*status_errors(request.stay_id, request.point, stays)]
    if errors:
        raise invalid([_of_held(error) for error in errors])


def _of_held(error: FieldError) -> FieldError:
    """The error of a row in words for who did not send it."""
    if error.field == "prediction_time":
        return error
    column = error.field.rsplit(".", 1)[-1]
    return FieldError("prediction_point", f"the stay that is held has no {column} that allows it yet")
