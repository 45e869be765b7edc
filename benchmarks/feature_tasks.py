"""Measured work: making the data, building the features with wardcast and with pandas."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measuring import Measured
from benchmarks.pandas_way import build_with_pandas
from features.build import PatientLevelData, build
from features.dataset import open_dataset
from features.ingest import ingest
from features.points import Point


def make_data(data: Path, admissions: int) -> Measured:
    """Make up a hospital of this many admissions and check its records."""
    measured = Measured()
    with measured.timed():
        ingest("synthetic", None, data, options={"admissions": admissions})
    return measured


def wardcast_features(data: Path, out: Path) -> Measured:
    """The whole data-set builder at admission: cohort flow, features, labels, data hash, Parquet."""
    measured, dataset = Measured(), open_dataset(data)
    with measured.timed():
        built = build(dataset, Point.ADMISSION, out)
    out.with_suffix(".pickle").write_bytes(pickle.dumps(built))
    n_rows = sum(step.n for step in built.flow if step.step == "rows")
    measured.facts = {"rows": n_rows, "features": len(built.features)}
    return measured


def read_built(out: Path) -> PatientLevelData:
    """The data set that `wardcast_features` wrote to `out`."""
    built = pickle.loads(out.with_suffix(".pickle").read_bytes())
    assert isinstance(built, PatientLevelData)
    return built


def pandas_features(data: Path, out: Path, rolling: bool) -> Measured:
    """The same features in plain pandas."""
    measured, dataset = Measured(), open_dataset(data)
    with measured.timed():
        features = build_with_pandas(dataset, out, rolling=rolling)
    measured.facts = {"rows": len(features), "features": features.shape[1]}
    return measured


def compare_features(out: Path, data: Path) -> Measured:
    """Compare the features at `out` (pandas) with the built ones at `data`, value by value."""
    found, expected = pd.read_parquet(out), pd.read_parquet(data).set_index("stay_id")
    assert set(found.index) == set(expected.index), "the two ways found different admissions"
    expected = expected.reindex(found.index)
    names = [feature.name for feature in read_built(data).features]
    differing = {name: int((~_equal(found[name], expected[name])).sum()) for name in names if name in found}
    return Measured(
        facts={
            "rows": len(found),
            "compared": len(differing),
            "not_covered": [name for name in names if name not in found],
            "differing_values": {name: n for name, n in differing.items() if n},
        }
    )


def _equal(one: pd.Series, other: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(one):
        # Money is added up in another order.
        close = np.isclose(one.astype("float64"), other.astype("float64"), rtol=1e-9, equal_nan=True)
        return np.asarray(close)
    return ((one == other) | (one.isna() & other.isna())).to_numpy(dtype=bool)
