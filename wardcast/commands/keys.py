"""API keys: made, listed, revoked."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardcast.commands.access import store_of
from wardcast.commands.options import AsJson, Work, print_json, settings_of, usage

if TYPE_CHECKING:
    from serving.access.keys import ApiKey
    from serving.access.roles import Role

DEFAULT_DAYS = 90
SOON_DAYS = 14


def _role(name: str) -> Role:
    """The role of that name; Typer's error with those that there are if there is none."""
    from serving.access.roles import Role

    try:
        return Role(name)
    except ValueError:
        raise typer.BadParameter(f"--role: must be one of {', '.join(Role)}") from None


app = typer.Typer(name="keys", help="API keys: made, listed, revoked.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="who or what uses it; stands in the audit log")],
    role: Annotated[
        list[str],
        typer.Option(
            help="what it may do: planner, integrator, data_scientist, auditor or administrator; "
            "more than once for several"
        ),
    ],
    department: Annotated[
        list[str] | None,
        typer.Option(help="whose patients it sees; more than once for several, without it all"),
    ] = None,
    all_departments: Annotated[
        bool, typer.Option("--all-departments", help="say so for a planner who sees all")
    ] = False,
    expires_in: Annotated[
        int | None, typer.Option(min=1, max=3_650, metavar="DAYS", help="days it is valid; 90 by default")
    ] = None,
    expires_on: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="last day it is valid, in UTC"),
    ] = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, which is printed once and never again."""
    from serving.access.keys import create_key
    from serving.access.roles import Role
    from serving.store.predictions import PredictionStore
    from wardcast.pipeline import account

    if expires_in is not None and expires_on is not None:
        raise typer.BadParameter("--expires-in and --expires-on: name one of them")
    if department and all_departments:
        raise typer.BadParameter("--department and --all-departments: name one of them")
    roles = [_role(name) for name in role]
    if Role.PLANNER in roles and not department and not all_departments:
        raise typer.BadParameter(
            "a planner sees departments: name each with --department, or all of them with --all-departments"
        )
    now = dt.datetime.now(dt.UTC)
    expires_at = _end(now, expires_in, expires_on)
    engine = store_of(settings_of(work=work))
    with usage():
        key = create_key(
            engine,
            name=name,
            roles=roles,
            departments=department or None,
            expires_at=expires_at,
            created_by=account(),
            now=now,
        )
    if as_json:
        print_json({"key": key, "name": name, "expires_at": expires_at.isoformat(timespec="seconds")})
    else:
        print(key)
        # Aside, so that a program reads the key alone.
        until = f"{expires_at:%Y-%m-%d %H:%M} UTC"
        if expires_in is None and expires_on is None:
            until += f" ({DEFAULT_DAYS} days: neither --expires-in nor --expires-on was named)"
        print(f"Valid until {until}. Keep it now: it cannot be shown again.", file=sys.stderr)
    for warning in _not_stored(department or [], PredictionStore(engine).departments()):
        print(warning, file=sys.stderr)
    engine.dispose()


def _not_stored(named: Sequence[str], stored: Collection[str]) -> Iterator[str]:
    """A warning for each department of which nothing is stored, if anything is: it may be misspelt."""
    folded = {name.casefold(): name for name in sorted(stored)}
    for name in named if stored else ():
        if name not in stored:
            near = [folded[each] for each in get_close_matches(name.casefold(), folded)]
            like = f" Like it: {', '.join(near)}." if near else ""
            yield (
                f"Warning: no stored prediction has the department {name}; departments are compared letter "
                f"for letter.{like}"
            )


def _end(now: dt.datetime, days: int | None, last_day: dt.datetime | None) -> dt.datetime:
    if last_day is None:
        return now + dt.timedelta(days=days or DEFAULT_DAYS)
    return last_day.replace(tzinfo=dt.UTC) + dt.timedelta(days=1)


@app.command(name="list")
def list_all(work: Work = None, as_json: AsJson = False) -> None:
    """Every key that was made: who has it, what it may do, until when. Never the key."""
    from serving.access.keys import list_keys
    from wardcast.console import show_table

    now = dt.datetime.now(dt.UTC)
    documents = [_document(key, now) for key in list_keys(store_of(settings_of(work=work)))]
    if as_json:
        print_json(documents)
    else:
        rows = [[*(_cell(value) for value in document.values())][:-1] for document in documents]
        for row, document in zip(rows, documents, strict=True):
            days = document["days_left"]
            if days is not None and days < SOON_DAYS:
                row[-1] = f"valid, ends in {days} days"
        show_table("API keys", ["key", "name", "roles", "departments", "made", "by", "until", "state"], rows)


def _document(key: ApiKey, now: dt.datetime) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "roles": sorted(key.roles),
        "departments": None if key.departments is None else sorted(key.departments),
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "created_by": key.created_by,
        "expires_at": key.expires_at.isoformat(timespec="seconds"),
        "state": (state := key.state(now)),
        # Whole ones; null: it has ended.
        "days_left": (key.expires_at - now).days if state == "valid" else None,
    }


def _cell(value: object) -> str:
    if value is None:
        return "all"
    return ", ".join(value) if isinstance(value, list) else str(value)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="the twelve digits after wc_, as `keys list` shows them")],
    work: Work = None,
) -> None:
    """End a key; a running server refuses it within seconds."""
    from serving.access.keys import revoke_key

    revoke_key(store_of(settings_of(work=work)), key_id, now=dt.datetime.now(dt.UTC))
    print(f"{key_id} is revoked.")
