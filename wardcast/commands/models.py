"""Models: train, evaluate."""

from __future__ import annotations

from typing import Annotated

import typer

from wardcast.commands.options import (
    ActedOnFrom,
    AsJson,
    DataFolder,
    HtmlPage,
    PointName,
    Work,
    day_of,
    page_place,
    point_of,
    print_json,
    settings_of,
    usage,
)


def train(
    data: DataFolder,
    target: Annotated[str, typer.Option(help="readmission, complication, cost, charges or stay_days")],
    point: PointName = "discharge",
    tune: Annotated[int, typer.Option(min=0, metavar="N", help="search hyperparameters by N trials")] = 0,
    tune_minutes: Annotated[
        float,
        typer.Option(
            min=0.1, help="end the search then, if not before; without a calendar six searches share it"
        ),
    ] = 10,
    validate: Annotated[
        bool, typer.Option("--validate", help="judge later periods, hospitals left out, learning curve too")
    ] = False,
    acted_on_from: ActedOnFrom = None,
    promote: Annotated[bool, typer.Option("--promote", help="make it champion if the gate passes")] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Train, calibrate, evaluate, log and register a model; exit 1 if --promote and the gate says no."""
    from training.targets import target_at
    from training.train import Effort
    from wardcast.console import progress_bar
    from wardcast.demo import taken_over
    from wardcast.pipeline import built, built_earlier
    from wardcast.pipeline import train as train_one
    from wardcast.reports import say_outcome, show_training

    at, settings = point_of(point), settings_of(work=work, acted_on_from=day_of(acted_on_from))
    with usage():
        target_at(target, at)
    taken_over(settings.work)
    effort = Effort(n_trials=tune, tuning_seconds=60 * tune_minutes, validates=validate)
    with progress_bar() as progress:
        made = built(data, at, settings, progress)
        earlier = built_earlier(data, at, settings, progress)
        outcome = train_one(
            made, target, settings, promote=promote, effort=effort, earlier=earlier, progress=progress
        )
    if as_json:
        print_json(outcome.results)
    else:
        show_training([outcome.results])
        say_outcome(outcome, settings, promote=promote)
    if promote and not outcome.is_champion:
        raise typer.Exit(1)


def evaluate(
    model: Annotated[str, typer.Argument(help="NAME of a champion, NAME/VERSION, or an artefact's folder")],
    data: DataFolder,
    html: HtmlPage = None,
    acted_on_from: ActedOnFrom = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """External validation of a model on another data set, with the recalibration that it would take."""
    from features.dataset import open_dataset
    from training.external.evaluate import evaluate_elsewhere
    from training.external.model import find_model
    from training.registry.changes import acted_on_since
    from training.registry.promotion import history_of_all
    from wardcast.console import progress_bar
    from wardcast.demo import tracking_of
    from wardcast.evaluation_page import show_evaluation, write_evaluation_page

    page_place(html)
    settings = settings_of(work=work, acted_on_from=day_of(acted_on_from))
    dataset, tracking_uri = open_dataset(data), tracking_of(settings)
    found = find_model(model, tracking_uri=tracking_uri, champions=settings.champions)
    history = history_of_all(tracking_uri=tracking_uri)
    with progress_bar() as progress:
        external = evaluate_elsewhere(
            found,
            dataset,
            settings=settings.features(),
            scratch=settings.work,
            with_figures=html is not None,
            acted_on_from=acted_on_since(settings.acted_on_from, history, dataset.declaration),
            progress=progress,
        )
    if html is not None:
        write_evaluation_page(external, html)
    if as_json:
        print_json(external.document)
    else:
        show_evaluation(external.document)
