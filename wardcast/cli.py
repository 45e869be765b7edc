"""The command line: every command by its name, and what holds for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from wardcast import __version__
from wardcast.commands import audit, keys, store
from wardcast.commands.champions import models, promote, retire, rollback
from wardcast.commands.demo import demo
from wardcast.commands.features import dictionary, features, tables
from wardcast.commands.models import evaluate, train
from wardcast.commands.options import AsJson, print_json, settings_of
from wardcast.commands.predictions import score, serve
from wardcast.commands.records import check, ingest
from wardcast.failures import told

app = typer.Typer(
    name="wardcast",
    help="Readmission and complication risk, cost, charges and length of stay from admission records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line: exit 0 done, 1 the data or a gate said no, 2 wrong usage, 130 or 143 stopped."""
    # Whatever is written may hold patients' records: for this account alone.
    os.umask(0o077)
    # No package that a command loads may report to its makers.
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})
    with told():
        app()


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


COMMANDS: tuple[Callable[..., None], ...] = (
    demo,
    *(ingest, check),
    *(features, dictionary, tables),
    *(train, evaluate),
    *(models, promote, rollback, retire),
    *(score, serve),
)
"""In the order of `wardcast --help`: from records to predictions."""
for command in COMMANDS:
    app.command()(command)
for group in (keys.app, audit.app, store.app):
    app.add_typer(group)


@app.command(name="settings")
def show_settings(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print docs/settings.md")] = False,
) -> None:
    """What is in force, and where it came from."""
    from wardcast.console import show_table
    from wardcast.settings import origins, settings_markdown, shown_value

    if markdown:
        print(settings_markdown(), end="")
        return
    found = origins(settings_of())
    if as_json:
        print_json({name: {"value": value, "from": origin} for name, (value, origin) in found.items()})
    else:
        rows = [[name, shown_value(value), origin] for name, (value, origin) in found.items()]
        show_table("Settings", ["setting", "value", "from"], rows)
