"""The resources of an extract, one at a time: NDJSON by line, bundles by entry, packed with gzip or not.

No file needs memory of its size: one line or one entry of a bundle is held at a time, and none may be
larger than `RESOURCE_BYTES`.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, cast

import ijson  # type: ignore[import-untyped]
from ijson.common import IncompleteJSONError, JSONError  # type: ignore[import-untyped]

from features.tables import TableError

Resource = dict[str, Any]

RESOURCE_BYTES = 64 * 2**20
"""The largest resource that is read: larger ones hold attachments, which no table has a place for."""
_PEEK_BYTES = 2**20
_CHUNK_BYTES = 2**16
_LINES = (".ndjson", ".jsonl")
SUFFIXES = (*_LINES, ".json")
_TYPE_NAME = re.compile(r"([A-Z][A-Za-z]+)([._-]?\d{1,6})*$")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Found:
    """One resource, where it stands, and the address that its bundle gives it."""

    resource: Resource
    place: str
    address: str | None = None


@dataclass
class Tally:
    """What the files hold beside resources, and how far the one at hand is read."""

    n_foreign_files: int = 0
    n_entries_without_resource: int = 0
    n_further_pages: int = 0
    n_bytes_of_file: int = 0
    named_types: set[str] = field(default_factory=set)


def files_of(path: Path | None) -> list[Path]:
    """The files of an extract in the order of their names: `path` itself, or all in its folder.

    Raises TableError where there is none.
    """
    if path is None or not path.exists():
        raise TableError("The source fhir reads a bundle, an NDJSON file or a folder of them. Name one.")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    found = [file for file in files if _bare(file).endswith(SUFFIXES)]
    if not found:
        known = ", ".join((*SUFFIXES, *(f"{suffix}.gz" for suffix in SUFFIXES)))
        raise TableError(f"{path}: no file that ends in {known}. Name the folder of the export.")
    return found


def name_of(file: Path, number: int, n_files: int) -> str:
    """How messages name a file; one that may be named after a patient goes by its number."""
    stem = file.name.split(".", 1)[0]
    is_plain = n_files == 1 or _TYPE_NAME.fullmatch(stem) or stem.rstrip("0123456789_-") == "bundle"
    return file.name if is_plain else f"file {number} of {n_files} (by name)"


def resources_of(file: Path, name: str, tally: Tally) -> Iterator[Found]:
    """Every resource of a file, in order. Raises TableError, naming the place, where it is damaged."""
    n_resources, first_foreign = 0, ""
    try:
        with _opened(file) as (stream, _):
            is_lines = _bare(file).endswith(_LINES) or _first_line_is_whole(stream)
        with _opened(file) as (stream, packed):
            for found in _by_line(stream, name, tally) if is_lines else _by_entry(stream, name, tally):
                tally.n_bytes_of_file = packed.tell()
                if isinstance(found.resource.get("resourceType"), str):
                    n_resources += 1
                    yield found
                else:
                    first_foreign = first_foreign or found.place
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise TableError(f"{name}: damaged: it cannot be unpacked to its end. Export it again.") from None
    if first_foreign and n_resources:
        raise TableError(f"{first_foreign}: an object without resourceType among resources. Export it again.")
    if first_foreign:
        tally.n_foreign_files += 1
    elif not n_resources and (kind := _TYPE_NAME.fullmatch(file.name.split(".", 1)[0])):
        tally.named_types.add(kind.group(1))


def _bare(file: Path) -> str:
    return file.name.lower().removesuffix(".gz")


@contextmanager
def _opened(file: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The content of a file, unpacked and without a byte order mark, and the file as it is."""
    with file.open("rb") as packed:
        is_packed = file.name.lower().endswith(".gz")
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=packed)) if is_packed else packed
        if stream.read(3) != _BOM:
            stream.seek(0)
        yield stream, packed


def _first_line_is_whole(stream: IO[bytes]) -> bool:
    """Whether the first line is a resource by itself: lines of resources, whatever the file's name."""
    line = b""
    while not line.strip():
        line = stream.readline(_PEEK_BYTES)
        if not line:
            return False
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return False
    is_bundle = isinstance(first, dict) and first.get("resourceType") == "Bundle"
    return isinstance(first, dict) and (not is_bundle or bool(stream.read(_CHUNK_BYTES).strip()))


