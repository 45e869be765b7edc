"""What a rising value can only raise or only lower: declared in the catalogue, kept by every model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from features.catalogue import CATALOGUE
from features.feature import Feature
from tests.admission_rows import admissions, data_set, recipe
from training.fit import Fitted, fit_model
from training.targets import TARGETS
from training.train import Effort, train_model

DECLARED = [feature for feature in CATALOGUE.values() if feature.raises or feature.lowers]


@pytest.mark.parametrize("feature", DECLARED, ids=lambda feature: feature.name)
def test_a_direction_is_of_a_number_and_of_targets_that_are_predicted_when_it_is_known(
    feature: Feature,
) -> None:
    assert feature.type in ("integer", "number")
    assert not set(feature.raises) & set(feature.lowers)
    for target in (*feature.raises, *feature.lowers):
        assert any(point.knows(feature.available_from) for point in TARGETS[target].points)


def test_emergency_admissions_raise_the_risk_of_readmission_alone() -> None:
    feature = CATALOGUE["n_emergency_stays_prior_365d"]
    assert [feature.direction(target) for target in ("readmission", "complication", "cost")] == [1, 0, 0]
    assert CATALOGUE["albumin_first_day"].direction("complication") == -1


@pytest.mark.parametrize(
    "name", ["age_years", "sodium_first_day", "charges_so_far", "is_booked", "n_procedures"]
)
def test_what_treatment_or_both_extremes_decide_has_no_direction(name: str) -> None:
    assert not any(CATALOGUE[name].direction(target) for target in TARGETS)


@cache
def held(target: str, **directions: int) -> Fitted:
    """A model of rows whose risk and cost rise with earlier stays, held to these directions."""
    chosen = replace(recipe(target), directions=directions)
    return fit_model(admissions(4000), chosen, np.arange(3000), np.arange(3000, 4000))


@pytest.mark.parametrize("target", ["readmission", "cost"])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_prediction_never_moves_against_a_direction(target: str, direction: int) -> None:
    # The ward score is noise to the trees, so that without a direction they follow it up and down.
    model = held(target, ward_score=direction, n_stays_prior_365d=1).model
    rows = admissions(300, seed=5)
    for name, sign in (("ward_score", direction), ("n_stays_prior_365d", 1)):
        steps = np.linspace(-4, 8, 49)
        outputs = [model.predict(rows.assign(**{name: step}), contributions=False) for step in steps]
        # What is explained is held. The mean of an amount depends on how far it scatters too.
        values = np.stack([output.raw_output for output in outputs])
        assert (np.diff(values, axis=0) * sign >= 0).all()


def test_without_a_direction_the_trees_follow_noise_up_and_down() -> None:
    rows = admissions(300, seed=5)
    model = held("readmission").model
    values = np.stack(
        [
            model.predict(rows.assign(ward_score=step), contributions=False).value
            for step in np.linspace(-4, 8, 49)
        ]
    )
    moves = np.diff(values, axis=0)
    assert (moves > 0).any()
    assert (moves < 0).any()


def test_a_model_is_trained_in_the_directions_of_the_catalogue(tmp_path: Path) -> None:
    data = data_set(tmp_path, admissions(4000))
    rising = replace(CATALOGUE["n_stays_prior_365d"], raises=("readmission",))
    data = replace(
        data, features=tuple(rising if each.name == rising.name else each for each in data.features)
    )
    trained = train_model(data, "readmission", threads=1, effort=Effort(20))
    names = [spec.name for spec in trained.artefact.features]
    constraints = trained.artefact.training.facts["parameters"]["monotone_constraints"]
    assert constraints == [int(name == rising.name) for name in names]
