"""What holds of every calibration, whatever the slice it was fitted on."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from models.calibration import Method, NoMap, fit_calibration
from models.calibration_choice import METHODS, Chosen, choose_calibration

FEWEST: dict[Method, int] = {**dict.fromkeys(METHODS, 5), "none": 0}
"""Every method is tried on slices this small."""


@st.composite
def slices(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Raw log-odds with ties, labels that follow them more or less, and patients of one to three rows."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(20, 150))
    raw = random.normal(draw(st.floats(-4, 2)), draw(st.floats(0.1, 4)), n)
    raw = np.round(raw, draw(st.integers(0, 6)))
    truth = draw(st.floats(-2, 2)) + draw(st.floats(-0.5, 2)) * raw
    label = (random.random(n) < expit(truth)).astype(float)
    return raw, label, random.integers(0, n // 2, n)


def asked(raw: np.ndarray) -> np.ndarray:
    """The rows themselves, their neighbours among floats, all in between and far beyond."""
    near = np.concatenate([raw, np.nextafter(raw, np.inf), np.nextafter(raw, -np.inf)])
    return np.sort(np.concatenate([near, np.linspace(-30, 30, 601), [-1e6, 1e6]]))


def written(chosen: Chosen) -> str:
    """Every number of it as text, which tells floats apart to the last bit."""
    return json.dumps([asdict(chosen.calibration), [each.document() for each in chosen.compared]])


@pytest.mark.parametrize("method", METHODS)
@given(rows=slices())
@settings(max_examples=60, deadline=None)
def test_every_map_rises_and_is_never_certain(
    method: Method, rows: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    raw, label, _ = rows
    try:
        calibration = fit_calibration(method, raw, label)
    except NoMap:
        assume(False)
        return
    assert calibration.fault == ""
    probability = calibration.probability(asked(raw))
    assert (np.diff(probability) >= 0).all()
    assert ((probability > 0) & (probability < 1)).all()


@given(rows=slices(), seed=st.integers(0, 1000), order=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_moves_no_bit_and_the_names_of_patients_none_but_their_own(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int, order: int
) -> None:
    raw, label, patient = rows
    first = choose_calibration(raw, label, patient, seed=seed, fewest_events=FEWEST)
    moved = np.random.default_rng(order).permutation(len(raw))
    again = choose_calibration(raw[moved], label[moved], patient[moved], seed=seed, fewest_events=FEWEST)
    assert written(again) == written(first)
    # Names that sort as the codes do are the same patients.
    names = np.array([f"P{code:04d}" for code in patient], dtype=object)
    assert written(choose_calibration(raw, label, names, seed=seed, fewest_events=FEWEST)) == written(first)


@given(rows=slices())
@settings(max_examples=40, deadline=None)
def test_the_one_that_is_chosen_is_possible_and_told_apart(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    chosen = choose_calibration(*rows, seed=0, fewest_events=FEWEST)
    (one,) = [each for each in chosen.compared if each.is_chosen]
    assert one.method == chosen.calibration.method
    assert one.log_loss is not None
    assert chosen.calibration.fault == ""
    assert chosen.calibration.reason
    assert all((each.log_loss is None) == (each.reason != "") for each in chosen.compared if each != one)