def _by_line(stream: IO[bytes], name: str, tally: Tally) -> Iterator[Found]:
    number = 0
    while line := stream.readline(RESOURCE_BYTES + 1):
        number += 1
        place = f"{name}, line {number}"
        if len(line) > RESOURCE_BYTES:
            raise _too_large(place)
        if line.strip():
            yield from unbundled(_parsed(line, place), place, tally)


def _parsed(content: bytes, place: str) -> Resource:
    """The object that the text holds. The parser's own message may quote it."""
    try:
        value = json.loads(content.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, ArithmeticError):
        raise TableError(f"{place}: not JSON in UTF-8, or cut short. Export the file again.") from None
    if not isinstance(value, dict):
        raise TableError(f"{place}: not a JSON object, so no resource. Export the file again.")
    return value


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def unbundled(resource: Resource, place: str, tally: Tally) -> Iterator[Found]:
    """The resource, or those of its entries where it is a bundle."""
    if resource.get("resourceType") != "Bundle":
        yield Found(resource, place)
        return
    links = resource.get("link")
    for link in links if isinstance(links, list) else []:
        tally.n_further_pages += isinstance(link, dict) and link.get("relation") == "next"
    entries = resource.get("entry")
    for number, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
        yield from _of_entry(entry, f"{place}, entry {number}", tally)


def _of_entry(entry: object, place: str, tally: Tally) -> Iterator[Found]:
    if not isinstance(entry, dict):
        raise TableError(f"{place}: an entry that is no JSON object. Export the bundle again.")
    resource, address = entry.get("resource"), entry.get("fullUrl")
    if not isinstance(resource, dict):
        tally.n_entries_without_resource += 1
    elif resource.get("resourceType") == "Bundle":
        raise TableError(f"{place}: a bundle within a bundle. Export the bundles by themselves.")
    else:
        yield Found(resource, place, address if isinstance(address, str) else None)


def _by_entry(stream: IO[bytes], name: str, tally: Tally) -> Iterator[Found]:
    """The entries of one bundle of any size, or the one resource that the file is."""
    kinds, relations, entries = ijson.sendable_list(), ijson.sendable_list(), ijson.sendable_list()
    parsers = [
        ijson.items_coro(entries, "entry.item"),  # first: what is whole counts before damage is met
        ijson.items_coro(kinds, "resourceType"),
        ijson.items_coro(relations, "link.item.relation"),
    ]
    n_entries, n_bytes, is_bundle = 0, 0, False
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            for parser in parsers:
                parser.send(chunk)
            is_bundle = is_bundle or kinds[:1] == ["Bundle"]
            n_bytes = 0 if entries else n_bytes + len(chunk)
            if n_bytes > RESOURCE_BYTES:
                raise _too_large(f"{name}, entry {n_entries + 1}")
            for entry in entries:
                n_entries += 1
                yield from _of_entry(entry, f"{name}, entry {n_entries}", tally)
            del entries[:]
        for parser in parsers:
            parser.close()
    except (JSONError, IncompleteJSONError, ValueError, RecursionError, ArithmeticError) as error:
        if isinstance(error, TableError):
            raise
        n_whole = n_entries + len(entries)
        where = f"{name}, after entry {n_whole}" if n_whole else name
        raise TableError(
            f"{where}: not one JSON document in UTF-8, or cut short. Export it again; resources by line "
            "belong in a file that ends in .ndjson."
        ) from None
    tally.n_further_pages += relations.count("next")
    if not is_bundle:
        if n_entries:
            raise TableError(f"{name}: entries without resourceType Bundle around them. Export it again.")
        stream.seek(0)
        yield Found(_parsed(stream.read(RESOURCE_BYTES).removeprefix(_BOM), name), name)


def _too_large(place: str) -> TableError:
    return TableError(f"{place}: larger than {RESOURCE_BYTES // 2**20} MB. Export it without attachments.")
