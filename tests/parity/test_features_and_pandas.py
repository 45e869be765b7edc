"""The features beside the same definitions written in plain pandas, value by value."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.feature_tasks import compare_features, make_data, pandas_features, wardcast_features


@pytest.mark.parametrize("rolling", [False, True], ids=["merge and filter", "groupby and rolling"])
def test_every_value_is_what_plain_pandas_finds(tmp_path: Path, rolling: bool) -> None:
    make_data(tmp_path / "data", 4_000)
    wardcast_features(tmp_path / "data", tmp_path / "ours.parquet")
    pandas_features(tmp_path / "data", tmp_path / "theirs.parquet", rolling)
    found = compare_features(tmp_path / "theirs.parquet", tmp_path / "ours.parquet").facts
    assert found["rows"] > 3_500
    assert found["compared"] == 88
    assert (found["not_covered"], found["differing_values"]) == ([], {})
