"""The champions in memory: which models answer, which were refused and why, and when they changed."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from features.catalogue import fingerprint
from features.points import Point
from models.artefact import ArtefactError
from models.champions import Champion, champion_records, load_champion, read_champion
from models.model import Model
from serving.problems import log_failure

ALL_CHAMPIONS = "champions"
"""Stands for the name of a refused model where the folder as a whole cannot be read."""

_log = logging.getLogger("wardcast.serving")


@dataclass(frozen=True)
class Loaded:
    """A champion with its model, checked: digest, form, and the fingerprint of its features."""

    champion: Champion
    model: Model

    @property
    def point(self) -> Point:
        """The prediction point."""
        return Point(self.model.artefact.point)

    @property
    def is_dated(self) -> bool:
        """Whether it learned from records with dates; if not, it answers records without any."""
        return self.model.artefact.training.timeline != "none"

    @property
    def model_id(self) -> str:
        """The string that names this model everywhere."""
        return self.champion.model_id


@dataclass(frozen=True)
class ChampionSet:
    """The models that answer, and for each refused one its name and the reason."""

    loaded: tuple[Loaded, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """The prediction points that can be answered, in the order of a stay."""
        return tuple(point for point in Point if self.at(point))

    def at(self, point: Point) -> tuple[Loaded, ...]:
        """The models of one prediction point, by name."""
        return tuple(loaded for loaded in self.loaded if loaded.point == point)

    def refused_at(self, point: Point) -> tuple[str, ...]:
        """The names of refused models of one prediction point; the folder as a whole holds those of each."""
        # A champion that cannot be read says no point, but bears it in its name.
        return tuple(
            name
            for name, _ in self.refused
            if name == ALL_CHAMPIONS or name.partition("/")[0].endswith(f"-{point}")
        )


def load(champion: Champion) -> Loaded:
    """Load one champion. Raises ArtefactError if it was changed or its features are not today's."""
    model = load_champion(champion)
    names = [spec.name for spec in model.artefact.features if not spec.is_fact]
    if fingerprint(names) != model.artefact.fingerprint:
        raise ArtefactError(
            f"{champion.name}: trained on features that this version computes differently. "
            "Train it again, or serve it with the version that trained it."
        )
    return Loaded(champion, model)


def load_champions(folder: Path, previous: ChampionSet | None = None) -> ChampionSet:
    """Load what is in force in `folder`; what cannot be used is refused with its reason.

    Each is read by itself, so that one that cannot be read costs its own target alone. Where a new
    champion is refused, the model of that name in `previous` goes on answering; while the folder as a whole
    cannot be read, all of them do. The models of one prediction point must agree on what an answer has only
    once: the prediction time (landmark, time zone, dated records or not), the lags of codes and costs, the
    currency and the code systems. The latest promoted decides; the others are refused until they are
    trained alike.
    """
    earlier = {} if previous is None else {loaded.champion.name: loaded for loaded in previous.loaded}
    usable: list[Loaded] = []
    refused: list[tuple[str, str]] = []
    try:
        records = champion_records(folder)
    except OSError as error:
        return ChampionSet(
            () if previous is None else previous.loaded, ((ALL_CHAMPIONS, _reason(error, folder)),)
        )
    for record in records:
        model_id, known = record.parent.name, earlier.get(record.parent.name)
        try:
            champion = read_champion(record)
            model_id = champion.model_id
            usable.append(load(champion) if known is None or known.champion != champion else known)
        except (ArtefactError, OSError) as error:
            refused.append((model_id, _reason(error, folder)))
            if known is not None:
                usable.append(known)
    agreeing: list[Loaded] = []
    decisive: dict[Point, Loaded] = {}
    for loaded in sorted(usable, key=lambda one: (one.champion.promoted_at, one.champion.name), reverse=True):
        reference = decisive.setdefault(loaded.point, loaded)
        if _basis(loaded) == _basis(reference):
            agreeing.append(loaded)
        else:
            reason = (
                "its landmark, lags, time line, time zone, currency or codes differ from those of "
                f"{reference.model_id}"
            )
            refused.append((loaded.model_id, f"{reason}. Train both alike and promote them."))
    return ChampionSet(tuple(sorted(agreeing, key=lambda one: one.champion.name)), tuple(refused))


def _reason(error: Exception, folder: Path) -> str:
    """In words for whoever asks the server, to whom its folders are nothing."""
    if not isinstance(error, ArtefactError):
        kind = type(error).__name__
        return f"not readable ({kind}). See that the server's account may read the folder and its files."
    return str(error).replace(f"{folder}/", "")


