"""Champions: which model is in force, and every change of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from wardcast.commands.options import AsJson, Work, print_json, settings_of

if TYPE_CHECKING:
    from models.champions import Champion


class Change(TypedDict):
    """What every change of a champion needs beside the model's name."""

    tracking_uri: str
    champions: Path
    changed_by: str


def models(
    history: Annotated[
        str | None, typer.Option(metavar="NAME", help="every change of this model's champion instead")
    ] = None,
    versions: Annotated[
        str | None, typer.Option(metavar="NAME", help="every registered version of this model instead")
    ] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="every rule of the gate, those that were kept too")
    ] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """What is champion, since when, on what evidence; or who changed it, when and why; or the versions."""
    from dataclasses import asdict

    from training.registry.promotion import audit, champions_table, versions_table
    from wardcast.demo import tracking_of
    from wardcast.reports import show_champions, show_history, show_versions

    settings = settings_of(work=work)
    tracking_uri = tracking_of(settings)
    if history is not None:
        changes = audit(history, tracking_uri=tracking_uri)
        if as_json:
            print_json([asdict(change) for change in changes])
        else:
            show_history(history, changes, with_evidence=evidence)
        return
    if versions is not None:
        registered = versions_table(versions, tracking_uri=tracking_uri)
        if as_json:
            print_json([asdict(row) for row in registered])
        else:
            show_versions(versions, registered, versions.rpartition("-")[0])
        return
    rows = champions_table(tracking_uri=tracking_uri, champions=settings.champions)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        show_champions(rows, with_evidence=evidence)


def _say_champion(champion: Champion, *, as_json: bool) -> None:
    from wardcast.reports import moment

    if as_json:
        print_json(
            {
                "name": champion.name,
                "version": champion.version,
                "digest": champion.digest,
                "promoted_at": champion.promoted_at,
            }
        )
    else:
        print(f"{champion.model_id} is champion since {moment(champion.promoted_at)}.")


def _changing(work: Path | None) -> Change:
    """Where a change of champion is recorded and takes effect, and by whom: the work folder is theirs."""
    from wardcast.demo import taken_over, tracking_of
    from wardcast.pipeline import account

    settings = settings_of(work=work)
    tracking_uri = tracking_of(settings)
    taken_over(settings.work)
    return {"tracking_uri": tracking_uri, "champions": settings.champions, "changed_by": account()}


def promote(
    name: Annotated[str, typer.Argument(help="model, such as readmission-discharge")],
    version: Annotated[int, typer.Argument(help="registered version")],
    override: Annotated[str | None, typer.Option(help="reason to promote against the gate")] = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Make a registered version champion, with an audit record."""
    from training.registry.promotion import promote as put_in_force

    champion = put_in_force(
        name,
        version,
        **_changing(work),
        override=override,
    )
    _say_champion(champion, as_json=as_json)


def rollback(
    name: Annotated[str, typer.Argument(help="model, such as readmission-discharge")],
    reason: Annotated[str, typer.Option(help="why")] = "",
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Put the former champion back, with an audit record."""
    from training.registry.promotion import rollback as put_back

    champion = put_back(
        name,
        **_changing(work),
        reason=reason,
    )
    _say_champion(champion, as_json=as_json)


def retire(
    name: Annotated[str, typer.Argument(help="model, such as readmission-discharge")],
    reason: Annotated[str, typer.Option(help="why")] = "",
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Take a champion out of service, without another in its place, with an audit record."""
    from training.registry.promotion import retire as take_out
    from wardcast.reports import moment

    change = take_out(
        name,
        **_changing(work),
        reason=reason,
    )
    if as_json:
        print_json({"name": name, "version": change.version, "retired_at": change.changed_at})
    else:
        since = moment(change.changed_at)
        print(f"{name}/{change.version} is out of service since {since}. None is in its place.")
