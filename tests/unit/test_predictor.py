"""A champion is asked with features built as those that it learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.settings import FeatureSettings
from models.champions import Champion
from serving.champions.loaded import LiveChampions, Loaded
from serving.predictions.answers import Answers
from serving.predictions.predictor import settings_for
from serving.settings import ServingSettings
from tests.admission_rows import admissions, fitted, recipe
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


def test_models_of_other_lags_are_answered_from_other_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FeatureSettings] = []
    monkeypatch.setattr(
        "serving.predictions.answers.OnlineFeatures", lambda _, settings: made.append(settings) or made
    )
    answers = Answers(LiveChampions(tmp_path), ServingSettings(tmp_path))
    model = fitted("readmission").model

    def asked(**hours: Any) -> None:
        answers._features_for([Loaded(CHAMPION, replace(model, artefact=replace(model.artefact, **hours)))])

    for hours in ({}, {"coding_lag_hours": 48.0}, {"cost_lag_hours": 72.0}, {}):
        asked(**hours)
    # The first and the last are alike and share one builder.
    assert [(each.coding_lag_hours, each.cost_lag_hours) for each in made] == [(0, 0), (48, 0), (0, 72)]
