"""What holds of every model and every row."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.artefact import Training
from models.bands import percentile_grid, percentiles_of
from models.calibration import LineCalibration
from models.distribution import conformal_ends, fit_distribution
from models.storage import read_artefact, write_artefact
from tests.admission_rows import GROUPS, fitted

NUMBERS = st.one_of(st.none(), st.floats(-1e6, 1e6))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "age_years": NUMBERS,
            "n_stays_prior_365d": NUMBERS,
            "admitting_diagnosis_group": st.one_of(st.none(), st.sampled_from(GROUPS), st.text(max_size=5)),
            "is_booked": st.sampled_from([None, 0, 1]),
            "ward_score": NUMBERS,
        }
    ),
    min_size=1,
    max_size=20,
)
FINITE = st.floats(-30, 30)


@pytest.mark.parametrize("target", ["readmission", "cost"])
@given(rows=ROWS, seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_any_row_keeps_its_prediction_whatever_stands_around_it(
    target: str, rows: list[dict[str, object]], seed: int
) -> None:
    model = fitted(target).model
    frame = pd.DataFrame(rows)
    whole = model.predict(frame)
    order = np.random.default_rng(seed).permutation(len(frame))
    moved = model.predict(frame.iloc[order])
    assert whole.contributions is not None
    assert moved.contributions is not None
    np.testing.assert_array_equal(moved.raw_output, whole.raw_output[order])
    np.testing.assert_array_equal(moved.value, whole.value[order])
    np.testing.assert_array_equal(moved.contributions, whole.contributions[order])
    assert moved.warnings == [whole.warnings[row] for row in order]


@pytest.mark.parametrize("target", ["readmission", "cost"])
@given(rows=ROWS)
@settings(max_examples=40, deadline=None)
def test_reasons_add_up_and_answers_stay_in_range_for_any_row(
    target: str, rows: list[dict[str, object]]
) -> None:
    prediction = fitted(target).model.predict(pd.DataFrame(rows))
    assert prediction.contributions is not None
    total = prediction.base_value + prediction.contributions.sum(axis=1)
    assert np.abs(total - prediction.raw_output).max() < 1e-6
    assert np.isfinite(prediction.value).all()
    assert ((prediction.percentile >= 0) & (prediction.percentile <= 1)).all()
    if prediction.low is not None and prediction.high is not None:
        assert (prediction.low <= prediction.high).all()


@given(raw=st.lists(FINITE, min_size=2, max_size=50), intercept=FINITE, slope=st.floats(0.01, 10))
def test_calibration_never_changes_the_order_of_risks(
    raw: list[float], intercept: float, slope: float
) -> None:
    probability = LineCalibration("platt", intercept, slope).probability(np.sort(raw))
    assert (np.diff(probability) >= 0).all()
    assert ((probability >= 0) & (probability <= 1)).all()


@given(residuals=st.lists(FINITE, min_size=1, max_size=60), level=st.floats(0.05, 0.95))
def test_each_end_leaves_out_its_share_of_the_calibration_rows(residuals: list[float], level: float) -> None:
    ordered, tail = np.sort(residuals), (1 - level) / 2
    low, high = conformal_ends(ordered, level)
    if low is not None and high is not None:
        assert np.mean(ordered < low) <= tail + 1e-9
        assert np.mean(ordered > high) <= tail + 1e-9
    else:
        assert (len(ordered) + 1) * tail < 1 + 1e-6


@given(
    actual=st.lists(st.floats(0, 1e9), min_size=1, max_size=40),
    raw=st.floats(-5, 15),
    spread=st.floats(1e-3, 5),
    asked=st.lists(st.floats(0, 1e9), min_size=2, max_size=10),
)
def test_a_distribution_rises(actual: list[float], raw: float, spread: float, asked: list[float]) -> None:
    n = len(actual)
    nobody = np.full(n, None, dtype=object)
    found = fit_distribution(
        np.full(n, raw), np.full(n, spread), nobody, np.array(actual), "money", level=0.8, group_feature=""
    )
    assert all(found.problems().values())
    m = len(asked)
    amounts = found.of(np.full(m, raw), np.full(m, spread), np.full(m, None, dtype=object), "money")
    assert (np.diff(amounts.quantiles(slice(0, 1))[0]) >= 0).all()
    low, high = amounts.interval
    assert 0 <= low[0] <= high[0]
    above = amounts.probability_above(np.sort(asked))
    assert (np.diff(above) <= 0).all()
    assert ((above > 0) & (above < 1)).all()


@given(values=st.lists(FINITE, min_size=1, max_size=80), asked=st.lists(FINITE, min_size=2, max_size=20))
def test_a_higher_prediction_never_has_a_lower_percentile(values: list[float], asked: list[float]) -> None:
    places = percentiles_of(np.sort(asked), percentile_grid(np.array(values)))
    assert (np.diff(places) >= 0).all()
    assert ((places >= 0) & (places <= 1)).all()


@given(
    base=st.floats(allow_nan=False, allow_infinity=False),
    intercept=st.floats(allow_nan=False, allow_infinity=False),
    note=st.text(max_size=30),
)
@settings(max_examples=40, deadline=None)
def test_any_finite_number_and_any_text_is_read_back_as_it_was_written(
    base: float, intercept: float, note: str
) -> None:
    fit = fitted("readmission")
    artefact = replace(
        fit.model.artefact,
        base_value=base,
        calibration=LineCalibration("shift", intercept, reason=note),
        training=Training("real", {"note": note}, facts={"number": base}),
    )
    with tempfile.TemporaryDirectory() as folder:
        digest = write_artefact(Path(folder) / "model", artefact, fit.boosters)
        assert read_artefact(Path(folder) / "model", digest)[0] == artefact
