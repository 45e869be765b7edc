"""Options that several commands take, and how they are read."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from features.points import Point
    from wardcast.settings import Settings

DataFolder = Annotated[Path, typer.Argument(metavar="DIR", help="a data set that `wardcast ingest` wrote")]
Work = Annotated[Path | None, typer.Option(help="work folder: models, tracking, champions")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
HtmlPage = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="the report as a page of its own, with plots")
]
ActedOnFrom = Annotated[
    dt.datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"], metavar="DATE", help="labels since then were changed by acting on models"
    ),
]
PointName = Annotated[str, typer.Option("--point", help="preadmission, admission or discharge")]


def settings_of(**options: object) -> Settings:
    """The settings in force; what the command line names goes before file and environment."""
    from wardcast.settings import load_settings

    return load_settings(**options)


@contextmanager
def usage() -> Iterator[None]:
    """What is refused within is an argument that could never work: exit 2."""
    from features.errors import UserError

    try:
        yield
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def day_of(time: dt.datetime | None) -> dt.date | None:
    """The day of a date that was named, if one was."""
    return None if time is None else time.date()


def point_of(name: str) -> Point:
    """The prediction point of that name; Typer's error if there is none."""
    from features.points import Point

    try:
        return Point(name)
    except ValueError:
        raise typer.BadParameter(f"{name} is none of {', '.join(Point)}") from None


def output_place(out: Path, *suffixes: str) -> Path:
    """A file or folder that can be made there; Typer's error if it is mistyped."""
    if suffixes and out.suffix not in suffixes:
        raise typer.BadParameter(f"{out.name}: name a file that ends in {' or '.join(suffixes)}")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"{out.parent}: no such folder. Make it, or name another")
    return out


def print_json(document: object) -> None:
    """Print a result for programs."""
    print(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False))


def page_place(html: Path | None) -> None:
    """Refuse a page that could not be written there, before any work is done."""
    if html is not None:
        output_place(html, ".html")
