"""Contributions add up, and a model whose do not is found out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.model import Model
from tests.admission_rows import admissions, fitted
from training.validation.explaining import check_explanation, explain


@pytest.mark.parametrize("target", ["readmission", "cost"])
def test_contributions_and_base_value_add_up_to_the_raw_output(target: str):
    model = fitted(target).model
    found = check_explanation(model, explain(model, admissions(1500), np.arange(1500), seed=1))
    # Sums of some hundred doubles err by far less than 1e-9.
    assert found["n"] == 1500
    assert found["largest_gap"] < 1e-9
    assert found["rows_per_second"] > 0


def test_a_base_value_that_is_off_shows_as_a_gap_of_that_size():
    model = fitted("readmission").model
    off = Model(replace(model.artefact, base_value=model.artefact.base_value + 1e-3), model.boosters)
    found = check_explanation(off, explain(off, admissions(100), np.arange(50), seed=1))
    assert found["n"] == 50
    assert found["largest_gap"] == pytest.approx(1e-3, rel=1e-6)


def test_at_most_two_thousand_rows_are_explained_the_same_for_the_same_seed() -> None:
    model, rows = fitted("readmission").model, admissions(2500, seed=3)
    found = explain(model, rows, np.arange(2500), seed=1).contributions
    assert found.shape == (2000, len(model.artefact.features))
    np.testing.assert_array_equal(found, explain(model, rows, np.arange(2500), seed=1).contributions)
    assert not np.array_equal(found, explain(model, rows, np.arange(2500), seed=2).contributions)
