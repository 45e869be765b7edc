"""A made-up hospital with its champions and its scored file, made once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from serving.champions.loaded import ChampionSet, load_champions
from serving.nightly.score import score
from tests.served import train_champions

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
    return train_champions(hospital, tmp_path_factory.mktemp("models"), SERVED)


@pytest.fixture(scope="session")
def champions(champions_folder: Path) -> ChampionSet:
    found = load_champions(champions_folder)
    assert found.refused == ()
    return found


@pytest.fixture(scope="session")
def scored(hospital: DataSet, champions: ChampionSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored") / "scored.parquet"
    return score(hospital, champions, out, settings=DEFAULT_SETTINGS).path
