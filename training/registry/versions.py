"""Registered models in MLflow: their versions, each with digest and gate, and the alias of the champion."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from features.errors import UserError
from training.gate.decision import Check, Gate

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
CHAMPION = "champion"
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for a name that nothing bears, and for one that nothing could."""


class RegistryError(UserError):
    """The registry does not hold what was asked for; the message says what to do."""


@dataclass(frozen=True)
class Registered:
    """One registered version: where its artefact lies, its digest, and what the gate said of it."""

    name: str
    version: int
    run_id: str
    source: str
    digest: str
    gate: Gate


def register(
    client: MlflowClient, name: str, *, source: str, run_id: str, model_id: str, digest: str, gate: Gate
) -> int:
    """Register a logged model as the next version of `name`; digest and gate stand in its tags."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"digest": digest, "gate": json.dumps(gate.document(), ensure_ascii=False)}
    return int(client.create_model_version(name, source, run_id, tags=tags, model_id=model_id).version)


def registered(client: MlflowClient, name: str, version: int) -> Registered:
    """Look up a version. Raises RegistryError if there is none or wardcast did not register it."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        there = ", ".join(str(one) for one in versions_of(client, name)) or "none"
        raise RegistryError(
            f"{name}: no version {version} is registered; there: {there}. "
            f"`wardcast models --versions {name}` tells more of each."
        ) from error
    if not {"digest", "gate"} <= set(found.tags):
        raise RegistryError(
            f"{name}/{version}: its digest or gate is missing. Only models that `wardcast train` registered "
            "can be champion."
        )
    gate = read_tag(_gate, found.tags["gate"], f"{name}/{version}: its tag `gate`")
    return Registered(
        name=name,
        version=version,
        run_id=found.run_id,
        source=client.get_model_version_download_uri(name, str(version)),
        digest=found.tags["digest"],
        gate=gate,
    )


def versions_of(client: MlflowClient, name: str) -> list[int]:
    """The numbers of a model's registered versions, ascending; none where nothing bears the name."""
    # The store's language of filters knows no escape.
    if "'" in name:
        return []
    return sorted(int(found.version) for found in client.search_model_versions(f"name='{name}'"))


def fetch(client: MlflowClient, model: Registered, destination: Path) -> Path:
    """Download the artefact of a version below `destination` and return its folder, unchecked."""
    from mlflow.artifacts import download_artifacts

    folder = download_artifacts(
        artifact_uri=f"{model.source.rstrip('/')}/data/{model.name}",
        dst_path=str(destination),
        tracking_uri=client.tracking_uri,
    )
    return Path(folder)


def _gate(text: str) -> Gate:
    return Gate(tuple(Check(**check) for check in json.loads(text)["checks"]))


def read_tag(parse: Callable[[str], T], text: str, where: str) -> T:
    """What a tag holds. Raises RegistryError, by the name `where`, if wardcast did not write it so."""
    try:
        return parse(text)
    except (ValueError, TypeError, KeyError) as error:
        raise RegistryError(
            f"{where} is not what this version of wardcast writes. Use the version that wrote it, or put the "
            "tag back as it was."
        ) from error


def point_champion(client: MlflowClient, name: str, version: int) -> None:
    """Move the alias `champion` to `version`."""
    client.set_registered_model_alias(name, CHAMPION, str(version))


def unpoint_champion(client: MlflowClient, name: str) -> None:
    """Take the alias `champion` away, if it is there."""
    client.delete_registered_model_alias(name, CHAMPION)
