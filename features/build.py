"""The data-set builder: a checked data set to one row per index admission, as of a prediction time.

Bucket by bucket of patients, inside the data engine and out of core. The number of buckets
changes neither a value nor a row.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.assemble import features_sql
from features.atomic import written_aside
from features.buckets import each_bucket, engine
from features.catalogue import features_at
from features.chain import codes_and_episodes, index_rows
from features.cohort import candidates_sql, index_rows_sql, judged_episodes_sql
from features.dataset import DataSet, Declaration
from features.evidence import evidence_for
from features.facts import declared_facts
from features.feature import Feature
from features.flow import FlowStep, cohort_flow, count_flow, flow_svg
from features.left_out import left_out_sql
from features.outcomes.complications import ComplicationBy, complications_rest_on
from features.outcomes.episode_cost import check_prices
from features.outcomes.labels import LABELS, labels_sql
from features.points import Point
from features.progress import Progress, silent
from features.settings import DEFAULT_SETTINGS, FeatureSettings
from features.tables import STAYS, TABLES
from features.told import with_what_is_told

# As long as the records themselves and read once or twice: not worth a table.
_READ_ONCE = ("known_diagnoses", "known_procedures")
_ROW_GROUPS = {
    "sex": ("sex", "f.sex"),
    "age_band": (
        "age_years",
        "CASE WHEN f.age_years < 45 THEN '18-44' WHEN f.age_years < 65 THEN '45-64' "
        "WHEN f.age_years < 80 THEN '65-79' WHEN f.age_years >= 80 THEN '80+' END",
    ),
    "payer": ("payer", "f.payer"),
    "department": ("admission_department", "f.admission_department"),
    "earlier_stay": (
        "n_stays_prior_365d",
        "CASE WHEN f.n_stays_prior_365d > 0 THEN 'yes' WHEN f.n_stays_prior_365d = 0 THEN 'no' END",
    ),
}


@dataclass(frozen=True)
class PatientLevelData:
    """A built data set on disk, with what is needed to learn from it.

    `complication_by` says what the complication labels rest on.
    """

    path: Path
    flow: tuple[FlowStep, ...]
    features: tuple[Feature, ...]
    point: Point
    declaration: Declaration
    settings: FeatureSettings
    data_hash: str
    complication_by: ComplicationBy

    def read(self) -> pd.DataFrame:
        """All rows as a table."""
        return pd.read_parquet(self.path)


def build(
    dataset: DataSet,
    point: Point,
    out: Path,
    *,
    settings: FeatureSettings = DEFAULT_SETTINGS,
    progress: Progress = silent,
) -> PatientLevelData:
    """Write the data set of a prediction point to the Parquet file `out`, and its flow beside it.

    Rows are all index admissions, with labels where they are known. Raises TableError if the data set
    is not usable. An interruption leaves no file behind.
    """
    counts: Counter[str] = Counter()
    buckets = dataset.declaration.buckets
    moment = str(point)
    if point is Point.ADMISSION and settings.landmark_hours != DEFAULT_SETTINGS.landmark_hours:
        moment += f" + {settings.landmark_hours:g} h"
    step = f"features at {moment}"
    with written_aside(out) as fresh, engine(dataset, settings) as con:
        facts = declared_facts(con, dataset, point)
        features = features_of(dataset, point, settings)
        by = complications_rest_on(con, dataset)
        check_prices(con, dataset, settings)
        sql = _learning_sql(dataset, point, features, facts, settings, complication_by=by)

        def rows(own: duckdb.DuckDBPyConnection, bucket: int) -> tuple[Counter[str], pa.Table]:
            counts = prepare_bucket(own, dataset, point, bucket, settings)
            return counts, own.sql(sql).to_arrow_table()

        progress(step, 0, buckets)
        with ExitStack() as closing_last:
            writer: pq.ParquetWriter | None = None
            for bucket, (counted, table) in each_bucket(con, range(buckets), rows, settings):
                counts += counted
                if writer is None:
                    writer = closing_last.enter_context(
                        pq.ParquetWriter(fresh, table.schema, compression="zstd")
                    )
                writer.write_table(table)
                progress(step, bucket + 1, buckets)
    flow = cohort_flow(counts, point, settings, dataset.declaration)
    flow_file = out.with_name(f"{out.name}.flow.json")
    with written_aside(flow_file) as fresh:
        fresh.write_text(json.dumps([asdict(step) for step in flow], indent=2) + "\n", "utf-8")
    title = f"{dataset.declaration.name}: who is an index admission at {moment}"
    with written_aside(out.with_name(f"{out.name}.flow.svg")) as fresh:
        fresh.write_text(flow_svg(flow, title), "utf-8")
    own = {feature.name for feature in features}
    extra = tuple(fact for fact in facts if fact.name not in own)
    return PatientLevelData(
        out, flow, (*features, *extra), point, dataset.declaration, settings, dataset.digest(), by
    )


def rows_for_scoring(
    dataset: DataSet,
    point: Point,
    *,
    settings: FeatureSettings = DEFAULT_SETTINGS,
    since: dt.datetime | None = None,
    skip: frozenset[int] = frozenset(),
    read: Sequence[Feature] | None = None,
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield each bucket that is not in `skip` with its rows to score: features, no labels.

    Beside them `row_warnings`, the texts of what of the patient's records could not be used, and `row_none`,
    the names of the counts of `features.evidence` that are 0. `read` are the features that the models learned
    from (None: all of the point and the data set's own).

    Rows are the index admissions of the point whose prediction time has come by the end of the
    extract, before an admission also the booked stays that have not come yet; with `since`, only those
    with a prediction time from then on.
    """
    features = features_of(dataset, point, settings)
    evidence = evidence_for(features)
    until = dataset.declaration.observed_until
    conditions = ["true"]
    if until is not None:
        conditions.append(f"prediction_time < TIMESTAMP '{until}' + INTERVAL 1 DAY")
    if since is not None:
        conditions.append(f"prediction_time >= TIMESTAMP '{since.isoformat(sep=' ')}'")
    with engine(dataset, settings) as con:
        facts = declared_facts(con, dataset, point)
        sql = f"{keyed_sql(dataset, point, (*features, *evidence), facts, settings)} ORDER BY stay_id"
        learned = (*features, *facts) if read is None else read
        left_out = left_out_sql(point, read={feature.name for feature in learned}, facts=learned)

        def rows(own: duckdb.DuckDBPyConnection, bucket: int) -> pd.DataFrame:
            prepare_bucket(own, dataset, point, bucket, settings, with_booked=True)
            own.execute(f"DELETE FROM index_rows WHERE NOT ({' AND '.join(conditions)})")
            frame: pd.DataFrame = own.sql(sql).df()
            return with_what_is_told(own, frame, left_out, [count.name for count in evidence])

        wanted = [bucket for bucket in range(dataset.declaration.buckets) if bucket not in skip]
        yield from each_bucket(con, wanted, rows, settings)


