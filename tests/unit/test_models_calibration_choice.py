"""The simplest calibration is taken that does about as well as any on patients it was not fitted on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from evaluation.calibration import ici
from models.calibration import LineCalibration, Method
from models.calibration_choice import METHODS, Chosen, _standard_error, choose_calibration

SMOOTH = ("none", "shift", "platt", "beta")


def truth(name: str, raw: np.ndarray) -> np.ndarray:
    """True log-odds of a raw output that is wrong in one way."""
    return {
        "right": raw,
        "shifted": raw + 0.4,
        "extreme": -0.9 + 0.6 * raw,
        "bent": 0.5 - 0.5 * np.logaddexp(0, -raw) + 2.5 * np.logaddexp(0, raw),
        "steps": np.select([raw < -2, raw < -1], [-3.2, -1.8], -0.2),
    }[name]


def slice_of(name: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    raw = random.normal(-2, 1, n)
    return raw, (random.random(n) < expit(truth(name, raw))).astype(float)


def chosen(name: str, n: int = 8000, seed: int = 0) -> Chosen:
    raw, label = slice_of(name, n, seed)
    return choose_calibration(raw, label, np.arange(n), seed=0)


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("right", {"none"}),
        ("shifted", {"shift"}),
        ("extreme", {"platt"}),
        ("bent", {"beta"}),
        ("steps", {"isotonic", "venn_abers"}),
    ],
)
def test_each_miscalibration_is_mended_by_its_own_family(name: str, methods: set[Method]) -> None:
    found = chosen(name)
    assert found.calibration.method in methods
    fresh, label = slice_of(name, 40_000, seed=99)
    mended, untouched = found.calibration.probability(fresh), expit(fresh)
    if name == "right":
        np.testing.assert_array_equal(mended, untouched)
    else:
        assert ici(label, untouched) > 0.02
        assert ici(label, mended) < 0.012


def test_the_comparison_tells_every_methods_scores_and_one_is_chosen() -> None:
    found = chosen("extreme")
    assert [each.method for each in found.compared] == list(METHODS)
    assert [each.method for each in found.compared if each.is_chosen] == [found.calibration.method]
    documents = [each.document() for each in found.compared]
    assert all(0 < each["brier"] < each["log_loss"] for each in documents)
    assert documents[2]["chosen"]
    assert documents[2]["reason"] == found.calibration.reason
    assert "log loss" in found.calibration.reason


def test_the_scores_of_the_raw_output_are_those_of_the_whole_slice() -> None:
    # 100 rows of log-odds -ln 4, a fifth of them events; 100 of ln 4, four fifths.
    raw = np.repeat([-math.log(4), math.log(4)], 100)
    label = np.concatenate([np.repeat([1.0, 0.0], [20, 80]), np.repeat([1.0, 0.0], [80, 20])])
    none = choose_calibration(raw, label, np.arange(200), seed=0).compared[0]
    # -0.2 ln 0.2 - 0.8 ln 0.8 = 0.500402; 0.2 * 0.8² + 0.8 * 0.2² = 0.16.
    assert none.log_loss == pytest.approx(0.500402, abs=1e-6)
    assert none.brier == pytest.approx(0.16)
    assert none.is_chosen


def test_few_events_leave_the_raw_output_with_the_reason() -> None:
    raw = np.repeat([0.0, 1.0], 200)
    label = np.repeat([1.0, 0.0, 1.0, 0.0], [9, 191, 40, 160])
    found = choose_calibration(raw, label, np.arange(400), seed=0)
    assert found.calibration.method == "none"
    assert "49 events among 400 rows; 50 events" in found.calibration.reason
    assert [each.log_loss is None for each in found.compared] == [False, True, True, True, True, True]
    # Non-events are counted too.
    other = choose_calibration(raw, 1 - label, np.arange(400), seed=0)
    assert other.calibration.method == "none"


def test_curves_of_knots_want_500_events() -> None:
    # The truth is a step, and 499 events among 2,500 rows are too few to look for it.
    raw = np.repeat([-3.0, -2.0, -1.0], [1000, 1000, 500])
    label = np.zeros(2500)
    label[:20] = label[1000:1079] = label[2000:2400] = 1.0
    few = {each.method: each for each in choose_calibration(raw, label, np.arange(2500), seed=0).compared}
    assert "499 events among 2500 rows; 500 events" in few["isotonic"].reason
    assert few["venn_abers"].log_loss is None
    assert few["beta"].log_loss is not None
    label[2400] = 1.0
    enough = {each.method: each for each in choose_calibration(raw, label, np.arange(2500), seed=0).compared}
    assert enough["isotonic"].log_loss is not None


def test_what_falls_is_not_possible_and_the_level_is_mended() -> None:
    raw = np.repeat([0.0, 1.0], 5000)
    label = np.repeat([1.0, 0.0, 1.0, 0.0], [2500, 2500, 1500, 3500])
    found = choose_calibration(raw, label, np.arange(10_000), seed=0)
    assert found.calibration.method == "shift"
    assert found.calibration.probability(raw).sum() == pytest.approx(4000)
    reasons = {each.method: each.reason for each in found.compared}
    assert "does not rise" in reasons["platt"]
    assert "do not have more events" in reasons["isotonic"]


def test_the_rows_of_a_patient_do_not_stand_on_both_sides() -> None:
    """Had patients been split, a curve would know each one's level from the other rows."""
    random = np.random.default_rng(0)
    patient = np.repeat(np.arange(60), 40)
    # Each patient has an output of its own, which tells nothing, and all or none of its rows are events.
    raw = random.normal(size=60)[patient]
    label = (random.random(60) < 0.5).astype(float)[patient]
    grouped, split = (
        {each.method: each.log_loss for each in choose_calibration(raw, label, codes, seed=0).compared}
        for codes in (patient, np.arange(len(patient)))
    )
    assert grouped["venn_abers"] is not None
    assert split["venn_abers"] is not None
    # ln 2 = 0.693 is knowing nothing.
    assert split["venn_abers"] < 0.67
    assert grouped["venn_abers"] > 0.69


def test_the_standard_error_is_that_of_patients() -> None:
    # Differences 1 and 3, mean 2: sqrt(1 + 1) / 2. Each row twice, by the same patients: sqrt(4 + 4) / 4.
    assert _standard_error(np.array([1.0, 3.0]), np.array([0, 1])) == pytest.approx(math.sqrt(2) / 2)
    twice = _standard_error(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    assert twice == pytest.approx(math.sqrt(2) / 2)


def test_the_map_is_that_of_the_whole_slice() -> None:
    raw, label = slice_of("shifted", 8000, seed=0)
    shift = chosen("shifted").calibration
    assert isinstance(shift, LineCalibration)
    # Fitted on all rows, predicted and actual events agree in number.
    assert shift.probability(raw).sum() == pytest.approx(label.sum())


def test_a_right_raw_output_is_not_worsened_on_average() -> None:
    kept = [chosen("right", 3000, seed).calibration for seed in range(10)]
    fresh = np.random.default_rng(1).normal(-2, 1, 20_000)
    off = np.mean([np.abs(map_.probability(fresh) - expit(fresh)).mean() for map_ in kept])
    # A level that is always moved is off by 0.005: 0.8 standard errors of 1 / sqrt(3000 * 0.11), times 0.11.
    assert off < 0.003
