"""Where the stays of a data set lie, in memory, and the records of one patient read from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.dataset import DataSet, connect, open_dataset, stamp_of
from features.tables import STAYS, Table
from serving.requests.schema import REQUEST_TABLES

Row = dict[str, object]
Tables = dict[str, list[Row]]

_DEPARTMENTS = ("admission_department", "discharge_department")


@dataclass(frozen=True)
class Indexed:
    """A data set with the bucket and the departments of every stay: 20 bytes each, in the order of the hashes
    of their ids. May be used from many threads at once.

    `departments` are places in `names`, one row for each of the two columns; a last place is nobody's.
    """

    dataset: DataSet
    stamp: tuple[int, int]
    hashes: NDArray[np.uint64]
    buckets: NDArray[np.int32]
    departments: NDArray[np.int32]
    names: tuple[str | None, ...]
    con: duckdb.DuckDBPyConnection

    def is_whole(self) -> bool:
        """Whether the data set is still the one that was indexed. Raises OSError if it is gone."""
        return self.dataset.stamp() == self.stamp

    def tables_of(self, stay_id: str, is_seen: Callable[[Mapping[str, object]], bool]) -> Tables:
        """The rows of the stay's patient by table, of the tables that the data set has; none if it is not
        held, or not seen by its departments.

        Nothing is read of a stay that is not seen: it takes as long as one that is not held.
        """
        with self.con.cursor() as con:
            first, last = self._places_of(con, stay_id)
            # Of a stay that is not held the next one is looked at: it takes as long.
            looked_at = range(first, max(last, first + 1))
            seen = [place for place in looked_at if is_seen(self._departments_at(place))]
            for place in seen:
                if place < last and (tables := self._read(con, int(self.buckets[place]), stay_id)):
                    return tables
        return {}

    def _places_of(self, con: duckdb.DuckDBPyConnection, stay_id: str) -> tuple[int, int]:
        """The stay's first place and that after its last: stays with the same hash are rare as blue moons."""
        row = con.execute("SELECT hash(?::VARCHAR)", [stay_id]).fetchone()
        assert row is not None
        key = np.uint64(row[0])
        first, last = (int(np.searchsorted(self.hashes, key, side=side)) for side in ("left", "right"))
        return first, last

    def _departments_at(self, place: int) -> Mapping[str, object]:
        # After the last one lies nobody's, which is in no department.
        codes = self.departments[:, place]
        return {column: self.names[code] for column, code in zip(_DEPARTMENTS, codes, strict=True)}

    def _read(self, con: duckdb.DuckDBPyConnection, bucket: int, stay_id: str) -> Tables:
        patient = f"SELECT patient_id FROM ({self.dataset.select(STAYS, bucket)}) WHERE stay_id = ?"
        found = con.execute(patient, [stay_id]).fetchone()
        return {} if found is None else dict(self._rows_of(con, bucket, str(found[0])))

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


def index_stays(folder: Path, memory_limit_mb: int) -> Indexed:
    """Read where every stay of a data set lies.

    Raises TableError if there is none, OSError or duckdb.Error if it cannot be read.
    """
    # Before anything is read: where it is replaced meanwhile, the index is of another one.
    stamp = stamp_of(folder)
    dataset = open_dataset(folder)
    con = connect(threads=1, memory_limit_mb=memory_limit_mb)
    con.execute("SET parquet_metadata_cache = true")
    codes: dict[str | None, int] = {None: 0}
    hashes, buckets, departments = [], [], []
    for bucket in range(dataset.declaration.buckets):
        sql = (
            f"SELECT hash(stay_id) AS hash, {', '.join(_DEPARTMENTS)} FROM ({dataset.select(STAYS, bucket)})"
        )
        own: pa.Table = con.sql(sql).to_arrow_table()
        hashes.append(own["hash"].to_numpy())
        buckets.append(np.full(len(own), bucket, dtype=np.int32))
        departments.append(np.stack([_coded(own[name], codes) for name in _DEPARTMENTS]))
    every = np.concatenate(hashes)
    order = np.argsort(every, kind="stable")
    nowhere = np.full((len(_DEPARTMENTS), 1), codes[None], dtype=np.int32)
    return Indexed(
        dataset,
        stamp,
        every[order],
        np.concatenate(buckets)[order],
        np.concatenate([np.concatenate(departments, axis=1)[:, order], nowhere], axis=1),
        tuple(codes),
        con,
    )


def _coded(column: pa.ChunkedArray, codes: dict[str | None, int]) -> NDArray[np.int32]:
    """The values of a column as their codes; those that have none yet get the next ones."""
    encoded = column.combine_chunks().dictionary_encode()
    own = [codes.setdefault(name, len(codes)) for name in encoded.dictionary.to_pylist()]
    # Null, as the last one.
    places: NDArray[np.int32] = encoded.indices.fill_null(-1).to_numpy()
    return np.array([*own, codes[None]], dtype=np.int32)[places]
