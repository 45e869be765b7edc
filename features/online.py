"""A few admissions at once, from records in memory: the same relations, the same SQL as the batch."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from features.catalogue import features_at
from features.coding import CodedAs
from features.dataset import CodeSystems
from features.errors import UserError
from features.evidence import EVIDENCE
from features.feature import Feature
from features.inputs import inputs_json
from features.left_out import COUNTS, left_out_warnings, unknown_code_warnings
from features.meanings import CodeMeanings
from features.points import Point
from features.quality.rules import EVENT_COLUMNS
from features.quality.staged import CODED_TABLES
from features.records import AdmissionRecords, Row
from features.scope import scope_warnings
from features.settings import FeatureSettings
from features.statements import Columns, Question, Statements

_HAPPENED_AT = {**EVENT_COLUMNS, "stays": "admitted_at"}


@dataclass(frozen=True)
class OnlineRows:
    """Features of the requested admissions, one row each, in the order asked.

    `columns` are the features by name: an array of numbers, NaN where missing, or a list of texts. `none`
    names the counts of `features.evidence` that are 0 for the row.
    """

    columns: Columns
    prediction_times: list[dt.datetime | None]
    provisional: list[bool]
    warnings: list[list[str]]
    none: list[frozenset[str]]

    @property
    def features(self) -> pd.DataFrame:
        """The columns as a table; models read the columns, which takes a request less time."""
        return pd.DataFrame(self.columns)


class AdmissionError(UserError):
    """An admission cannot be predicted; the message names the field and what to do."""


class OnlineFeatures:
    """Builds the features of a few admissions; safe to share between threads."""

    def __init__(self, code_systems: CodeSystems, settings: FeatureSettings) -> None:
        self._settings = settings
        self._systems = code_systems
        self._meanings = CodeMeanings()
        self._statements = Statements(code_systems, settings)
        self._lock = threading.Lock()

    def prepare(
        self,
        point: Point,
        facts: Sequence[Feature] = (),
        wanted: frozenset[str] | None = None,
        *,
        dated: bool = True,
    ) -> None:
        """Let the engine plan now what `rows` asks of such admissions, which takes it up to a second."""
        with self._lock:
            self._statements.prepare(Question(point, dated, tuple(facts), wanted))

    def rows(
        self,
        admissions: Sequence[AdmissionRecords],
        facts: Sequence[Feature] = (),
        wanted: frozenset[str] | None = None,
    ) -> OnlineRows:
        """The features of admissions that share one prediction point.

        `facts` are the extract's own features that a model expects, `wanted` the names of the others (None:
        all of the point). Raises AdmissionError for an admission without its stay or without a prediction
        time.
        """
        times = [prediction_time(admission, self._settings) for admission in admissions]
        found: list[Columns] = []
        order: list[int] = []
        told: dict[int, list[str]] = {}
        none: dict[int, frozenset[str]] = {}
        for dated in (True, False):
            places = [place for place, time in enumerate(times) if (time is not None) == dated]
            if places:
                asked, asked_at = [admissions[p] for p in places], [times[p] for p in places]
                with self._lock:
                    columns, warnings, without = self._query(asked, asked_at, facts, wanted)
                found.append(columns)
                order += places
                told |= zip(places, warnings, strict=True)
                none |= zip(places, without, strict=True)
        provisional = [
            time is not None and _is_earlier(time, _own_time(admission, self._settings))
            for admission, time in zip(admissions, times, strict=True)
        ]
        warnings = [
            told[place] + _warnings(admission, times[place]) for place, admission in enumerate(admissions)
        ]
        columns = found[0] if len(found) == 1 else _in_order(found, order)
        return OnlineRows(columns, times, provisional, warnings, [none[place] for place in range(len(times))])

    def _query(
        self,
        admissions: Sequence[AdmissionRecords],
        times: Sequence[dt.datetime | None],
        facts: Sequence[Feature],
        wanted: frozenset[str] | None,
    ) -> tuple[Columns, list[list[str]], list[frozenset[str]]]:
        """The features of admissions that all have dates, or none; what is warned of each, and its `none`."""
        point, has_timeline = admissions[0].point, times[0] is not None
        codes = [self._codes(admission) for admission in admissions]
        meanings = self._meanings.of(
            {table: {code for each in codes for code in each[table]} for table in CODED_TABLES}
        )
        columns = self._statements.answer(
            Question(point, has_timeline, tuple(facts), wanted), inputs_json(admissions, times, meanings)
        )
        unknown = {
            code for table in meanings.values() for code, meaning in table.items() if not meaning.is_known
        }
        warnings = [
            scope_warnings(left_at, bool(continues), point, self._settings, has_timeline=has_timeline)
            + _unknown_codes(unknown, sent)
            + left_out_warnings({name: columns[name][row] for name in COUNTS})
            for row, (left_at, continues, sent) in enumerate(
                zip(columns["left_at"], columns["continues"], codes, strict=True)
            )
        ]
        counts = EVIDENCE & columns.keys()
        none = [frozenset(name for name in counts if columns[name][row] == 0) for row in range(len(codes))]
        own = [each.name for each in features_at(point, optional=self._settings.optional_features)]
        names = [name for name in own if wanted is None or name in wanted]
        names += [each.name for each in facts if each.name not in own]
        return {name: columns[name] for name in names}, warnings, none

    def _codes(self, admission: AdmissionRecords) -> dict[str, set[CodedAs]]:
        defaults = {
            "diagnoses": self._systems.diagnosis or "",
            "procedures": self._systems.procedure or "",
        }
        return {
            table: {
                (str(row["code"]), str(row.get("code_system") or default))
                for row in admission.tables.get(table, ())
            }
            for table, default in defaults.items()
        }


def prediction_time(admission: AdmissionRecords, settings: FeatureSettings) -> dt.datetime | None:
    """The prediction time asked for, or else the point's own; None for records without any dates.

    Raises AdmissionError if the time of the point is missing or the time asked for lies after it.
    """
    own = _own_time(admission, settings)
    asked = admission.prediction_time
    if asked is None and own is None and _is_dated(admission):
        raise AdmissionError(
            f"The stay has no time for the point {admission.point}: send discharged_at (discharge), "
            "admitted_at (admission) or booked_at (preadmission), or a prediction_time."
        )
    if asked is not None and own is not None and asked > own:
        raise AdmissionError(
            f"prediction_time lies after the prediction time of the point {admission.point}. "
            "Leave it out, send an earlier one, or ask for a later point."
        )
    return own if asked is None else asked


def _is_dated(admission: AdmissionRecords) -> bool:
    return any(
        stay.get(name) is not None
        for stay in admission.tables.get("stays", ())
        for name in ("booked_at", "admitted_at", "discharged_at")
    )


def _in_order(parts: Sequence[Columns], order: Sequence[int]) -> Columns:
    """Columns of rows that were answered in parts, put where `order` says that each belongs."""
    places, columns = np.argsort(order), {}
    for name, column in parts[0].items():
        values = [*chain(*(part[name] for part in parts))]
        ordered = [values[place] for place in places]
        columns[name] = np.array(ordered) if isinstance(column, np.ndarray) else ordered
    return columns


def _is_earlier(time: dt.datetime, own: dt.datetime | None) -> bool:
    return own is None or time < own


def _own_time(admission: AdmissionRecords, settings: FeatureSettings) -> dt.datetime | None:
    stay = _stay(admission)
    column = {
        Point.PREADMISSION: "booked_at",
        Point.ADMISSION: "admitted_at",
        Point.DISCHARGE: "discharged_at",
    }[admission.point]
    at = stay.get(column)
    if not isinstance(at, dt.datetime):
        return None
    return at + dt.timedelta(hours=settings.landmark_hours) if admission.point is Point.ADMISSION else at


def _stay(admission: AdmissionRecords) -> Row:
    found = [stay for stay in admission.tables.get("stays", ()) if stay["stay_id"] == admission.stay_id]
    if len(found) != 1:
        raise AdmissionError(
            "stay_id names no stay of records.stays, or more than one. Send the stay exactly once."
        )
    return found[0]


def _unknown_codes(unknown: set[CodedAs], sent: Mapping[str, set[CodedAs]]) -> list[str]:
    """How many distinct codes of one admission no code set holds, by code system; never which."""
    ours = Counter(system for _, system in unknown.intersection(*[set().union(*sent.values())]))
    return unknown_code_warnings(ours)


def _warnings(admission: AdmissionRecords, time: dt.datetime | None) -> list[str]:
    warnings = []
    late = (
        0
        if time is None
        else sum(_is_later(table, row, time) for table, rows in admission.tables.items() for row in rows)
    )
    if late:
        warnings.append(f"{late} rows lie after the prediction time and are ignored")
    if admission.history_from is None:
        warnings.append("history_from not sent: the history is taken as complete")
    return warnings


def _is_later(table: str, row: Row, time: dt.datetime) -> bool:
    at = row.get("known_at") or row.get(_HAPPENED_AT.get(table, "known_at"))
    return isinstance(at, dt.datetime) and at > time
