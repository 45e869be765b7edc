"""The model that is to be judged elsewhere: which one a name means."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from models.champions import champion_named, load_champion
from models.model import Model, load_model
from models.storage import digest
from training.external import ExternalError
from training.registry.store import connect, has_store
from training.registry.versions import fetch, registered


@dataclass(frozen=True)
class Found:
    """A model to be judged, and what it is called."""

    model_id: str
    model: Model
    digest: str


def find_model(name: str, *, tracking_uri: str, champions: Path) -> Found:
    """The model of a folder with an artefact, of `NAME/VERSION` in the registry, or the champion of `NAME`.

    A registered artefact is read only if its digest is the registered one. Raises ExternalError if there is
    no such model, RegistryError and ArtefactError as the registry does.
    """
    if (Path(name) / "artefact.json").is_file():
        folder = Path(name)
        found = digest(folder)
        return Found(str(folder), load_model(folder, found), found)
    base, slash, version = name.partition("/")
    if slash and version.isdecimal() and has_store(tracking_uri):
        client = connect(tracking_uri)
        entry = registered(client, base, int(version))
        with tempfile.TemporaryDirectory() as scratch:
            return Found(name, load_model(fetch(client, entry, Path(scratch)), entry.digest), entry.digest)
    champion = None if slash else champion_named(champions, name)
    if champion is None:
        raise ExternalError(
            f"{name}: no such model. Name a champion like readmission-discharge, a registered version like "
            "readmission-discharge/2, or an artefact's folder; `wardcast models` lists the champions."
        )
    return Found(champion.model_id, load_champion(champion), champion.digest)
