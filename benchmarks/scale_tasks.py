"""Measured work: the data-set builder and the reference query on the large extract."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measuring import Measured
from benchmarks.reference_query import codes_of, run_reference
from benchmarks.scale_data import make_extract
from features.buckets import each_bucket, engine
from features.build import build, features_of, keyed_sql, prepare_bucket
from features.dataset import open_dataset
from features.points import Point
from features.settings import DEFAULT_SETTINGS


def extract(data: Path, admissions: int) -> Measured:
    """Make the extract."""
    measured = Measured()
    with measured.timed():
        make_extract(data, admissions)
    return measured


def reference(data: Path, out: Path) -> Measured:
    """History and packed comorbidity flags alone, with the builder's own limits of threads and memory."""
    measured, dataset = Measured(), open_dataset(data)
    codes = codes_of(dataset)
    with TemporaryDirectory() as spill, measured.timed():
        run_reference(
            dataset,
            out,
            codes,
            threads=DEFAULT_SETTINGS.threads,
            memory_limit_mb=DEFAULT_SETTINGS.memory_limit_mb,
            spill=Path(spill),
        )
    measured.facts = _size(out)
    return measured


def features(data: Path, out: Path) -> Measured:
    """Cohort and features at admission, without labels: what the reference query is a part of."""
    measured, dataset, settings = Measured(), open_dataset(data), DEFAULT_SETTINGS
    with measured.timed(), engine(dataset, settings) as con, ExitStack() as last:
        built = features_of(dataset, Point.ADMISSION, settings)
        sql = keyed_sql(dataset, Point.ADMISSION, built, (), settings)

        def rows(own: duckdb.DuckDBPyConnection, bucket: int) -> pa.Table:
            prepare_bucket(own, dataset, Point.ADMISSION, bucket, settings)
            return own.sql(sql).to_arrow_table()

        writer = None
        for _, table in each_bucket(con, range(dataset.declaration.buckets), rows, settings):
            writer = writer or last.enter_context(pq.ParquetWriter(out, table.schema, compression="zstd"))
            writer.write_table(table)
    measured.facts = _size(out) | {"features": len(built)}
    return measured


def builder(data: Path, out: Path) -> Measured:
    """The whole data-set builder at admission: cohort flow, features, labels, data hash, one Parquet file."""
    measured, dataset = Measured(), open_dataset(data)
    with measured.timed():
        built = build(dataset, Point.ADMISSION, out)
    measured.facts = _size(out) | {"features": len(built.features)}
    return measured


def _size(out: Path) -> dict[str, int]:
    metadata = pq.read_metadata(out)
    return {"rows": metadata.num_rows, "columns": metadata.num_columns}
