"""Prediction points: the moments of a stay at which a prediction is made."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args


class Point(StrEnum):
    """A prediction point, in the order in which a stay passes through them."""

    PREADMISSION = "preadmission"
    ADMISSION = "admission"
    DISCHARGE = "discharge"

    def knows(self, available_from: Point) -> bool:
        """Whether something first available at `available_from` is known at this point."""
        order = list(Point)
        return order.index(available_from) <= order.index(self)


PointName = Literal["preadmission", "admission", "discharge"]
"""A point as documents name it."""
assert set(get_args(PointName)) == set(Point)
