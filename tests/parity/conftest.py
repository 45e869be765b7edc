"""A made-up hospital with its champions and its scored file, made once for all tests here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.build import build
from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from models.artefact import Context, Training
from models.champions import install_champion
from models.storage import write_artefact
from serving.champions.loaded import ChampionSet, load_champions
from serving.nightly.score import score
from training.fit import Recipe, fit_model
from training.targets import target_at

SERVED = (
    ("readmission", Point.ADMISSION),
    ("complication", Point.ADMISSION),
    ("cost", Point.ADMISSION),
    ("readmission", Point.DISCHARGE),
)


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    out = tmp_path_factory.mktemp("hospital") / "data"
    ingest("synthetic", None, out, options={"admissions": 3_000}, buckets=3)
    return open_dataset(out)


@pytest.fixture(scope="session")
def champions_folder(hospital: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("models")
    declaration = hospital.declaration
    codes = declaration.code_systems.model_dump(exclude_none=True)
    context = Context(declaration.time_zone, declaration.currency, codes, declaration.cost_basis)
    built = {point: build(hospital, point, work / f"{point}.parquet", settings=DEFAULT_SETTINGS)
             for point in (Point.ADMISSION, Point.DISCHARGE)}  # fmt: skip
    for name, point in SERVED:
        target, frame = target_at(name, point), built[point].read()
        labelled = np.flatnonzero(frame[target.label].notna())
        features, training = built[point].features, Training("real", {})
        recipe = Recipe(target, point, features, context, DEFAULT_SETTINGS, training, seed=1, threads=2)
        cut = len(labelled) * 2 // 3
        fitted = fit_model(frame, recipe, labelled[:cut], labelled[cut:])
        made = work / f"{name}-{point}"
        digest = write_artefact(made, fitted.model.artefact, fitted.boosters)
        install_champion(work / "champions", made, name=made.name, version=3, digest=digest)
    return work / "champions"


@pytest.fixture(scope="session")
def champions(champions_folder: Path) -> ChampionSet:
    found = load_champions(champions_folder)
    assert found.refused == ()
    return found


@pytest.fixture(scope="session")
def scored(hospital: DataSet, champions: ChampionSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored") / "scored.parquet"
    return score(hospital, champions, out, settings=DEFAULT_SETTINGS).path
