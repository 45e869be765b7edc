"""The record of every change of champion.

It is one tag of the registered model for each change, numbered and never rewritten. The champion that it
tells is the truth; the alias `champion` and the local champions folder follow it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from features.dataset import Declaration
from training.registry.versions import UNKNOWN, read_tag

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECORD = "champion_change."
Action = Literal["promote", "rollback", "retire"]
LONGEST_RECORD = 5_000
"""Characters that PostgreSQL's column for a registered model's tag holds."""


@dataclass(frozen=True)
class Change:
    """One change of champion, as recorded: when (UTC), by whom, to which version, on what evidence.

    A retirement names the version that it takes out of service, and the same as `previous_version`.
    """

    action: Action
    version: int
    previous_version: int | None
    digest: str
    changed_at: str
    changed_by: str
    reasons: tuple[str, ...]


def changes(client: MlflowClient, name: str) -> list[Change]:
    """Every recorded change of this model's champion, oldest first; none if nothing is registered.

    Raises RegistryError if a record is not one that wardcast wrote.
    """
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(name).tags
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        return []
    keys = [key for key in sorted(tags) if key.startswith(RECORD)]
    return [read_tag(_change, tags[key], f"{name}: its tag `{key}`") for key in keys]


def _change(text: str) -> Change:
    document = json.loads(text)
    return Change(**{**document, "reasons": tuple(document["reasons"])})


def standing(history: Sequence[Change]) -> list[Change]:
    """The promotions still in force, the champion last: a rollback takes away what came after its version.

    So two people's simultaneous rollbacks to one version count once, and the first champion always stays.
    A retirement takes away all of them: nothing is gone back to across it.
    """
    stack: list[Change] = []
    for change in history:
        if change.action == "retire":
            stack.clear()
        elif change.action == "promote":
            if not stack or stack[-1].version != change.version:
                stack.append(change)
        else:
            while len(stack) > 1 and stack[-1].version != change.version:
                stack.pop()
    return stack


def record(client: MlflowClient, name: str, change: Change, *, n_before: int) -> None:
    """Add `change` to the record of `name`, which holds `n_before` changes so far.

    Reasons that are too many for one record are left out from the last on, and counted; the gate's stand
    whole in the version's own tag.
    """
    # The number keeps the order plain; the time keeps two people's simultaneous records apart.
    key = f"{RECORD}{n_before + 1:06d}.{change.changed_at}"
    client.set_registered_model_tag(name, key, _recorded(change))


def _recorded(change: Change) -> str:
    n_reasons = len(change.reasons)
    for n_kept in range(n_reasons, -1, -1):
        more = (f"{n_reasons - n_kept} more in the version's tag `gate`.",) if n_kept < n_reasons else ()
        shortened = replace(change, reasons=(*change.reasons[:n_kept], *more))
        text = json.dumps(asdict(shortened), ensure_ascii=False)
        if len(text) <= LONGEST_RECORD:
            return text
    raise ValueError(f"{change.action}: {len(text)} characters without reasons")


def acted_on_since(
    chosen: dt.date | None, history: Iterable[Change], declaration: Declaration
) -> dt.date | None:
    """The day from which acting on models may have changed a data set's labels; None if there is none.

    The `chosen` one, or that of the first promotion in the `history` of all of a hospital's models, in the
    data set's time zone: a follow-up that one model leads to changes what another foretells. A retirement
    ends nothing: what staff have learned from a model outlasts it. Without a calendar there is none, since
    shifted dates cannot be held against a day.
    """
    if not declaration.has_calendar:
        return None
    promoted = [change.changed_at for change in history if change.action == "promote"]
    if chosen is not None or not promoted:
        return chosen
    first = dt.datetime.fromisoformat(min(promoted))
    return first.astimezone(ZoneInfo(declaration.time_zone)).date()


def instant(milliseconds: int) -> str:
    """An instant as MLflow counts it, milliseconds since 1970 in UTC, as records carry it."""
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now() -> str:
    """The present instant in UTC, as records carry it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
