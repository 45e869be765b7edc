"""What a person at the terminal sees: progress and tables."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from features.progress import Progress as Report


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A progress bar on a terminal, plain lines elsewhere; both on standard error."""
    if not sys.stderr.isatty():
        # Asked of the stream itself: where colours are wished for, as in a notebook, a bar still cannot move.
        yield _plain_lines()
        return
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield report


def _plain_lines() -> Report:
    started: dict[str, float] = {}

    def report(step: str, done: int, total: int) -> None:
        begun = started.setdefault(step, time.monotonic())
        if done >= total:
            print(f"{step}: done in {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)

    return report


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to standard output; numbers are set to the right."""
    # Texts, not markup: what stands in brackets in a department's name is part of the name.
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    for place, name in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[place]) for row in rows)
        # The first column names the row: it is never broken.
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    _console().print(table)


def say(text: str) -> None:
    """Print a line to standard output, as it is."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    # A pipe has no width of its own; 140 columns keep the reasons readable.
    return Console(width=None if sys.stdout.isatty() else 140)


def _is_number(cell: object) -> bool:
    return cell is None or str(cell).replace(",", "").lstrip("-").replace(".", "", 1).isdigit()


def program(name: str) -> str:
    """How a shell runs a program of this installation from the current folder, active or not."""
    python = Path(sys.executable)
    script = python.with_name(name)
    words = [_short(script)] if script.is_file() else [_short(python), "-m", name]
    return shlex.join(words)


def _short(file: Path) -> str:
    """The path from the current folder where that leads down, so that a line fits the screen."""
    relative = os.path.relpath(file)
    if relative.startswith(os.pardir):
        return str(file)
    return relative if os.sep in relative else f"{os.curdir}{os.sep}{relative}"
