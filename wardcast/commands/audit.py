"""The audit log: whether it is whole, and who read a stay."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardcast.commands.access import access_of, store_of
from wardcast.commands.options import AsJson, Work, day_of, print_json, settings_of

if TYPE_CHECKING:
    from serving.access.verification import Verification

Log = Annotated[Path | None, typer.Option(metavar="FILE", help="a log that is no longer written")]

app = typer.Typer(
    name="audit", help="Who read which prediction, and whether the record is whole.", no_args_is_help=True
)


@app.command()
def verify(log: Log = None, work: Work = None, as_json: AsJson = False) -> None:
    """Find lines that were removed, altered, moved, inserted or cut off; exit 1 if there are any."""
    from serving.access.audit_files import key_file, log_file, read_audit_key
    from serving.access.heads import head_of
    from serving.access.verification import verify as check

    settings = settings_of(work=work)
    access = access_of(settings)
    file = log or log_file(access, settings.work)
    key = read_audit_key(key_file(access, settings.work))
    found = check(file, key, partial(head_of, store_of(settings), file.name))
    if as_json:
        print_json(_document(file, found))
    else:
        print("\n".join(_said(file, found)))
    if not found.is_intact:
        raise typer.Exit(1)


def _document(file: Path, found: Verification) -> dict[str, object]:
    return {
        "log": str(file),
        "intact": found.is_intact,
        "lines": found.n_lines,
        "last": {"sequence": found.last.sequence, "digest": found.last.digest},
        "newer_than_head": found.n_newer,
        "unfinished_bytes": found.n_unfinished,
        "findings": list(found.findings),
    }


def _said(file: Path, found: Verification) -> list[str]:
    said = [f"{file}: {finding}." for finding in found.findings]
    if found.is_intact:
        said.append(f"{file}: whole. {found.n_lines} lines; the last is number {found.last.sequence}.")
    if found.n_newer or found.n_unfinished:
        said.append(
            f"At its end {found.n_newer} lines and {found.n_unfinished} bytes are newer than the head that "
            "is kept: they are being written, or the server stopped in that moment. No answer was sent yet."
        )
    return said


@app.command()
def find(
    stay_id: Annotated[str | None, typer.Argument(help="the stay; any by default")] = None,
    caller: Annotated[
        str | None, typer.Option(help="name or id of a key, or issuer and subject of a token")
    ] = None,
    action: Annotated[str | None, typer.Option(help="such as read_worklist")] = None,
    since: Annotated[
        dt.datetime | None, typer.Option(metavar="DATE", formats=["%Y-%m-%d"], help="first day, in UTC")
    ] = None,
    until: Annotated[
        dt.datetime | None, typer.Option(metavar="DATE", formats=["%Y-%m-%d"], help="last day, in UTC")
    ] = None,
    log: Log = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Who read a stay's predictions, or what a caller read: when, of which models.

    The chain is not checked: see `audit verify`.
    """
    from serving.access.audit_files import key_file, log_file, read_audit_key
    from serving.access.reads import Sought, reads_of
    from wardcast.console import show_table

    if stay_id is None and caller is None and action is None and since is None and until is None:
        raise typer.BadParameter("name a stay, or at least one of --caller, --action, --since and --until")
    settings = settings_of(work=work)
    access = access_of(settings)
    key = read_audit_key(key_file(access, settings.work))
    sought = Sought(stay_id, caller, action, day_of(since), day_of(until))
    found = list(reads_of(log or log_file(access, settings.work), sought, key))
    if as_json:
        print_json(found)
    else:
        rows = [[each["at"], each["caller"], each["action"], ", ".join(each["models"])] for each in found]
        if rows:
            show_table("Reads", ["at", "caller", "action", "models"], rows)
        else:
            print("Nothing was found: the log holds no such read. Names are compared letter for letter.")
