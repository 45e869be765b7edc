"""By which measure models of a kind are ranked, and by which the level of their predictions is judged.

Amounts are ranked by the deviance explained, which the true mean is expected to reach the most. The share of
absolute error is least for medians: of amounts with a long tail it prefers whoever foresees too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["risk", "amount"]


@dataclass(frozen=True)
class Primary:
    """The measure of single predictions, that of their level as a whole, and the latter's ideal."""

    name: str
    is_higher_better: bool
    level: str
    level_ideal: float


PRIMARY: dict[Kind, Primary] = {
    "risk": Primary("auroc", True, "calibration_in_the_large", 0.0),
    "amount": Primary("d2", True, "bias", 1.0),
}