def features_of(dataset: DataSet, point: Point, settings: FeatureSettings) -> tuple[Feature, ...]:
    """The features of the point; dates that are shifted patient by patient are no calendar."""
    is_shifted = dataset.declaration.has_timeline and not dataset.declaration.has_calendar
    features = features_at(point, optional=settings.optional_features)
    return tuple(feature for feature in features if not (feature.calendar and is_shifted))


def prepare_bucket(
    con: duckdb.DuckDBPyConnection,
    dataset: DataSet,
    point: Point,
    bucket: int,
    settings: FeatureSettings,
    *,
    with_booked: bool = False,
) -> Counter[str]:
    """Lay out a bucket: its tables, episodes, candidates and index rows. Returns the flow's counts.

    `with_booked` makes rows, before an admission, of the stays too that are booked and have not come yet.
    """
    for table in TABLES.values():
        # Stays are read by nearly every relation; the others once or twice.
        kind = "TABLE" if table is STAYS else "VIEW"
        con.execute(f"CREATE OR REPLACE TEMP {kind} {table.name} AS {dataset.select(table, bucket)}")
    has_timeline = dataset.declaration.has_timeline
    systems = dataset.declaration.code_systems
    _lay_out(con, codes_and_episodes(systems, settings, has_timeline=has_timeline))
    con.execute(f"CREATE OR REPLACE TEMP VIEW unseen_stays AS {dataset.unseen_stays(bucket)}")
    judged = judged_episodes_sql(dataset.declaration, settings, has_procedures=dataset.has("procedures"))
    con.execute(f"CREATE OR REPLACE TEMP TABLE judged_episodes AS {judged}")
    candidates = candidates_sql(point, settings, has_timeline=has_timeline)
    con.execute(f"CREATE OR REPLACE TEMP TABLE candidates AS {candidates}")
    presence = ", ".join(f"{dataset.has(name)} AS has_{name}" for name in TABLES)
    since = dataset.declaration.observed_from
    history = f"TIMESTAMP '{since}'" if since else "NULL::TIMESTAMP"
    rows = index_rows_sql(point, settings, has_timeline=has_timeline, with_booked=with_booked)
    _lay_out(con, index_rows(f"SELECT *, {history} AS history_from, {presence} FROM ({rows})"))
    return count_flow(con)


