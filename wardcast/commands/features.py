"""Patient-level data sets, and what features and tables mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardcast.commands.options import (
    AsJson,
    DataFolder,
    PointName,
    output_place,
    point_of,
    print_json,
    settings_of,
)


def features(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="Parquet file of the data set")],
    point: PointName = "admission",
    as_json: AsJson = False,
) -> None:
    """Build the patient-level data set of a prediction point, with labels."""
    from features.build import build
    from features.dataset import open_dataset
    from wardcast.console import progress_bar
    from wardcast.reports import flow_document, show_flow

    at, settings = point_of(point), settings_of()
    output_place(out, ".parquet")
    with progress_bar() as progress:
        made = build(open_dataset(data), at, out, settings=settings.features(), progress=progress)
    if as_json:
        print_json({"file": str(made.path), "flow": flow_document(made.flow), "data_hash": made.data_hash})
    else:
        show_flow(made.flow, point)


def dictionary(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print docs/dictionary.md")] = False,
) -> None:
    """Every feature: name, type, unit, range, when it is known, meaning."""
    from wardcast.dictionary import dictionary_document, dictionary_markdown, show_dictionary

    if as_json:
        print_json(dictionary_document())
    elif markdown:
        print(dictionary_markdown(), end="")
    else:
        show_dictionary()


def tables(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print docs/tables.md")] = False,
) -> None:
    """Every canonical table: columns, types, what is required, allowed values, meaning."""
    from wardcast.dictionary import show_tables, tables_document, tables_markdown

    if as_json:
        print_json(tables_document())
    elif markdown:
        print(tables_markdown(), end="")
    else:
        show_tables()
