"""Predictions: score a data set, serve over HTTP."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardcast.commands.access import store_of
from wardcast.commands.options import AsJson, DataFolder, Work, output_place, print_json, settings_of, usage

if TYPE_CHECKING:
    from features.dataset import DataSet
    from features.progress import Progress
    from serving.champions.loaded import ChampionSet
    from serving.nightly.score import Keep
    from serving.nightly.storing import Kept
    from wardcast.settings import Settings


def score(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="file to write: .parquet or .csv")],
    since: Annotated[
        dt.datetime | None, typer.Option(help="only prediction times from then on (local time)")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="keep the highest K of each target")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run")] = False,
    store: Annotated[
        bool, typer.Option("--store", help="keep them for the worklist and for whoever asks by the stay")
    ] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Score the admissions of a data set with the champions, with reasons."""
    from dataclasses import asdict

    from features.dataset import open_dataset
    from serving.champions.loaded import load_champions
    from serving.nightly.score import check_out
    from serving.nightly.score import score as score_all
    from wardcast.console import progress_bar, say
    from wardcast.reports import show_scored

    with usage():
        check_out(out)
    output_place(out)
    settings = settings_of(work=work)
    dataset = open_dataset(data)
    champions, own = load_champions(settings.champions), settings.features()
    kept: list[Kept] = []
    with progress_bar() as progress, ExitStack() as ending:
        keep = _keep(settings, dataset, champions, progress, ending, kept) if store else None
        scored = score_all(
            dataset,
            champions,
            out,
            since=since,
            top=top,
            settings=own,
            resume=resume,
            keep=keep,
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "file": str(scored.path),
                "admissions": scored.n_admissions,
                "scored": scored.n_scored,
                "rows": scored.n_rows,
                "counts": [asdict(count) for count in scored.counts],
                "resumed": scored.resumed,
                "models": list(scored.models),
                "lacking": {model: list(tables) for model, tables in scored.lacking.items()},
                "run_id": scored.run_id,
                "stored": asdict(kept[0]) if kept else None,
            }
        )
    else:
        show_scored(scored, dataset.declaration, since=since, resume=resume)
        for each in kept:
            say(
                f"Stored: {each.n_new:,} new predictions; {each.n_unchanged:,} left out, which say what was "
                "stored before."
            )


def _keep(
    settings: Settings,
    dataset: DataSet,
    champions: ChampionSet,
    progress: Progress,
    ending: ExitStack,
    kept: list[Kept],
) -> Keep:
    """Put what was scored into the store, which is opened now and closed when the command ends.

    How many predictions that were is added to `kept`.
    """
    from serving.nightly.storing import store_scored
    from serving.store.predictions import PredictionStore

    engine = store_of(settings)
    ending.callback(engine.dispose)
    own = settings.features()
    return lambda parts: kept.append(
        store_scored(parts, PredictionStore(engine), dataset, champions, own, progress=progress)
    )


def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="port to listen on")] = None,
    insecure_demo: Annotated[
        bool, typer.Option("--insecure-demo", help="ask nobody who they are: for made-up patients alone")
    ] = False,
    work: Work = None,
) -> None:
    """Serve predictions over HTTP from the champions of the work folder, to whom has a key or a token."""
    from serving.server import serve as serve_until_interrupted
    from serving.settings import ServingSettings

    settings = settings_of(host=host, port=port, work=work)
    serving = ServingSettings(
        settings.champions,
        folder=settings.work,
        database=settings.database_address,
        history=settings.history,
        cds_hooks=settings.cds_hooks,
        hospital=settings.hospital,
        access=settings.access,
        insecure_demo=insecure_demo,
        features=settings.features(),
    )
    serve_until_interrupted(serving, host=settings.host, port=settings.port, log_level=settings.log_level)
