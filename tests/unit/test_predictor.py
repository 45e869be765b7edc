"""A champion is asked with features built as those that it learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from features.settings import FeatureSettings
from models.champions import Champion
from serving.loaded import Loaded
from serving.predictor import settings_for
from tests.admission_rows import admissions, recipe
from training.fit import fit_model


def test_the_landmark_and_the_lags_are_those_of_the_training() -> None:
    trained_with = FeatureSettings(landmark_hours=6, coding_lag_hours=48, cost_lag_hours=72)
    made = replace(recipe("readmission"), settings=trained_with)
    model = fit_model(admissions(4000), made, np.arange(3000), np.arange(3000, 4000)).model
    loaded = Loaded(Champion("readmission-admission", 1, "0" * 64, "", Path()), model)
    found = settings_for(loaded, FeatureSettings(minimum_age=16, threads=1))
    assert found == replace(trained_with, minimum_age=16, threads=1)
