"""Changing the champion: promote a registered version, roll back to the one before, retire it.

Order of writes: the artefact is fetched and checked; the change is recorded; the alias moves; the local
champions folder takes the artefact, or gives it up, in one step. A check that fails changes nothing. After
an interruption the server still has a whole champion, old or new, and the same command again completes what
the record says.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UserError
from models.artefact import ArtefactError
from models.champions import Champion, champion_named, install_champion, is_installed, remove_champion
from models.storage import digest, read_artefact
from training.registry.changes import Action, Change, changes, instant, now, record, standing
from training.registry.store import check_store, connect, has_store, sqlite_file
from training.registry.versions import (
    Registered,
    fetch,
    point_champion,
    registered,
    unpoint_champion,
    versions_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


LONGEST_REASON = 1_000
"""Characters of a person's own reason, so that it always stands whole in the record."""
NO_REASON = "No reason was given."


class PromotionError(UserError):
    """The champion stays as it is; the message says why and what to do."""


@dataclass(frozen=True)
class ChampionRow:
    """One champion as `wardcast models` shows it.

    `since` and `changed_by` tell the last change, a promotion or a rollback to it; `evidence` the reasons of
    its promotion; `metrics` the numbers of its training run by name. `is_installed` is False where the local
    champions folder does not hold it, `is_damaged` True where it does and its files are others now.
    """

    name: str
    version: int
    target: str
    point: str
    since: str
    changed_by: str
    digest: str
    metrics: dict[str, float]
    gate_passed: bool
    evidence: tuple[str, ...]
    is_installed: bool
    is_damaged: bool


@dataclass(frozen=True)
class VersionRow:
    """One registered version as `wardcast models --versions` shows it; `registered_at` in UTC."""

    version: int
    registered_at: str
    gate_passed: bool
    is_champion: bool
    metrics: dict[str, float]


def promote(
    name: str,
    version: int,
    *,
    tracking_uri: str,
    champions: Path,
    changed_by: str,
    override: str | None = None,
) -> Champion:
    """Make a registered version champion in MLflow and in the local champions folder.

    A version that failed its gate needs `override`, the reason why it is wanted nevertheless; it is recorded.
    Promoting the champion again installs it here, and records nothing.

    Raises RegistryError if there is no such version, PromotionError if its gate says no, and ArtefactError
    if its artefact is not the one that was registered.
    """
    _check_reason(override)
    _check_store(tracking_uri, writes=True)
    client = connect(tracking_uri)
    model = registered(client, name, version)
    if not model.gate.passed and not override:
        failed = " ".join(str(check) for check in model.gate.checks if not check.passed)
        raise PromotionError(
            f"{name}/{version} did not pass its gate. {failed} "
            "Train a better model, or promote it with a reason of your own."
        )
    reasons = (f"Override: {override}", *model.gate.reasons) if override else model.gate.reasons
    return _put_in_force(client, model, champions, "promote", changed_by, reasons)


def rollback(name: str, *, tracking_uri: str, champions: Path, changed_by: str, reason: str = "") -> Champion:
    """Put the champion before the present one back, with exactly the bytes that it had.

    Where the last change was a rollback that this champions folder has not followed yet, that one is
    completed instead of going back a further step.

    Raises PromotionError if there is no former champion, as after a retirement, and ArtefactError if its
    artefact is no longer what it was.
    """
    _check_reason(reason)
    _check_store(tracking_uri, writes=True)
    client = connect(tracking_uri)
    history = changes(client, name)
    in_force = standing(history)
    if history and history[-1].action == "retire":
        # Whoever took it out of service had a reason: putting one back is a decision, not a way back.
        raise PromotionError(f"{_retired(name, history[-1])} To put a version in service, promote it.")
    is_unfinished = (
        bool(history) and history[-1].action == "rollback" and not _holds(champions, name, in_force[-1])
    )
    back_to = in_force if is_unfinished else in_force[:-1]
    if not back_to:
        raise PromotionError(f"{name}: there is no earlier champion to go back to.")
    former = registered(client, name, back_to[-1].version)
    if former.digest != back_to[-1].digest:
        raise PromotionError(
            f"{name}/{former.version}: the registered digest is not the one it was promoted with. "
            "Restore the MLflow store from its backup."
        )
    return _put_in_force(client, former, champions, "rollback", changed_by, (reason or NO_REASON,))


def retire(name: str, *, tracking_uri: str, champions: Path, changed_by: str, reason: str = "") -> Change:
    """Take the champion out of service, without another in its place, and return the record of it.

    Where the record says so already but this champions folder still holds a champion, it is removed here.
    Raises PromotionError if none is in service.
    """
    _check_reason(reason)
    _check_store(tracking_uri, writes=True)
    client = connect(tracking_uri)
    history = changes(client, name)
    if in_force := standing(history):
        champion = in_force[-1]
        change = Change(
            action="retire",
            version=champion.version,
            previous_version=champion.version,
            digest=champion.digest,
            changed_at=now(),
            changed_by=changed_by,
            reasons=(reason or NO_REASON,),
        )
        record(client, name, change, n_before=len(history))
    elif not history:
        raise PromotionError(
            f"{name}: no version was ever champion. `wardcast models` lists what is in force."
        )
    elif is_installed(champions, name):
        change = history[-1]
    else:
        raise PromotionError(f"{_retired(name, history[-1])} To put a version in service, promote it.")
    unpoint_champion(client, name)
    remove_champion(champions, name)
    return change


