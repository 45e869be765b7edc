"""Standardised differences between development and test, over 0.1 commonly called notable.

Sources: Austin, Statistics in Medicine 2009;28:3083–3107; for categories Yang and Dalton, SAS Global
Forum 2012, paper 335.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.counts import FEWEST_ROWS, digits
from training.split import Rows

Sides = tuple[Rows, Rows]
"""Rows of development (training and calibration), and of the test."""


def difference(values: NDArray[np.float64], sides: Sides | None) -> float | None:
    """Difference of means ÷ the root of the mean variance, test minus development; None if either has few."""
    if sides is None:
        return None
    first, second = (values[rows][~np.isnan(values[rows])] for rows in sides)
    if min(len(first), len(second)) < FEWEST_ROWS:
        return None
    spread = float(np.sqrt((first.var() + second.var()) / 2))
    return digits((second.mean() - first.mean()) / spread) if spread > 0 else 0.0


def category_difference(codes: NDArray[np.float64], sides: Sides | None) -> float | None:
    """Yang and Dalton: the distance of the two vectors of shares by their mean covariance, without sign."""
    if sides is None:
        return None
    known = [codes[rows][~np.isnan(codes[rows])].astype(int) for rows in sides]
    if min(len(found) for found in known) < FEWEST_ROWS:
        return None
    n_levels = int(max(found.max() for found in known)) + 1
    # The last level follows from the others.
    first, second = (np.bincount(found, minlength=n_levels)[:-1] / len(found) for found in known)
    covariance = sum(np.diag(shares) - np.outer(shares, shares) for shares in (first, second)) / 2
    gap = second - first
    return digits(np.sqrt(max(float(gap @ np.linalg.pinv(covariance) @ gap), 0.0)))
