"""The store: what is kept of predictions, and for how long."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from wardcast.commands.access import store_of
from wardcast.commands.options import AsJson, Work, print_json, settings_of

app = typer.Typer(
    name="store", help="Stored predictions: kept as long as they are needed.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keeps the name of a group that has one command alone."""


@app.command()
def prune(
    older_than: Annotated[
        int,
        typer.Option(min=1, max=36_500, metavar="DAYS", help="what was scored earlier is removed"),
    ],
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Remove old predictions, and feedback on cards, for good."""
    from serving.store.feedback import FeedbackStore
    from serving.store.predictions import PredictionStore

    engine = store_of(settings_of(work=work))
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=older_than)
    n_predictions = PredictionStore(engine).prune(before)
    n_feedback = FeedbackStore(engine).prune(before)
    engine.dispose()
    since = before.isoformat(timespec="seconds")
    if as_json:
        print_json({"before": since, "predictions": n_predictions, "feedback": n_feedback})
    else:
        print(
            f"Removed {n_predictions} predictions and {n_feedback} entries of feedback from before {since}."
        )
