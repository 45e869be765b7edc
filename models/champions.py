"""The local champions folder: what is served. The only place where training and serving meet.

`<name>/champion.json` names the version in force, a folder beside it holds its artefact. A promotion
writes the artefact first and then replaces `champion.json` in one step, so that a reader finds the old
champion or the new one, whole. `card.html` beside it is the card to print, with version and day, which the
card within the artefact cannot know.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.atomic import written_aside
from models.artefact import ArtefactError
from models.card_page import Release, card_page
from models.model import Model, load_model
from models.storage import read_artefact


@dataclass(frozen=True)
class Champion:
    """A model in force: `digest` is its artefact's SHA-256, `promoted_at` UTC, `folder` its artefact."""

    name: str
    version: int
    digest: str
    promoted_at: str
    folder: Path

    @property
    def model_id(self) -> str:
        """The string that names this model everywhere."""
        return f"{self.name}/{self.version}"


class _Pointer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: str
    version: int = Field(ge=1)
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    promoted_at: str


def install_champion(
    champions: Path,
    artefact_folder: Path,
    *,
    name: str,
    version: int,
    digest: str,
    promoted_at: str | None = None,
) -> Champion:
    """Copy a checked artefact into the champions folder and put it in force.

    `promoted_at` is the instant of its promotion as recorded, ISO 8601 in UTC; by default now.

    Raises ArtefactError, and changes nothing, if the artefact's digest is not `digest` or its name is
    not `name`.
    """
    artefact, _ = read_artefact(artefact_folder, digest)
    if artefact.name != name:
        raise ArtefactError(f"{artefact_folder}: holds {artefact.name}, not {name}. Name the right model.")
    folder = _folder(champions / name, version, digest)
    with written_aside(folder, folder=True) as fresh:
        shutil.copytree(artefact_folder, fresh)
        read_artefact(fresh, digest)
    promoted_at = promoted_at or dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    pointer = _Pointer(name=name, version=version, digest=digest, promoted_at=promoted_at)
    with written_aside(champions / name / "card.html") as fresh:
        fresh.write_text(card_page(artefact, release=Release(version, digest, promoted_at)), "utf-8")
    with written_aside(champions / name / "champion.json") as fresh:
        fresh.write_text(json.dumps(pointer.model_dump(), indent=1) + "\n", "utf-8")
    return Champion(name, version, digest, promoted_at, folder)


def is_installed(champions: Path, name: str) -> bool:
    """Whether a model of this name is in force here, whatever state it is in."""
    return (champions / name / "champion.json").is_file()


def remove_champion(champions: Path, name: str) -> None:
    """Take the model of this name out of force, if there is one.

    Its record goes in one step, so that a reader finds the whole champion or none; then its files.
    """
    (champions / name / "champion.json").unlink(missing_ok=True)
    shutil.rmtree(champions / name, ignore_errors=True)


def champion_named(champions: Path, name: str) -> Champion | None:
    """The model of this name in force, whatever state the others are in. Raises ArtefactError or OSError."""
    record = champions / name / "champion.json"
    return read_champion(record) if record.is_file() else None


def champion_records(champions: Path) -> list[Path]:
    """The files that name the models in force, by name; none if the folder does not exist.

    The folder of such a file has the name of the model. One that nobody may look into is named too: whoever
    reads it is told. Raises OSError if the champions folder itself cannot be read.
    """
    try:
        names = sorted(entry.name for entry in champions.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    records = (champions / name / "champion.json" for name in names)
    return [record for record in records if _may_be_there(record)]


def read_champion(record: Path) -> Champion:
    """The model in force that one of `champion_records` names. Raises ArtefactError or OSError."""
    try:
        pointer = _Pointer.model_validate_json(record.read_bytes())
    except ValidationError as error:
        raise ArtefactError(f"{record}: not a champion's record. Promote the model again.") from error
    if pointer.name != record.parent.name:
        raise ArtefactError(f"{record}: names {pointer.name}. Promote the model again.")
    folder = _folder(record.parent, pointer.version, pointer.digest)
    return Champion(pointer.name, pointer.version, pointer.digest, pointer.promoted_at, folder)


def load_champion(champion: Champion) -> Model:
    """Load a champion; its digest is checked before a byte of it is parsed. Raises ArtefactError."""
    model = load_model(champion.folder, champion.digest)
    if model.artefact.name != champion.name:
        raise ArtefactError(f"{champion.folder}: holds {model.artefact.name}, not {champion.name}.")
    return model


def _may_be_there(record: Path) -> bool:
    try:
        record.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _folder(champion: Path, version: int, digest: str) -> Path:
    # The digest in the name: a folder that is in force is only ever replaced by its own content.
    return champion / f"{version}-{digest[:12]}"