def _basis(loaded: Loaded) -> tuple[object, ...]:
    artefact = loaded.model.artefact
    codes = tuple(sorted(artefact.context.code_systems.items()))
    context = artefact.context
    hours = (artefact.landmark_hours, artefact.coding_lag_hours, artefact.cost_lag_hours)
    return (*hours, loaded.is_dated, context.time_zone, context.currency, codes)


class LiveChampions:
    """The champions of a folder, read again soon after one of them changes, without a restart.

    What was refused is tried again from time to time: a disk that is mounted late, or files that are put
    back, do not show in the champions' records. What answers and what was refused is logged when it changes.
    Unless a thread of its own does (`watch`), whoever asks for the champions looks for a change, and waits
    while it is loaded.
    """

    def __init__(self, folder: Path, *, reload_seconds: float = 1.0, retry_seconds: float = 30.0) -> None:
        """Read `folder` now.

        `reload_seconds` is the least time between two looks at it, `retry_seconds` between two attempts
        to load what was refused.
        """
        self._folder = folder
        self._reload_seconds = reload_seconds
        self._retry_seconds = retry_seconds
        self._lock = threading.Lock()
        self._stamp: object = None
        self._looked_at = self._loaded_at = float("-inf")
        self._set = ChampionSet()
        self._n_refusals = 0
        self._prepare: Callable[[ChampionSet], None] = lambda _champions: None
        self._watcher: threading.Thread | None = None
        self._is_over = threading.Event()
        self.current()

    def before_change(self, prepare: Callable[[ChampionSet], None]) -> None:
        """Have every later set of champions prepared before it is in force, while those in force answer.

        A set whose preparation fails is in force all the same.
        """
        self._prepare = prepare

    def watch(self) -> None:
        """Look for changes in a thread from now on, until `close`, so that nobody waits for one.

        Where `reload_seconds` is 0, whoever asks goes on looking.
        """
        if self._reload_seconds > 0:
            self._watcher = threading.Thread(target=self._watch, name="champions", daemon=True)
            self._watcher.start()

    def close(self) -> None:
        """Look no more; waits for a change that is being loaded."""
        self._is_over.set()
        if self._watcher is not None:
            self._watcher.join()

    @property
    def n_refusals(self) -> int:
        """How often a champion was refused until now, every attempt counted."""
        return self._n_refusals

    def current(self) -> ChampionSet:
        """The champions in force."""
        if self._watcher is not None or time.monotonic() - self._looked_at < self._reload_seconds:
            return self._set
        # Requests do not wait for a reload: whoever comes meanwhile is answered by the models in force.
        if self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._set

    def _watch(self) -> None:
        while not self._is_over.wait(self._reload_seconds):
            try:
                with self._lock:
                    self._look()
            except Exception as error:
                # The next look may do better; without this there would be none.
                log_failure(error)

    def _look(self) -> None:
        stamp = self._present_stamp()
        is_due = time.monotonic() - self._loaded_at >= self._retry_seconds
        if stamp != self._stamp or (self._set.refused and is_due):
            before, is_first = self._set, self._stamp is None
            loaded = load_champions(self._folder, before)
            if [each.champion for each in loaded.loaded] != [each.champion for each in before.loaded]:
                self._prepare_for(loaded)
            self._set = loaded
            self._stamp, self._loaded_at = stamp, time.monotonic()
            self._n_refusals += len(self._set.refused)
            self._log_changes(before, is_first=is_first)
        self._looked_at = time.monotonic()

    def _prepare_for(self, champions: ChampionSet) -> None:
        try:
            self._prepare(champions)
        except Exception as error:
            # Requests that ask them fail by themselves, or do not: the log tells where this did.
            log_failure(error)

    def _log_changes(self, before: ChampionSet, *, is_first: bool) -> None:
        for model_id, reason in self._set.refused:
            if (model_id, reason) not in before.refused:
                _log.warning(json.dumps({"event": "refused", "model": model_id, "reason": reason}))
        models = [loaded.model_id for loaded in self._set.loaded]
        if models and models != [loaded.model_id for loaded in before.loaded]:
            _log.info(json.dumps({"event": "loaded", "models": models}))
        if not models and (before.loaded or is_first):
            _log.warning(f"no champion in {self._folder}: predictions answer 503")

    def _present_stamp(self) -> tuple[tuple[str, int, int], ...]:
        try:
            return tuple(_stamp(record) for record in champion_records(self._folder))
        except OSError:
            return ()


def _stamp(record: Path) -> tuple[str, int, int]:
    try:
        status = record.stat()
    except OSError:
        return (record.parent.name, 0, 0)
    return (record.parent.name, status.st_mtime_ns, status.st_ino)
