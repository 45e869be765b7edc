"""Within which margins a measure counts as right: what the gate asks for, and what reports point at."""

from __future__ import annotations

import math
from collections.abc import Mapping

MARGINS: Mapping[str, tuple[float, float]] = {
    "calibration_slope": (0.8, 1.25),
    "calibration_in_the_large": (-0.2, 0.2),
    "bias": (0.9, 1.1),
}
COVERAGE_TOLERANCE = 0.05
"""How far the share of actual amounts within the interval may lie from the share that it promises."""


def margin(measure: str, level: float | None = None) -> tuple[float, float] | None:
    """The lowest and highest value that pass; None for a measure without a margin.

    `level` is the share that an interval promises, without which its coverage has none.
    """
    if measure == "interval_coverage":
        return None if level is None else (level - COVERAGE_TOLERANCE, level + COVERAGE_TOLERANCE)
    return MARGINS.get(measure)


def margins_off(measure: str, value: float, level: float | None = None) -> float:
    """How far a value lies from its ideal, counted in margins: above 1 it lies beyond.

    Ratios by their logarithm: 0.8 and 1.25 are equally far from 1. NaN without a margin.
    """
    ends = margin(measure, level)
    if ends is None:
        return math.nan
    low, high = ends
    if measure in ("bias", "calibration_slope"):
        if value <= 0:
            return math.inf
        return math.log(value) / math.log(high if value > 1 else low)
    middle = (low + high) / 2
    return abs(value - middle) / (high - middle)
