"""The data engines that build the features of requests: one for champions that share a basis."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from features.dataset import CodeSystems
from features.online import OnlineFeatures
from features.settings import FeatureSettings
from serving.champions.loaded import ChampionSet, Loaded
from serving.predictions.predictor import fact_features, features_read, settings_for


class Engines:
    """Feature builders by what they share: landmark, lags, code systems.

    May be used from many threads at once. A builder holds a data engine with its plans, some tens of
    megabytes: those that no champions in force need are dropped when others come.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        self._settings = settings
        self._made: dict[str, OnlineFeatures] = {}
        self._in_force: set[str] = set()
        self._lock = threading.Lock()

    def of(self, models: Sequence[Loaded]) -> OnlineFeatures:
        """The feature builder for models of one basis; made once."""
        systems, settings = self._basis(models)
        key = _key(systems, settings)
        with self._lock:
            if key not in self._made:
                self._made[key] = OnlineFeatures(systems, settings)
            return self._made[key]

    def prepare(self, champions: ChampionSet) -> None:
        """Plan what champions ask before they are in force: the first requests would wait for it.

        Builders that they do not need are dropped, but for those of the champions before them: requests that
        came earlier are still theirs.
        """
        needed = set()
        for point in champions.points:
            models = champions.at(point)
            facts, wanted = fact_features(models, ()), features_read(models)
            self.of(models).prepare(point, facts, wanted, dated=models[0].is_dated)
            needed.add(_key(*self._basis(models)))
        with self._lock:
            for key in self._made.keys() - needed - self._in_force:
                del self._made[key]
            self._in_force = needed

    def _basis(self, models: Sequence[Loaded]) -> tuple[CodeSystems, FeatureSettings]:
        systems = CodeSystems.model_validate(models[0].model.artefact.context.code_systems)
        return systems, settings_for(models, self._settings)


def _key(systems: CodeSystems, settings: FeatureSettings) -> str:
    return f"{systems.model_dump_json()} {settings}"
