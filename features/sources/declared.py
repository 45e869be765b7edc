"""What an extract's format says of itself, and what its owner must say: together its declaration."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from features.dataset import Declaration, parse_declaration
from features.tables import TableError

FILE = "dataset.toml"


def declared(extract: Path, file: Path | None, format_says: Mapping[str, object]) -> Declaration:
    """The declaration of an extract: `format_says`, over which the settings of the owner's file stand.

    The file is `file`, or `dataset.toml` in the extract's folder (beside it, where it is a file). It holds
    the keys of a data set's `dataset.toml`; those that the format fixes may be left out. When
    the extract is complete is never guessed: without observed_from and observed_until this raises.

    Raises TableError with every setting that is missing or wrong.
    """
    beside = (extract if extract.is_dir() else extract.parent) / FILE
    place = file or beside
    if file is not None and not file.is_file():
        raise TableError(f"{file}: no such file. Name the file that declares the extract.")
    if place.is_file():
        return parse_declaration({**format_says, **_read(place)}, place)
    try:
        return parse_declaration(format_says, place)
    except TableError as error:
        raise TableError(
            f"No {FILE} declares this extract. Write one there, or name it with --declaration.\n{error}"
        ) from None


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TableError(f"{file}: not readable as TOML ({error}). Correct the file.") from error
