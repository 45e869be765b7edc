"""A few admissions at once, from records in memory: the same relations, the same SQL as the batch.

Each request's rows get identifiers of their own, so that requests gathered into one query cannot see
one another.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from features.assemble import features_sql
from features.build import lay_out, lay_out_index_rows
from features.catalogue import features_at
from features.codes.measures import has_unknown_unit
from features.coding import CodedAs, code_flags_for, plain_flags_for
from features.dataset import CodeSystems, connect
from features.errors import UserError
from features.feature import Feature
from features.points import Point
from features.quality.rules import EVENT_COLUMNS
from features.quality.staged import CODED_TABLES
from features.scope import scope_warnings
from features.settings import FeatureSettings
from features.tables import SQL_TYPES, TABLES, Table

Row = Mapping[str, object]
_HAPPENED_AT = {**EVENT_COLUMNS, "stays": "admitted_at"}


@dataclass(frozen=True)
class AdmissionRecords:
    """One admission with its history as canonical rows; an absent table is unknown, an empty one none.

    `prediction_time` (local wall time) defaults to the point's own; `history_from` says since when the
    history is complete.
    """

    stay_id: str
    point: Point
    tables: Mapping[str, Sequence[Row]]
    prediction_time: dt.datetime | None = None
    history_from: dt.date | None = None


@dataclass(frozen=True)
class OnlineRows:
    """Features of the requested admissions, one row each, in the order asked."""

    features: pd.DataFrame
    prediction_times: list[dt.datetime | None]
    provisional: list[bool]
    warnings: list[list[str]]


class AdmissionError(UserError):
    """An admission cannot be predicted; the message names the field and what to do."""


class OnlineFeatures:
    """Builds the features of a few admissions; safe to share between threads."""

    def __init__(self, code_systems: CodeSystems, settings: FeatureSettings) -> None:
        self._settings = settings
        self._systems = code_systems
        self._con = connect(threads=1, memory_limit_mb=settings.memory_limit_mb)
        self._lock = threading.Lock()

    def rows(self, admissions: Sequence[AdmissionRecords], facts: Sequence[Feature] = ()) -> OnlineRows:
        """The features of admissions that share one prediction point.

        `facts` are the extract's own features that a model expects. Raises AdmissionError for an
        admission without its stay or without a prediction time.
        """
        times = [prediction_time(admission, self._settings) for admission in admissions]
        frames = []
        scope: dict[int, list[str]] = {}
        for dated in (True, False):
            places = [place for place, time in enumerate(times) if (time is not None) == dated]
            if places:
                asked, asked_at = [admissions[p] for p in places], [times[p] for p in places]
                frame, outside = self._query(asked, asked_at, facts)
                frames.append(frame.set_axis(places, axis="index"))
                scope |= zip(places, outside, strict=True)
        features = pd.concat(frames).sort_index()
        provisional = [
            time is not None and _is_earlier(time, _own_time(admission, self._settings))
            for admission, time in zip(admissions, times, strict=True)
        ]
        warnings = [
            scope[place] + _warnings(admission, times[place]) for place, admission in enumerate(admissions)
        ]
        return OnlineRows(features, times, provisional, warnings)

    def _query(
        self,
        admissions: Sequence[AdmissionRecords],
        times: Sequence[dt.datetime | None],
        facts: Sequence[Feature],
    ) -> tuple[pd.DataFrame, list[list[str]]]:
        """The features of admissions that all have dates, or none, and what cohort and codes say of each."""
        point = admissions[0].point
        has_timeline = times[0] is not None
        features = features_at(point, optional=self._settings.optional_features)
        sql = features_sql(features, point, has_timeline=has_timeline, settings=self._settings, facts=facts)
        codes = [self._codes(admission) for admission in admissions]
        code_flags = code_flags_for(
            {table: frozenset[CodedAs]().union(*(each[table] for each in codes)) for table in CODED_TABLES}
        )
        unknown = [coded_as for flags in code_flags.values() for coded_as in _without_category(flags)]
        with self._lock:
            for table in TABLES.values():
                self._con.register(table.name, _arrow(table, admissions))
            for name, flags in (code_flags | _plain_flags(admissions)).items():
                self._con.register(name, flags)
            lay_out(self._con, self._systems, self._settings, has_timeline=has_timeline)
            self._con.register("requests", _requests(admissions, times))
            lay_out_index_rows(self._con, _index_rows_sql(point))
            # Executed, not taken as a relation, which the engine would plan twice.
            frame: pd.DataFrame = self._con.execute(f"SELECT * FROM ({sql}) ORDER BY index_id").df()
            scope = scope_warnings(self._con, point, self._settings, has_timeline=has_timeline)
        warnings = [
            outside + _unknown_codes(unknown, each) for outside, each in zip(scope, codes, strict=True)
        ]
        return frame.drop(columns="index_id"), warnings

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


def _plain_flags(admissions: Sequence[AdmissionRecords]) -> dict[str, pd.DataFrame]:
    def rows(table: str) -> Iterator[Row]:
        return (row for admission in admissions for row in admission.tables.get(table, ()))

    measured = {(str(row["code"]), str(row["unit"])) for row in rows("observations")}
    return plain_flags_for({str(row["code"]) for row in rows("medications")}, measured)


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


def _without_category(flags: pd.DataFrame) -> list[CodedAs]:
    unknown = flags[flags["ccs_title"].isna()]
    return list(zip(unknown["code"], unknown["code_system"], strict=True))


def _unknown_codes(unknown: Sequence[CodedAs], sent: Mapping[str, set[CodedAs]]) -> list[str]:
    """How many distinct codes of one admission no code set holds, by code system; never which."""
    ours = Counter(
        system for code, system in unknown if any((code, system) in codes for codes in sent.values())
    )
    return [
        f"{n} {'code is' if n == 1 else 'codes are'} not in the code set of {system}: treated as unknown"
        for system, n in sorted(ours.items())
    ]


def _warnings(admission: AdmissionRecords, time: dt.datetime | None) -> list[str]:
    absent = [
        table.name
        for table in TABLES.values()
        if table.owner is not None
        and table.name not in admission.tables
        and table.name in {name for feature in features_at(admission.point) for name in feature.tables}
    ]
    warnings = [f"{name} not sent: unknown, its features are missing" for name in absent]
    late = (
        0
        if time is None
        else sum(_is_later(table, row, time) for table, rows in admission.tables.items() for row in rows)
    )
    if late:
        warnings.append(f"{late} rows lie after the prediction time and are ignored")
    observations = admission.tables.get("observations", ())
    unusable = sum(has_unknown_unit(str(row["code"]), str(row["unit"])) for row in observations)
    if unusable:
        warnings.append(f"{unusable} values are in a unit that is not known and are not used")
    if admission.history_from is None:
        warnings.append("history_from not sent: the history is taken as complete")
    return warnings


def _is_later(table: str, row: Row, time: dt.datetime) -> bool:
    at = row.get("known_at") or row.get(_HAPPENED_AT.get(table, "known_at"))
    return isinstance(at, dt.datetime) and at > time


def _arrow(table: Table, admissions: Sequence[AdmissionRecords]) -> pa.Table:
    """All rows of a table; identifiers are made unique by the request's place."""
    columns: dict[str, list[object]] = {column.name: [] for column in table.columns}
    for place, admission in enumerate(admissions):
        for row in admission.tables.get(table.name, ()):
            for name, values in columns.items():
                value = row.get(name)
                is_id = name in ("patient_id", "stay_id", "visit_id") and value is not None
                values.append(f"{place}:{value}" if is_id else value)
    return pa.table(
        {
            name: pa.array(values, type=_ARROW_TYPES[table.by_name[name].type])
            for name, values in columns.items()
        }
    )


