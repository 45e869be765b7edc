"""Work on a data set's buckets of patients: a few at once, each on one thread, results in the buckets' order.

Most of the work on a bucket is many short steps that do not keep several threads busy; buckets next to each
other do.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import duckdb

from features.coding import register_code_flags
from features.dataset import DataSet, connect
from features.settings import FeatureSettings
from features.tables import TableError

Result = TypeVar("Result")

_AGAIN_SECONDS = 0.05


@contextmanager
def engine(dataset: DataSet, settings: FeatureSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A data engine that knows what the data set's codes mean.

    Raises TableError where the engine fails because files of the data set are missing or damaged, or were
    replaced meanwhile.
    """
    stamp = dataset.stamp()
    with TemporaryDirectory(prefix="wardcast-") as spill:
        con = connect(
            threads=max(1, settings.threads // _at_once(dataset.declaration.buckets, settings)),
            memory_limit_mb=settings.memory_limit_mb,
            spill=Path(spill),
        )
        try:
            register_code_flags(con, dataset)
            yield con
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            raise
        except duckdb.Error as error:
            # Never the engine's own words: they may quote a record.
            damaged = dataset.damaged()
            if not damaged and dataset.stamp() != stamp:
                raise TableError(
                    f"{dataset.path}: the data set was replaced while it was read. Run again."
                ) from error
            if not damaged:
                raise
            raise TableError(
                f"{dataset.path}: {len(damaged)} files are missing or damaged (first {damaged[0]}). "
                "Run `wardcast ingest` again."
            ) from error
        finally:
            con.close()


def each_bucket(
    con: duckdb.DuckDBPyConnection,
    buckets: Sequence[int],
    work: Callable[[duckdb.DuckDBPyConnection, int], Result],
    settings: FeatureSettings,
) -> Iterator[tuple[int, Result]]:
    """Yield each bucket with what `work` made of it, in their order.

    Each is worked on over a connection of its own, whose temporary tables no other sees. At most one result
    more than threads is kept ahead. Where one fails or nobody wants more, the others are stopped.
    """
    running: set[duckdb.DuckDBPyConnection] = set()

    def worked(bucket: int) -> Result:
        with closing(con.cursor()) as own:
            running.add(own)
            try:
                return work(own, bucket)
            finally:
                running.discard(own)

    ahead = _at_once(len(buckets), settings)
    waiting: deque[tuple[int, Future[Result]]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        try:
            for bucket in buckets:
                waiting.append((bucket, pool.submit(worked, bucket)))
                if len(waiting) > ahead:
                    yield waiting[0][0], waiting[0][1].result()
                    waiting.popleft()
            while waiting:
                yield waiting[0][0], waiting[0][1].result()
                waiting.popleft()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            # An interrupt ends one query: between two of them it is lost, and the work would go on.
            while any(not result.done() for _, result in waiting):
                for own in tuple(running):
                    with suppress(duckdb.ConnectionException):  # done meanwhile
                        own.interrupt()
                time.sleep(_AGAIN_SECONDS)


def _at_once(buckets: int, settings: FeatureSettings) -> int:
    return max(1, min(settings.threads, buckets))
