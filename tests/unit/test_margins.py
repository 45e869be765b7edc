"""How far a measure lies from its ideal, counted in the gate's margins."""

from __future__ import annotations

import math

import pytest

from evaluation.margins import margin, margins_off
from training.gate.settings import DEFAULTS


@pytest.mark.parametrize(
    ("measure", "value", "off"),
    [
        ("bias", 1.0, 0.0),
        # Its margin ends at 0.9 and 1.1.
        ("bias", 0.9, 1.0),
        ("bias", 1.1, 1.0),
        ("bias", 0.81, 2.0),  # 0.9 · 0.9
        ("bias", 0.0, math.inf),
        ("calibration_in_the_large", -0.3, 1.5),
        ("calibration_slope", 0.64, 2.0),  # 0.8 · 0.8
        # 0.8 is promised, give or take 0.05.
        ("interval_coverage", 0.7, 2.0),
    ],
)
def test_a_value_is_as_many_margins_off(measure: str, value: float, off: float) -> None:
    assert margins_off(measure, value, 0.8) == pytest.approx(off)


def test_what_has_no_margin_is_never_beyond_one() -> None:
    assert math.isnan(margins_off("auroc", 0.5))
    assert margin("interval_coverage") is None


def test_the_gate_asks_for_these_very_margins() -> None:
    assert margin("calibration_slope") == DEFAULTS.slope == (0.8, 1.25)
    assert margin("calibration_in_the_large") == DEFAULTS.calibration_in_the_large == (-0.2, 0.2)
    assert margin("bias") == DEFAULTS.bias == (0.9, 1.1)
    low, high = margin("interval_coverage", 0.8) or (0, 0)
    assert (low, high) == pytest.approx((0.8 - DEFAULTS.coverage_tolerance, 0.85))
