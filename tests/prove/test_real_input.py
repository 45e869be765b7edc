"""The demo on real encounters (Diabetes-130, public), from the file as it is to scored admissions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.atomic import written_aside
from tests.command import succeeded

PUBLIC_DATA = Path(os.environ.get("WARDCAST_PUBLIC_DATA") or Path(__file__).parents[3] / "shared" / "data")
FILE = PUBLIC_DATA / "diabetes130_dev.zip"
REPORT = Path(__file__).parents[2] / "benchmarks" / "real_input.md"
MODELS = ("readmission-discharge", "readmission-admission")
AT_LEAST = {"readmission-discharge": 0.65, "readmission-admission": 0.62}
SHOWN = ("auroc", "auprc", "brier", "calibration_slope", "ici")

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not FILE.is_file(),
        reason="needs the public file diabetes130_dev.zip; set WARDCAST_PUBLIC_DATA to its folder",
    ),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diabetes") / "work"


@pytest.fixture(scope="module")
def models(work: Path) -> dict[str, Any]:
    """The results of training by model, as the demo prints them."""
    options = ("--source", "diabetes130", "--path", FILE, "--work", work)
    document = succeeded("demo", "--json", *options, cwd=work.parent).document
    found = {each["model"]: each for each in document["models"]}
    with written_aside(REPORT) as fresh:
        fresh.write_text(report(found), "utf-8")
    return found


def report(models: dict[str, Any]) -> str:
    lines = [
        "# Real encounters: Diabetes-130",
        "",
        "All encounters of the development file (70 % of the patients of the public one), pooled "
        "patient-grouped out-of-fold; 95 % intervals by patient. Written by `make prove`.",
        "",
        f"| model | {' | '.join(SHOWN)} |",
        f"|---|{'---|' * len(SHOWN)}",
    ]
    for name, results in models.items():
        rows = {name: results["metrics"], **results["baselines"]}
        lines += [
            f"| {row} | {cells(metrics)} |" for row, metrics in rows.items() if "missing" not in metrics
        ]
    return "\n".join(lines) + "\n"


def cells(metrics: dict[str, Any]) -> str:
    return " | ".join(
        f"{metrics[name]['value']:.3f} ({metrics[name]['low']:.3f} to {metrics[name]['high']:.3f})"
        if metrics[name]["value"] is not None else "–"
        for name in SHOWN
    )  # fmt: skip


def test_the_file_tells_readmissions_and_neither_complications_nor_costs(models):
    assert tuple(models) == MODELS
    assert {results["estimate"] for results in models.values()} == {"pooled patient-grouped out-of-fold"}


@pytest.mark.parametrize("name", MODELS)
def test_readmissions_are_told_apart_as_well_as_honest_models_do(models, name):
    auroc, brier = models[name]["metrics"]["auroc"], models[name]["metrics"]["brier"]
    # Above 0.72 something leaks.
    assert AT_LEAST[name] <= auroc["value"] < 0.72
    assert auroc["low"] < auroc["value"] < auroc["high"]
    if name == "readmission-discharge":
        assert brier["value"] <= 0.098
    for baseline in ("logistic", "prior_admissions"):
        assert models[name]["baselines"][baseline]["auroc"]["low"] > 0.5


def test_every_encounter_is_scored_once_by_every_champion(models, work):
    scored = pd.read_parquet(work / "scored.parquet")
    passed = {name for name, results in models.items() if results["gate"]["passed"]}
    assert set(scored["target"] + "-" + scored["prediction_point"]) == passed
    assert not scored.duplicated(["stay_id", "target", "prediction_point"]).any()
    # The extract has no dates: nothing is late or early.
    assert scored["prediction_time"].isna().all()
    for point, rows in scored.groupby("prediction_point"):
        features = work / "features" / f"{point}.parquet"
        assert set(rows["stay_id"]) == set(pd.read_parquet(features, columns=["stay_id"])["stay_id"])
