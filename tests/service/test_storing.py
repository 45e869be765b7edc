"""Who may store predictions: the latest one of a stay says whose patient it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.access.keys import create_key
from serving.access.roles import Role
from serving.api import create_app
from serving.database.connection import file_address, open_database
from serving.parts import STORE_FILE
from serving.predictions.documents import EXAMPLE_REQUEST
from serving.server import is_loopback
from serving.settings import ServingSettings
from tests.service.test_api import promote


@pytest.mark.parametrize(("departments", "status"), [(None, 200), (["cardiology"], 403)])
def test_who_sees_some_departments_alone_stores_nothing(
    tmp_path: Path, departments: Sequence[str] | None, status: int
) -> None:
    promote(tmp_path / "champions", "readmission")
    with TestClient(create_app(ServingSettings(tmp_path / "champions"))) as client:
        engine = open_database(file_address(tmp_path / STORE_FILE))
        now = dt.datetime.now(dt.UTC)
        key = create_key(
            engine,
            name="bed management",
            roles=[Role.INTEGRATOR],
            departments=departments,
            expires_at=now + dt.timedelta(days=1),
            created_by="tests",
            now=now,
        )
        engine.dispose()
        headers = {"Authorization": f"Bearer {key}"}
        asked = client.post("/v1/predictions", json=EXAMPLE_REQUEST, headers=headers)
        assert asked.status_code == 200
        kept = client.post("/v1/predictions?store=true", json=EXAMPLE_REQUEST, headers=headers)
        assert kept.status_code == status
        batch = {"items": [EXAMPLE_REQUEST]}
        many = client.post("/v1/predictions/batch?store=true", json=batch, headers=headers)
        assert many.status_code == status
        found = client.get("/v1/admissions/S9/prediction", headers=headers)
        # Its record names no department: only who sees all may read it.
        assert found.status_code == (200 if departments is None else 404)
        if departments is None:
            # A key is wc_<id>_<secret>; names are not unique.
            assert found.json()["stored_by"] == f"bed management ({key.split('_')[1]})"


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True),
     ("127.example.org", False), ("0.0.0.0", False), ("10.0.0.7", False)],
)  # fmt: skip
def test_only_addresses_of_this_machine_are_its_own(host: str, is_ours: bool) -> None:
    assert is_loopback(host) is is_ours