def history_of_all(*, tracking_uri: str) -> list[Change]:
    """Every change of every model's champion, model by model, oldest first.

    There is none without a store, which is not made for it.
    """
    if not has_store(tracking_uri):
        return []
    client = connect(tracking_uri)
    return [change for model in client.search_registered_models() for change in changes(client, model.name)]


def audit(name: str, *, tracking_uri: str) -> list[Change]:
    """Every change of this model's champion, oldest first. Raises PromotionError if there is none."""
    _check_store(tracking_uri)
    history = changes(connect(tracking_uri), name)
    if not history:
        raise PromotionError(
            f"{name}: no version was ever champion. `wardcast models` lists what is in force."
        )
    return history


def _retired(name: str, change: Change) -> str:
    return f"{name}/{change.version}: retired by {change.changed_by} at {change.changed_at}."


def _check_reason(reason: str | None) -> None:
    if reason and len(reason) > LONGEST_REASON:
        raise PromotionError(f"The reason has {len(reason)} characters; the record holds {LONGEST_REASON:,}.")


def champions_table(*, tracking_uri: str, champions: Path) -> list[ChampionRow]:
    """Every model's champion by the record, by name, and whether the local champions folder holds it.

    Where no store was made yet there is none, and none is made.
    """
    if not has_store(tracking_uri):
        return []
    client = connect(tracking_uri)
    names = sorted(model.name for model in client.search_registered_models())
    rows = []
    for name in names:
        history = changes(client, name)
        in_force = standing(history)
        if not in_force:
            continue
        change = in_force[-1]
        model = registered(client, name, change.version)
        run = client.get_run(model.run_id)
        rows.append(
            ChampionRow(
                name=name,
                version=change.version,
                target=run.data.tags["target"],
                point=run.data.tags["prediction_point"],
                since=history[-1].changed_at,
                changed_by=history[-1].changed_by,
                digest=change.digest,
                metrics=dict(run.data.metrics),
                gate_passed=model.gate.passed,
                evidence=change.reasons,
                is_installed=_holds(champions, name, change),
                is_damaged=_is_damaged(champions, name),
            )
        )
    return rows


def versions_table(name: str, *, tracking_uri: str) -> list[VersionRow]:
    """Every registered version of a model, the latest first. Raises PromotionError if there is none."""
    _check_store(tracking_uri)
    client = connect(tracking_uri)
    in_force = standing(changes(client, name))
    rows = []
    for version in reversed(versions_of(client, name)):
        model = registered(client, name, version)
        run = client.get_run(model.run_id)
        rows.append(
            VersionRow(
                version=version,
                registered_at=instant(run.info.start_time),
                gate_passed=model.gate.passed,
                is_champion=bool(in_force) and in_force[-1].version == version,
                metrics=dict(run.data.metrics),
            )
        )
    if not rows:
        raise PromotionError(f"{name}: no version is registered. `wardcast models` lists what is in force.")
    return rows


def _is_damaged(champions: Path, name: str) -> bool:
    """Whether the model in force here is another one than was put in force: the server refuses it."""
    try:
        champion = champion_named(champions, name)
        return champion is not None and digest(champion.folder) != champion.digest
    except (ArtefactError, OSError):
        return True


def _check_store(tracking_uri: str, *, writes: bool = False) -> None:
    """Raises PromotionError where there is no store yet: looking for a model must not make one.

    Raises StoreError if it cannot be read or, with `writes`, changed.
    """
    if not has_store(tracking_uri):
        raise PromotionError(
            f"{sqlite_file(tracking_uri)}: not there, so no model is registered. Train one with "
            "`wardcast train`, or name its work folder with --work."
        )
    check_store(tracking_uri, writes=writes)


def _put_in_force(
    client: MlflowClient,
    model: Registered,
    champions: Path,
    action: Action,
    changed_by: str,
    reasons: tuple[str, ...],
) -> Champion:
    history = changes(client, model.name)
    in_force = standing(history)
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetch(client, model, Path(scratch))
        _check_registered(folder, model)
        _check_folder(champions / model.name)
        if not in_force or in_force[-1].version != model.version:
            change = Change(
                action=action,
                version=model.version,
                previous_version=in_force[-1].version if in_force else None,
                digest=model.digest,
                changed_at=now(),
                changed_by=changed_by,
                reasons=reasons,
            )
            record(client, model.name, change, n_before=len(history))
        else:
            change = history[-1]
        point_champion(client, model.name, model.version)
        return install_champion(
            champions,
            folder,
            name=model.name,
            version=model.version,
            digest=model.digest,
            promoted_at=change.changed_at,
        )


def _check_registered(folder: Path, model: Registered) -> None:
    """Raises PromotionError if what the registry holds is not what was registered."""
    try:
        read_artefact(folder, model.digest)
    except ArtefactError as error:
        raise PromotionError(
            f"{model.name}/{model.version}: the registry's own files of it are damaged (SHA-256 differs from "
            "that of the registration, or files are missing). Nothing was changed. Restore the MLflow store "
            "from its backup, or train the model again."
        ) from error


def _check_folder(folder: Path) -> None:
    """Raises PromotionError if no champion can be put there: tried before the change is recorded."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PromotionError(
            f"{folder}: no champion can be put there ({os.strerror(error.errno or 0)}). Nothing was changed. "
            "Let this account write to it, then do it again."
        ) from error


def _holds(champions: Path, name: str, change: Change) -> bool:
    champion = champion_named(champions, name)
    return champion is not None and (champion.version, champion.digest) == (change.version, change.digest)
