"""Contributions add up, and a model whose do not is found out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.model import Model
from tests.admission_rows import admissions, fitted
from training.explaining import check_explanation


@pytest.mark.parametrize("target", ["readmission", "cost"])
def test_contributions_and_base_value_add_up_to_the_raw_output(target: str):
    found = check_explanation(fitted(target).model, admissions(1500), np.arange(1500))
    # 1,000 of the 1,500 rows are looked at; sums of some hundred doubles err by far less than 1e-9.
    assert found["n"] == 1000
    assert found["largest_gap"] < 1e-9
    assert found["rows_per_second"] > 0


def test_a_base_value_that_is_off_shows_as_a_gap_of_that_size():
    model = fitted("readmission").model
    off = Model(replace(model.artefact, base_value=model.artefact.base_value + 1e-3), model.boosters)
    found = check_explanation(off, admissions(100), np.arange(50))
    assert found["n"] == 50
    assert found["largest_gap"] == pytest.approx(1e-3, rel=1e-6)