def _lay_out(con: duckdb.DuckDBPyConnection, relations: Mapping[str, str]) -> None:
    for name, sql in relations.items():
        kind = "VIEW" if name in _READ_ONCE else "TABLE"
        con.execute(f"CREATE OR REPLACE TEMP {kind} {name} AS {sql}")


def keyed_sql(
    dataset: DataSet,
    point: Point,
    features: tuple[Feature, ...],
    facts: tuple[Feature, ...],
    settings: FeatureSettings,
) -> str:
    """SQL of a prepared bucket's rows: identifiers, point, prediction time, and the features by name."""
    has_timeline = dataset.declaration.has_timeline
    sql = features_sql(features, point, has_timeline=has_timeline, settings=settings, facts=facts)
    return f"""
    SELECT i.stay_id, i.episode_id, i.patient_id, '{point}' AS prediction_point, i.prediction_time,
        f.* EXCLUDE (index_id)
    FROM index_rows i JOIN ({sql}) f USING (index_id)"""


def _learning_sql(
    dataset: DataSet,
    point: Point,
    features: tuple[Feature, ...],
    facts: tuple[Feature, ...],
    settings: FeatureSettings,
    *,
    complication_by: ComplicationBy,
) -> str:
    has_timeline = dataset.declaration.has_timeline
    labels = labels_sql(
        dataset.declaration,
        settings,
        point,
        complication_by=complication_by,
        knows_planned=dataset.has("diagnoses") and dataset.has("procedures"),
    )
    at_discharge = candidates_sql(Point.DISCHARGE, settings, has_timeline=has_timeline)
    return f"""
    WITH discharge_candidates AS ({at_discharge}), labels AS ({labels})
    SELECT f.*, {", ".join(f"l.{label}" for label in LABELS)},
        l.row_discharged_on, l.row_label_end_on_readmission, l.row_label_end_on_complication,
        l.row_label_end_on_cost, l.row_label_end_on_charges, l.row_label_end_on_stay_days,
        l.row_first_event, l.row_died_in_hospital, l.row_hospital,
        {_row_groups(features)}
    FROM ({keyed_sql(dataset, point, features, facts, settings)}) f
    LEFT JOIN labels l USING (episode_id)
    ORDER BY f.stay_id"""


def _row_groups(features: tuple[Feature, ...]) -> str:
    """The groups of the report, for the inputs that are known at the point."""
    names = {feature.name for feature in features}
    columns = [f"{sql} AS row_group_{group}" for group, (need, sql) in _ROW_GROUPS.items() if need in names]
    return ", ".join(columns)
