"""The whole way at once: demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardcast.commands.options import AsJson, Work, print_json, settings_of, usage


def demo(
    source: Annotated[str, typer.Option(help="synthetic, or the source of a real file")] = "synthetic",
    path: Annotated[Path | None, typer.Option(help="the real file")] = None,
    admissions: Annotated[int, typer.Option(min=5_000, help="size of the made-up hospital")] = 20_000,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """The whole way on a made-up hospital, or on a real file; below the work folder, in demo/."""
    from features.sources import stage_of
    from wardcast.console import progress_bar
    from wardcast.demo import demo_settings, run_demo, show_demo

    with usage():
        stage_of(source)
    if source == "synthetic" and path is not None:
        raise typer.BadParameter("--path goes with --source: name the source that the file comes from")
    if source != "synthetic" and path is None:
        raise typer.BadParameter(f"--source {source} needs --path: name the file")
    settings = settings_of(work=work) if work else demo_settings(settings_of())
    with progress_bar() as progress:
        result = run_demo(source, path, admissions, settings, progress=progress)
    if as_json:
        print_json(result.document)
    else:
        show_demo(result, settings)
