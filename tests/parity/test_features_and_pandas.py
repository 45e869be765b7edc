"""The features beside the same definitions written in plain pandas, value by value."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.feature_tasks import compare_features, make_data, pandas_features, wardcast_features
from features.catalogue import FAMILY_OF


@pytest.mark.parametrize("rolling", [False, True], ids=["merge and filter", "groupby and rolling"])
def test_every_value_is_what_plain_pandas_finds(tmp_path: Path, rolling: bool) -> None:
    make_data(tmp_path / "data", 4_000)
    wardcast_features(tmp_path / "data", tmp_path / "ours.parquet")
    pandas_features(tmp_path / "data", tmp_path / "theirs.parquet", rolling)
    found = compare_features(tmp_path / "theirs.parquet", tmp_path / "ours.parquet").facts
    assert found["rows"] > 3_500
    assert found["compared"] == 70
    assert found["differing_values"] == {}
    # What the plain pandas way leaves to the spec tests.
    families = {FAMILY_OF[name] for name in found["not_covered"]}
    left_out = {"charges to date", "comorbidity", "instruments", "laboratory", "medications", "visits"}
    assert families <= {*left_out, "diagnoses and procedures"}
