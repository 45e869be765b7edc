"""The store: what is kept of predictions and cards, for how long, and what became of the cards."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from wardcast.commands.access import store_of
from wardcast.commands.options import AsJson, Work, print_json, settings_of

if TYPE_CHECKING:
    from serving.store.outcomes import Outcomes

app = typer.Typer(
    name="store",
    help="Predictions and cards: kept as long as they are needed; what became of cards.",
    no_args_is_help=True,
)


@app.command()
def prune(
    older_than: Annotated[
        int,
        typer.Option(min=1, max=36_500, metavar="DAYS", help="what was scored earlier is removed"),
    ],
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Remove old predictions, cards and feedback on cards, for good."""
    from serving.store.cards import CardStore
    from serving.store.feedback import FeedbackStore
    from serving.store.predictions import PredictionStore

    engine = store_of(settings_of(work=work))
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=older_than)
    n_predictions = PredictionStore(engine).prune(before)
    n_cards = CardStore(engine).prune(before)
    n_feedback = FeedbackStore(engine).prune(before)
    engine.dispose()
    since = before.isoformat(timespec="seconds")
    if as_json:
        counts = {"predictions": n_predictions, "cards": n_cards, "feedback": n_feedback}
        print_json({"before": since, **counts})
    else:
        print(
            f"Removed {n_predictions} predictions, {n_cards} cards and {n_feedback} entries of feedback from "
            f"before {since}."
        )


@app.command()
def feedback(work: Work = None, as_json: AsJson = False) -> None:
    """Count what became of the cards of CDS Hooks, by service and model; nobody is named."""
    from serving.cds_hooks.settings import read_settings
    from serving.store.outcomes import outcomes

    settings = settings_of(work=work)
    overrides = read_settings(settings.cds_hooks).overrides
    offered = [] if overrides is None else [(one.system, one.code) for one in overrides.codings()]
    engine = store_of(settings)
    found = outcomes(engine, offered)
    engine.dispose()
    if as_json:
        print_json({"outcomes": [one.document() for one in found]})
        return
    print("\n".join(map(_line, found)) or "No card was shown, and no feedback came.")


def _line(found: Outcomes) -> str:
    models = "not known" if found.models is None else ", ".join(found.models) or "no model"
    shown = "" if found.shown is None else f"{found.shown} shown ({found.indicator}), "
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(found.reasons.items()))
    told = f"{found.service}, {models}: {shown}{found.accepted} accepted, {found.overridden} overridden"
    return f"{told} ({reasons})" if reasons else told
