"""Real encounters (Diabetes-130, public): as good as honest models are there, and no better."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from features.build import build
from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.points import Point
from training.train import Effort, train_model

PUBLIC_DATA = Path(os.environ.get("WARDCAST_PUBLIC_DATA") or Path(__file__).parents[3] / "shared" / "data")
FILE = PUBLIC_DATA / "diabetes130_dev.zip"
# Enough resamples for an interval to look at; `make prove` runs the demo on this file, with all of them.
REPLICATES = 40

pytestmark = pytest.mark.skipif(
    not FILE.is_file(),
    reason="needs the public file diabetes130_dev.zip; set WARDCAST_PUBLIC_DATA to its folder",
)


@pytest.fixture(scope="module")
def encounters(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    out = tmp_path_factory.mktemp("diabetes") / "data"
    quality = ingest("diabetes130", FILE, out)
    counts = quality.counts
    # The file's own description: 71,110 encounters of 49,847 patients.
    assert (counts["stays"].n_in, counts["patients"].n_in) == (71_110, 49_847)
    assert all(count.n_in == count.n_out + count.n_quarantined for count in counts.values())
    return open_dataset(out)


def results(encounters: DataSet, point: Point) -> dict[str, Any]:
    data = build(encounters, point, encounters.path.parent / f"{point}.parquet")
    return train_model(data, "readmission", effort=Effort(REPLICATES)).results


@pytest.mark.parametrize(("point", "at_least"), [(Point.DISCHARGE, 0.65), (Point.ADMISSION, 0.62)])
def test_real_readmissions_are_told_apart_as_well_as_honest_models_do(encounters, point, at_least):
    found = results(encounters, point)
    assert found["estimate"] == "pooled patient-grouped out-of-fold"
    auroc, brier = found["metrics"]["auroc"], found["metrics"]["brier"]
    # 0.670 and 0.637 were measured on the whole public file; above 0.72 something leaks.
    assert at_least <= auroc["value"] < 0.72
    # 7,000 readmissions among 63,000 encounters: a standard error of some 0.0035, an interval of some 0.014.
    assert auroc["low"] < auroc["value"] < auroc["high"]
    assert 0.007 < auroc["high"] - auroc["low"] < 0.028
    assert brier["low"] < brier["value"] < brier["high"]
    if point is Point.DISCHARGE:
        assert brier["value"] <= 0.098
    regression, visits = (
        found["baselines"]["logistic"]["auroc"],
        found["baselines"]["prior_admissions"]["auroc"],
    )
    assert regression["low"] < regression["value"] < regression["high"]
    # Prior inpatient visits alone carry much of what can be known, and not all of it.
    assert 0.55 < visits["low"] < visits["value"] < visits["high"] < auroc["low"]
    # Every encounter that can be judged was, by a model that had not seen its patient.
    assert found["n"]["test"] == found["n"]["train"] + found["n"]["calibration"]
