"""A model as a folder of plain text, written whole or not at all, and read only if it is the same.

`model.txt` is the booster that is explained; a model of amounts adds `spread.txt`, the booster of how far
they scatter. `artefact.json` says how their output becomes a prediction, `card.md` and
`card.html` what it may be used for. Nothing in it is executed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from features.atomic import written_aside
from models.artefact import Artefact, ArtefactError
from models.card import card
from models.card_page import card_page

LARGEST_FILE_BYTES = 512 * 1024 * 1024
_EVERY_MODELS_FILES = ("artefact.json", "card.md", "card.html", "model.txt")
ALL_FILES = (*_EVERY_MODELS_FILES, "spread.txt")


def write_artefact(folder: Path, artefact: Artefact, boosters: dict[str, str]) -> str:
    """Write the artefact as `folder`, whole or not at all, and return its digest.

    `boosters` maps model (and spread for an amount) to LightGBM's text. Raises ArtefactError if a
    booster is missing or a number is not finite.
    """
    if set(boosters) != set(artefact.booster_files):
        raise ArtefactError(
            f"{artefact.name}: boosters {sorted(boosters)} given, {sorted(artefact.booster_files)} needed."
        )
    try:
        text = json.dumps(asdict(artefact), allow_nan=False, indent=1, ensure_ascii=False, default=_iso)
    except ValueError as error:
        raise ArtefactError(
            f"{artefact.name}: a number in the artefact is not finite. Write an undefined metric as null."
        ) from error
    with written_aside(folder, folder=True) as fresh:
        fresh.mkdir()
        (fresh / "artefact.json").write_text(text + "\n", "utf-8")
        (fresh / "card.md").write_text(card(artefact), "utf-8")
        (fresh / "card.html").write_text(card_page(artefact), "utf-8")
        for name, booster in boosters.items():
            (fresh / f"{name}.txt").write_text(booster, "utf-8")
    return digest(folder)


def digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of the artefact's files, in a fixed order."""
    return _digest(_read_bytes(folder))


def read_artefact(folder: Path, expected_digest: str | None) -> tuple[Artefact, dict[str, str]]:
    """Read an artefact and its boosters' text, after its digest was compared and before it is used.

    The digest is that of the very bytes that are then parsed. Raises ArtefactError if it differs, or a file
    of a promoted model is gone, or if the artefact is incomplete, not finite or contradicts itself.
    """
    if expected_digest is not None and not (folder / "artefact.json").is_file():
        raise _missing(folder, ["artefact.json"])
    files = _read_bytes(folder)
    if expected_digest is not None and _digest(files) != expected_digest:
        if lacking := [name for name in _EVERY_MODELS_FILES if name not in files]:
            raise _missing(folder, lacking)
        raise ArtefactError(
            f"{folder}: the files are not those that were promoted (SHA-256 differs). "
            "Do not use them; promote the model again from the registry."
        )
    artefact = _parse(folder, files["artefact.json"])
    missing = [name for name in artefact.booster_files if f"{name}.txt" not in files]
    if missing:
        raise ArtefactError(f"{folder}: {', '.join(missing)}.txt missing. Train or promote the model again.")
    try:
        boosters = {name: files[f"{name}.txt"].decode("utf-8") for name in artefact.booster_files}
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{folder}: a booster is not text. Train or promote it again.") from error
    return artefact, boosters


def _missing(folder: Path, names: Sequence[str]) -> ArtefactError:
    verb = "is" if len(names) == 1 else "are"
    return ArtefactError(
        f"{folder}: {', '.join(names)} {verb} missing. Put back what was promoted, or promote the model "
        "again from the registry."
    )


def _read_bytes(folder: Path) -> dict[str, bytes]:
    if not (folder / "artefact.json").is_file():
        raise ArtefactError(f"{folder}: no model artefact there (no artefact.json). Name the model's folder.")
    strange = sorted(entry.name for entry in folder.iterdir() if entry.name not in ALL_FILES)
    if strange:
        raise ArtefactError(f"{folder}: {len(strange)} files do not belong to a model artefact. Remove them.")
    files: dict[str, bytes] = {}
    for name in ALL_FILES:
        file = folder / name
        if not file.is_file():
            continue
        if file.stat().st_size > LARGEST_FILE_BYTES:
            raise ArtefactError(f"{folder}: {name} is larger than any model. Promote the model again.")
        files[name] = file.read_bytes()
    return files


def _digest(files: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name in ALL_FILES:
        if name in files:
            total.update(f"{name}\n{len(files[name])}\n".encode())
            total.update(files[name])
    return total.hexdigest()


def _parse(folder: Path, content: bytes) -> Artefact:
    try:
        # Free-form parts are finite too: the types below cannot see into them.
        json.loads(content, parse_constant=_finite, parse_float=_finite)
        return _ADAPTER.validate_json(content, strict=True)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'artefact'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)[:5]
        )
        raise ArtefactError(f"{folder}/artefact.json: {problems}. Train or promote it again.") from error
    except ValueError as error:
        raise ArtefactError(
            f"{folder}/artefact.json: not finite, readable JSON. Train or promote it again."
        ) from error


def _iso(day: object) -> str:
    assert isinstance(day, dt.date), f"{type(day).__name__} in an artefact"
    return day.isoformat()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


_ADAPTER = TypeAdapter(Artefact)
