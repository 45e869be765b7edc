"""The history that the server holds: a patient's records out of a canonical data set, found by a stay."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
from pydantic import ValidationError

from features.dataset import Declaration, open_dataset, stamp_of
from features.errors import UserError
from features.records import AdmissionRecords
from features.tables import TableError
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
from serving.requests.indexed import Indexed, Row, Tables, index_stays
from serving.requests.schema import HeldRequest

N_ATTEMPTS = 3
_AGAIN_SECONDS = 0.5
_RETRY_SECONDS = 5.0
_SEND = "Send the admission's records with the request."

_log = logging.getLogger("wardcast.serving")


def read_held_request(content: object) -> HeldRequest:
    """The request without records, every field of the declared type. Raises Problem (422)."""
    try:
        return HeldRequest.model_validate(content)
    except ValidationError as error:
        raise invalid(field_errors(error, lambda _: list(HeldRequest.model_fields))) from None


@dataclass(frozen=True)
class Held:
    """What the server holds of an admission.

    `department` is that of the stay, None where it is not known; `known_until` the local time at which the
    records end, None for records without dates.
    """

    records: AdmissionRecords
    department: str | None
    known_until: dt.datetime | None


class HistoryNotReadError(UserError):
    """No data set was read since the start."""


class HeldHistory:
    """The records of a data set's patients. May be used from many threads at once.

    The data set may be replaced while the server runs. The new one is indexed aside: until then the former
    one answers where its files are still there (a link that was set anew), or nothing does. No answer is
    made from two data sets.
    """

    def __init__(self, folder: Path, *, memory_limit_mb: int = 200) -> None:
        """Answer from the data set in `folder`. Raises TableError if there is none."""
        open_dataset(folder)
        self._folder = folder
        self._memory_limit_mb = memory_limit_mb
        self._lock = threading.Lock()
        self._indexed: Indexed | None = None
        self._refused: tuple[int, int] | None = None
        self._refused_at = float("-inf")
        self._worker = self._index_aside(stamp_of(folder))

    def check(self) -> None:
        """Raise HistoryNotReadError until a data set was read once, OSError while there is none."""
        if self._indexed is None:
            self._current()
            raise HistoryNotReadError(f"{self._folder}: not read since the start; the server's log says why.")

    def held(
        self,
        request: HeldRequest,
        context: Context,
        sees: Callable[[str | None], bool],
        *,
        is_dated: bool,
    ) -> Held:
        """What is held of the admission that a request names.

        `context` is that of the models which shall answer, `is_dated` says whether they learned from records
        with dates, `sees` tells whose departments' patients the caller sees.

        Raises Problem: 422 for a stay that has not come so far, or a history of another kind than the
        models'; 404 for a stay that is not held or not seen; 503 while the data set cannot be read.
        """

        def is_seen(stay: Mapping[str, object]) -> bool:
            return sees(department_of(stay, request.point))

        tables, declaration = self._patient_of(request.stay_id, is_seen)
        _check_kind(context, declaration, is_dated=is_dated)
        stay = next((row for row in tables.get("stays", ()) if row["stay_id"] == request.stay_id), None)
        if stay is None or not is_seen(stay):
            raise Problem(UNKNOWN_STAY, f"Nothing is held of it that the caller may see. {_SEND}")
        asked_at = _local(request.prediction_time, ZoneInfo(declaration.time_zone))
        _check_stay(request, asked_at, tables["stays"], is_dated=is_dated)
        records = AdmissionRecords(
            stay_id=request.stay_id,
            point=request.point,
            tables=tables,
            prediction_time=asked_at,
            history_from=declaration.observed_from,
        )
        return Held(records, department_of(stay, request.point), _end_of(declaration.observed_until))

    def _patient_of(
        self, stay_id: str, is_seen: Callable[[Mapping[str, object]], bool]
    ) -> tuple[Tables, Declaration]:
        """All rows of the patient of a stay, none if it is not held or not seen, with what the data set says
        of them."""
        for _ in range(N_ATTEMPTS):
            try:
                indexed = self._current()
                if indexed is not None:
                    tables = indexed.tables_of(stay_id, is_seen)
                    # Replaced meanwhile, the rows may be of two data sets.
                    if indexed.is_whole():
                        return tables, indexed.dataset.declaration
            except (OSError, duckdb.Error) as error:
                _log_failure(error)
            self._wait()
        raise Problem(HISTORY_UNAVAILABLE, f"Try again. {_SEND}")

    def _current(self) -> Indexed | None:
        """The newest index of a data set that is there; None if there is none yet. Raises OSError."""
        stamp = stamp_of(self._folder)
        with self._lock:
            indexed = self._indexed
            if indexed is not None and indexed.stamp == stamp:
                return indexed
            # What cannot be read is not read again at every question.
            is_due = stamp != self._refused or time.monotonic() - self._refused_at >= _RETRY_SECONDS
            if is_due and not self._worker.is_alive():
                self._worker = self._index_aside(stamp)
        return indexed if indexed is not None and indexed.is_whole() else None

    def _wait(self) -> None:
        """Until the data set is indexed, or for a moment."""
        worker = self._worker
        if worker.is_alive():
            worker.join(_AGAIN_SECONDS)
        else:
            time.sleep(_AGAIN_SECONDS)

    def _index_aside(self, stamp: tuple[int, int]) -> threading.Thread:
        worker = threading.Thread(target=self._index, args=[stamp], name="index-history", daemon=True)
        worker.start()
        return worker

    def _index(self, stamp: tuple[int, int]) -> None:
        try:
            # Where the folder is a link, what it leads to now.
            self._indexed = index_stays(self._folder.resolve(), self._memory_limit_mb)
        except (OSError, TableError, duckdb.Error) as error:
            self._refused, self._refused_at = stamp, time.monotonic()
            _log_failure(error)


def _log_failure(error: Exception) -> None:
    # Never its words: the data engine may quote a record.
    _log.warning(json.dumps({"event": "history_unreadable", "error": type(error).__name__}))


def _check_kind(context: Context, declaration: Declaration, *, is_dated: bool) -> None:
    differing = differing_settings(context, declaration, is_dated=is_dated)
    if differing:
        what = f"The history that the server holds differs from the models' in {', '.join(differing)}."
        raise Problem(RECORDS_REQUIRED, f"{what} {_SEND}", [FieldError("records", "is required")])


def _end_of(day: dt.date | None) -> dt.datetime | None:
    return None if day is None else dt.datetime.combine(day, dt.time()) + dt.timedelta(days=1)


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
