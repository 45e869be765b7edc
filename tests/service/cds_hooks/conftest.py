"""Services over known answers, and the store behind them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from serving.cds_hooks.settings import CdsSettings, read_settings
from serving.database.connection import open_database
from tests.cds_service import (
    KnownAnswers,
    Service,
    risk,
)


@pytest.fixture(scope="module")
def cds() -> CdsSettings:
    return read_settings()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    opened = open_database(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    yield opened
    opened.dispose()


@pytest.fixture
def service(engine: sa.Engine, cds: CdsSettings) -> Service:
    return Service(
        KnownAnswers(risk("readmission", 0.231, "high"), risk("complication", 0.03, "low")), engine, cds
    )


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> CdsSettings:
    file = tmp_path_factory.mktemp("cds") / "cds.toml"
    file.write_text('language = "zh"\n', "utf-8")
    return read_settings(file)
