"""What others wrote into the registry's tags is told, not stumbled over."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from training.registry.changes import changes
from training.registry.versions import RegistryError, registered


def client(**tags: str) -> Any:
    """A registry whose model and version have these tags."""
    found = SimpleNamespace(tags=tags, run_id="r")
    registry = Mock()
    registry.get_model_version.return_value = registry.get_registered_model.return_value = found
    return registry


@pytest.mark.parametrize(
    "gate", ["passed", "[]", "{}", json.dumps({"checks": [{"passed": True, "text": "better.", "by": "me"}]})]
)
def test_a_gate_that_wardcast_did_not_write_is_refused(gate: str) -> None:
    with pytest.raises(RegistryError, match="cost-admission/2: its tag `gate` is not what this version"):
        registered(client(digest="d", gate=gate), "cost-admission", 2)


@pytest.mark.parametrize(
    "record",
    ["promoted by me", '{"version": 1}', json.dumps({"action": "promote", "reasons": [], "x": 1})],
)
def test_a_record_of_a_change_that_wardcast_did_not_write_is_refused(record: str) -> None:
    tags = {"champion_change.000001": record, "owner": "the ward"}
    with pytest.raises(RegistryError, match=r"cost-admission: its tag `champion_change\.000001` is not what"):
        changes(client(**tags), "cost-admission")
