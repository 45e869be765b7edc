"""Records: read a source, check what was read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardcast.commands.options import (
    AsJson,
    DataFolder,
    HtmlPage,
    output_place,
    page_place,
    print_json,
    settings_of,
    usage,
)

if TYPE_CHECKING:
    from features.quality.report import Quality


def _say_quality(quality: Quality, html: Path | None, *, as_json: bool) -> None:
    from wardcast.reports import show_quality

    if html is not None:
        from wardcast.quality_page import write_quality_page

        write_quality_page(quality, html)
    if as_json:
        print_json(quality.as_dict())
    else:
        show_quality(quality)


def ingest(
    source: Annotated[str, typer.Argument(help="name of a source, such as canonical, table or synthetic")],
    path: Annotated[Path | None, typer.Argument(help="the extract; synthetic needs none")] = None,
    out: Annotated[Path, typer.Option(help="folder of the data set")] = Path("data"),
    admissions: Annotated[int | None, typer.Option(min=1, help="synthetic: how many")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="synthetic: seed")] = None,
    dirty: Annotated[bool, typer.Option("--dirty", help="synthetic: plant faults")] = False,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="table: what the columns mean; beside the file by default"),
    ] = None,
    declaration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="keys of dataset.toml that the format does not tell")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="front_page: the year of the layout")] = None,
    more: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="another option of the source")
    ] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="table: propose a mapping file, to --mapping or the terminal")
    ] = False,
    max_quarantine_share: Annotated[float, typer.Option(min=0, max=1)] = 0.05,
    hash_ids: Annotated[
        Path | None, typer.Option(metavar="KEYFILE", help="secret key: ids become pseudonyms, linkable by it")
    ] = None,
    html: HtmlPage = None,
    as_json: AsJson = False,
) -> None:
    """Read a source into a checked data set, with quarantine and quality report."""
    from features.ingest import ingest as read
    from features.sources import stage_of
    from wardcast.console import progress_bar

    with usage():
        stage_of(source)
    if source == "synthetic" and path is not None:
        raise typer.BadParameter("synthetic reads no file; leave the path out, or name the file's source")
    if describe:
        if as_json:
            raise typer.BadParameter("--describe writes a mapping file in TOML; leave --json out")
        _propose_mapping(source, path, mapping)
        return
    given = {
        "admissions": admissions,
        "seed": seed,
        "dirty": dirty or None,
        "mapping": mapping,
        "declaration": declaration,
        "layout": layout,
    }
    named = _named_values(more or [])
    options = {name: value for name, value in given.items() if value is not None} | named
    _refuse_foreign_options(source, options, named)
    output_place(out)
    page_place(html)
    settings = settings_of()
    with progress_bar() as progress:
        quality = read(
            source,
            path,
            out,
            options=options,
            max_quarantine_share=max_quarantine_share,
            hash_ids=hash_ids,
            threads=settings.threads,
            memory_limit_mb=settings.memory_limit_mb,
            progress=progress,
        )
    _say_quality(quality, html, as_json=as_json)


def _named_values(given: list[str]) -> dict[str, str]:
    """The values of `--option NAME=VALUE`, with underscores in the names."""
    pairs = [each.partition("=") for each in given]
    wrong = [name for name, sign, _ in pairs if not sign]
    if wrong:
        raise typer.BadParameter(f"--option {wrong[0]}: write it like --option name=value")
    return {name.replace("-", "_"): value for name, _, value in pairs}


def _refuse_foreign_options(source: str, options: Iterable[str], texts: Iterable[str]) -> None:
    """Options that the source does not take, or not as the texts that `--option` gives."""
    from features.sources import SOURCES, options_of

    taken = options_of(source)
    for name in texts:
        if not taken.get(name, True):
            raise typer.BadParameter(f"--option {name}: not a text. See --help for an option of its own")
    for name in options:
        if name not in taken:
            takers = [each for each in SOURCES if name in options_of(each)]
            choice = f"it goes with {', '.join(takers)}" if takers else "no source does"
            raise typer.BadParameter(f"{source} takes no option {name}; {choice}")


def _propose_mapping(source: str, path: Path | None, mapping: Path | None) -> None:
    """Print a mapping file for an unknown file, or write it where there is none yet."""
    from features.sources.describe import describe
    from wardcast.console import progress_bar

    if source != "table" or path is None:
        raise typer.BadParameter(
            "--describe reads one file for the source table: ingest table FILE --describe"
        )
    if mapping is not None and output_place(mapping, ".toml").exists():
        raise typer.BadParameter(f"{mapping}: exists. Name another file, or remove it")
    with progress_bar() as progress:
        text = describe(path, progress=progress)
    if mapping is None:
        print(text, end="")
    else:
        mapping.write_text(text, "utf-8")
        print(f"{mapping} is written. Decide every TODO in it, then ingest the file with it.")


def check(
    data: DataFolder,
    against: Annotated[
        Path | None, typer.Option(metavar="EARLIER", help="an earlier ingest, its folder or shape.json")
    ] = None,
    html: HtmlPage = None,
    as_json: AsJson = False,
) -> None:
    """The quality report alone, with what changed; exit 1 if a row breaks a rule."""
    from features.quality.check import check as report
    from wardcast.console import progress_bar

    page_place(html)
    settings = settings_of()
    with progress_bar() as progress:
        quality = report(
            data,
            against=against,
            threads=settings.threads,
            memory_limit_mb=settings.memory_limit_mb,
            progress=progress,
        )
    _say_quality(quality, html, as_json=as_json)
    if quality.rules:
        raise typer.Exit(1)
