"""A champion is asked with features built as those that it learned from."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from features.online import OnlineFeatures
from features.points import Point
from features.settings import FeatureSettings
from models.champions import Champion
from serving.champions.loaded import ChampionSet, LiveChampions, Loaded
from serving.parts import open_parts
from serving.predictions.engines import Engines
from serving.predictions.predictor import settings_for
from tests.admission_rows import admissions, fitted, recipe
from tests.served import open_to_all
from tests.service.test_api import promote
from training.fit import fit_model

CHAMPION = Champion("readmission-admission", 1, "0" * 64, "", Path())


def test_the_landmark_and_the_lags_are_those_of_the_training() -> None:
    trained_with = FeatureSettings(landmark_hours=6, coding_lag_hours=48, cost_lag_hours=72)
    made = replace(recipe("readmission"), settings=trained_with)
    model = fit_model(admissions(4000), made, np.arange(3000), np.arange(3000, 4000)).model
    found = settings_for([Loaded(CHAMPION, model)], FeatureSettings(minimum_age=16, threads=1))
    assert found == replace(trained_with, minimum_age=16, threads=1)


def test_optional_features_are_built_where_a_model_learned_from_one() -> None:
    model = fitted("readmission").model
    learned = (replace(model.artefact.features[0], name="has_polypharmacy"),)
    other = replace(model, artefact=replace(model.artefact, features=learned))
    plain, with_optional = Loaded(CHAMPION, model), Loaded(CHAMPION, other)
    assert not settings_for([plain], FeatureSettings()).optional_features
    assert settings_for([plain, with_optional], FeatureSettings()).optional_features


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FeatureSettings]:
    """The settings of the feature builders that were made; what they are asked to plan is not."""
    made: list[FeatureSettings] = []

    def builder(_systems: object, settings: FeatureSettings) -> Mock:
        made.append(settings)
        return Mock()

    monkeypatch.setattr("serving.predictions.engines.OnlineFeatures", builder)
    return made


def with_lags(**hours: float) -> ChampionSet:
    model = fitted("readmission").model
    return ChampionSet((Loaded(CHAMPION, replace(model, artefact=replace(model.artefact, **hours))),))


def lags(made: list[FeatureSettings]) -> list[tuple[float, float]]:
    return [(each.coding_lag_hours, each.cost_lag_hours) for each in made]


def test_models_of_other_lags_are_answered_from_other_features(made: list[FeatureSettings]) -> None:
    engines = Engines(FeatureSettings())
    for hours in ({}, {"coding_lag_hours": 48.0}, {"cost_lag_hours": 72.0}, {}):
        engines.of(with_lags(**hours).loaded)
    # The first and the last are alike and share one builder.
    assert lags(made) == [(0, 0), (48, 0), (0, 72)]


def test_builders_that_no_champion_needs_are_dropped_when_others_come(made: list[FeatureSettings]) -> None:
    engines, sets = Engines(FeatureSettings()), [with_lags(coding_lag_hours=hours) for hours in (0, 24, 48)]
    for champions in sets:
        engines.prepare(champions)
    # Requests that came before the last change are still of the champions before it, not of the first ones.
    for champions in reversed(sets):
        engines.of(champions.loaded)
    assert lags(made) == [(0, 0), (24, 0), (48, 0), (0, 0)]


def test_champions_are_prepared_before_they_are_in_force_and_also_if_that_fails(tmp_path: Path) -> None:
    promote(tmp_path, "readmission", version=1)
    live = LiveChampions(tmp_path, reload_seconds=0)
    prepared: list[tuple[list[str], list[str]]] = []

    def ids(champions: ChampionSet) -> list[str]:
        return [each.model_id for each in champions.loaded]

    def prepare(champions: ChampionSet) -> None:
        # Whoever asks meanwhile gets those in force.
        prepared.append((ids(champions), ids(live.current())))
        raise ValueError

    live.before_change(prepare)
    promote(tmp_path, "readmission", version=2)
    for _ in range(2):
        assert ids(live.current()) == ["readmission-admission/2"]
    assert prepared == [(["readmission-admission/2"], ["readmission-admission/1"])]


def test_nobody_who_asks_waits_for_new_champions_while_a_thread_looks_for_them(tmp_path: Path) -> None:
    promote(tmp_path, "readmission", version=1)
    live = LiveChampions(tmp_path, reload_seconds=0.01)
    looked, go_on = threading.Event(), threading.Event()

    def prepare(_champions: ChampionSet) -> None:
        looked.set()
        assert go_on.wait(30)

    live.before_change(prepare)
    live.watch()
    try:
        promote(tmp_path, "readmission", version=2)
        # Although nobody asks.
        assert looked.wait(30)
        assert [each.model_id for each in live.current().loaded] == ["readmission-admission/1"]
        go_on.set()
        while [each.model_id for each in live.current().loaded] != ["readmission-admission/2"]:
            threading.Event().wait(0.001)
    finally:
        go_on.set()
        live.close()


def test_the_server_plans_what_new_champions_ask_before_they_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[tuple[Point, float]] = []
    monkeypatch.setattr(
        OnlineFeatures,
        "prepare",
        lambda builder, point, *_, **__: planned.append((point, builder._settings.landmark_hours)),
    )
    champions = tmp_path / "champions"
    parts = open_parts(open_to_all(champions, reload_seconds=0), is_loopback=True)
    try:
        for hours in (24.0, 12.0):
            promote(champions, "readmission", landmark_hours=hours)
            parts.answers.present()
    finally:
        parts.close()
    assert planned == [(Point.ADMISSION, 24.0), (Point.ADMISSION, 12.0)]
