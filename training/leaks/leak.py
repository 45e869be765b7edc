"""A suspicion that a feature tells the outcome from behind, in words for who knows the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Check = Literal["alone", "after_outcome", "missingness", "shuffled_time"]


@dataclass(frozen=True)
class Leak:
    """What one check found of one feature: `value` is beyond `limit`, both in the measure that `text` names.

    `feature` is `prediction_time` or `row_order` where the order of the rows is what tells. The text holds
    numbers over groups of rows alone, never a patient's value.
    """

    feature: str
    check: Check
    text: str
    value: float
    limit: float

    def document(self) -> dict[str, Any]:
        """As in the document of results."""
        return asdict(self)
