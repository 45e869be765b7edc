"""Bands and percentiles are places among the calibration slice's predictions."""

from __future__ import annotations

import numpy as np
import pytest

from models.bands import bands_of, cut_points, percentile_grid, percentiles_of


def test_bands_are_cut_at_the_70th_and_90th_percentile() -> None:
    # Of 0 … 100 the 70th and 90th percentile are 70 and 90; a value on a cut stays below it.
    cuts = cut_points(np.arange(101.0))
    assert cuts == (70.0, 90.0)
    assert bands_of(np.array([0.0, 70.0, 70.1, 90.0, 90.1, 500.0]), cuts) == [
        "low",
        "low",
        "medium",
        "medium",
        "high",
        "high",
    ]


def test_where_all_predictions_are_alike_nobody_is_high() -> None:
    values = np.full(50, 0.1)
    assert set(bands_of(values, cut_points(values))) == {"low"}


def test_a_percentile_is_the_interpolated_place_in_the_grid() -> None:
    grid = percentile_grid(np.arange(0, 1010, 10.0))
    # 0, 10 … 1000 have their percentiles at 0.00, 0.01 … 1.00; 255 lies half way between 0.25 and 0.26.
    assert percentiles_of(np.array([-5.0, 0.0, 255.0, 1000.0, 2000.0]), grid) == pytest.approx(
        [0.0, 0.0, 0.255, 1.0, 1.0]
    )


def test_the_place_of_a_common_value_is_the_middle_of_its_places() -> None:
    # 0 fills the places 0 to 0.50 of 101 values, 1 the rest from 0.51 to 1.
    grid = (0.0,) * 51 + (1.0,) * 50
    assert percentiles_of(np.array([0.0, 1.0]), grid) == pytest.approx([0.25, 0.755])