_ARROW_TYPES = {
    "text": pa.string(),
    "integer": pa.int32(),
    "number": pa.float64(),
    "money": pa.decimal128(18, 2),
    "date": pa.date32(),
    "instant": pa.timestamp("us"),
    "flag": pa.bool_(),
}
assert set(_ARROW_TYPES) == set(SQL_TYPES)


def _requests(admissions: Sequence[AdmissionRecords], times: Sequence[dt.datetime | None]) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "index_id": pa.array(range(len(admissions)), pa.int64()),
        "stay_id": pa.array([f"{place}:{a.stay_id}" for place, a in enumerate(admissions)], pa.string()),
        "prediction_time": pa.array(times, pa.timestamp("us")),
        "history_from": pa.array(
            [dt.datetime.combine(a.history_from or dt.date.min, dt.time()) for a in admissions],
            pa.timestamp("us"),
        ),
    }
    for name in TABLES:
        columns[f"has_{name}"] = pa.array([name in a.tables for a in admissions], pa.bool_())
    return pa.table(columns)


def _index_rows_sql(point: Point) -> str:
    if point is Point.PREADMISSION:
        return """
        SELECT r.*, s.patient_id, s.stay_id AS episode_id, s.booked_at AS anchor_at
        FROM requests r JOIN stays s USING (stay_id)"""
    return """
    SELECT r.*, s.patient_id, s.episode_id, s.episode_admitted_at AS anchor_at
    FROM requests r JOIN episode_stays s USING (stay_id)"""
