"""Registered models in MLflow: their versions, which one is champion, and the record of every change.

The record is one tag of the registered model for each change, numbered and never rewritten. The champion
that it tells is the truth; the alias `champion` and the local champions folder follow it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from features.errors import UserError
from training.gate import Check, Gate

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
CHAMPION = "champion"
RECORD = "champion_change."
Action = Literal["promote", "rollback", "retire"]
LONGEST_RECORD = 5_000
"""Characters that PostgreSQL's column for a registered model's tag holds."""
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for a name that nothing bears, and for one that nothing could."""


class RegistryError(UserError):
    """The registry does not hold what was asked for; the message says what to do."""


@dataclass(frozen=True)
class Registered:
    """One registered version: where its artefact lies, its digest, and what the gate said of it."""

    name: str
    version: int
    run_id: str
    source: str
    digest: str
    gate: Gate


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


def register(
    client: MlflowClient, name: str, *, source: str, run_id: str, model_id: str, digest: str, gate: Gate
) -> int:
    """Register a logged model as the next version of `name`; digest and gate stand in its tags."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"digest": digest, "gate": json.dumps(gate.document(), ensure_ascii=False)}
    return int(client.create_model_version(name, source, run_id, tags=tags, model_id=model_id).version)


def registered(client: MlflowClient, name: str, version: int) -> Registered:
    """Look up a version. Raises RegistryError if there is none or wardcast did not register it."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        raise RegistryError(
            f"{name}: no version {version} is registered. `wardcast train` prints names and versions; "
            "MLflow lists them all."
        ) from error
    if not {"digest", "gate"} <= set(found.tags):
        raise RegistryError(
            f"{name}/{version}: its digest or gate is missing. Only models that `wardcast train` registered "
            "can be champion."
        )
    gate = _read(_gate, found.tags["gate"], f"{name}/{version}: its tag `gate`")
    return Registered(
        name=name,
        version=version,
        run_id=found.run_id,
        source=client.get_model_version_download_uri(name, str(version)),
        digest=found.tags["digest"],
        gate=gate,
    )


def fetch(client: MlflowClient, model: Registered, destination: Path) -> Path:
    """Download the artefact of a version below `destination` and return its folder, unchecked."""
    from mlflow.artifacts import download_artifacts

    folder = download_artifacts(
        artifact_uri=f"{model.source.rstrip('/')}/data/{model.name}",
        dst_path=str(destination),
        tracking_uri=client.tracking_uri,
    )
    return Path(folder)


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
    return [_read(_change, tags[key], f"{name}: its tag `{key}`") for key in keys]


def _change(text: str) -> Change:
    document = json.loads(text)
    return Change(**{**document, "reasons": tuple(document["reasons"])})


def _gate(text: str) -> Gate:
    return Gate(tuple(Check(**check) for check in json.loads(text)["checks"]))


def _read(parse: Callable[[str], T], text: str, where: str) -> T:
    try:
        return parse(text)
    except (ValueError, TypeError, KeyError) as error:
        raise RegistryError(
            f"{where} is not what this version of wardcast writes. Use the version that wrote it, or put the "
            "tag back as it was."
        ) from error


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


def point_champion(client: MlflowClient, name: str, version: int) -> None:
    """Move the alias `champion` to `version`."""
    client.set_registered_model_alias(name, CHAMPION, str(version))


def unpoint_champion(client: MlflowClient, name: str) -> None:
    """Take the alias `champion` away, if it is there."""
    client.delete_registered_model_alias(name, CHAMPION)


def now() -> str:
    """The present instant in UTC, as records carry it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
