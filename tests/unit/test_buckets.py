"""Buckets are worked on side by side, in order; one that fails stops the others."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import duckdb
import pytest

from features.buckets import each_bucket
from features.dataset import connect
from features.settings import FeatureSettings

TWO_AT_ONCE = FeatureSettings(threads=2)


def test_results_come_in_the_buckets_order_whichever_is_ready_first() -> None:
    last_is_done = threading.Event()

    def work(_con: duckdb.DuckDBPyConnection, bucket: int) -> int:
        if bucket == 0:
            assert last_is_done.wait(10)
        if bucket == 1:
            last_is_done.set()
        return bucket * 10

    with connect(threads=1, memory_limit_mb=100) as con:
        assert list(each_bucket(con, range(5), work, TWO_AT_ONCE)) == [(n, n * 10) for n in range(5)]


def test_where_one_bucket_fails_the_others_stop_between_their_queries_too(tmp_path: Path) -> None:
    other_works = threading.Event()
    n_queries = 0

    def work(con: duckdb.DuckDBPyConnection, bucket: int) -> None:
        nonlocal n_queries
        if bucket == 0:
            assert other_works.wait(10)
            raise LookupError("the first bucket")
        other_works.set()
        time.sleep(0.3)  # between two queries when the first bucket fails
        while n_queries < 5_000:
            con.execute("SELECT sum(i) FROM range(200_000) t(i)").fetchall()
            n_queries += 1

    with connect(threads=1, memory_limit_mb=100, spill=tmp_path) as con:
        with pytest.raises(LookupError, match="the first bucket"):
            list(each_bucket(con, range(4), work, TWO_AT_ONCE))
        assert n_queries < 5_000
        assert con.execute("SELECT 1").fetchall() == [(1,)]


def test_where_nobody_wants_more_no_further_bucket_is_begun() -> None:
    begun = []

    def work(_con: duckdb.DuckDBPyConnection, bucket: int) -> int:
        begun.append(bucket)
        return bucket

    with connect(threads=1, memory_limit_mb=100) as con:
        each = each_bucket(con, range(100), work, TWO_AT_ONCE)
        assert next(each) == (0, 0)  # type: ignore[call-overload]
        each.close()  # type: ignore[attr-defined]
    assert len(begun) <= 3
