"""What is predicted: each target's label, kind and prediction points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UserError
from features.points import Point
from models.units import Kind, Unit, kind_of


class TrainingError(UserError):
    """A model cannot be trained on this data set; the message says what it needs."""


@dataclass(frozen=True)
class Target:
    """One thing to predict: `label` is its column, `meaning` what the number says, for the card.

    A risk is a probability; an amount is money or days, of 0 or more, with a predictive distribution.
    `caution` says what a number may be mistaken for; empty where nothing of the label calls for it.
    """

    name: str
    unit: Unit
    label: str
    points: tuple[Point, ...]
    meaning: str
    caution: str = ""

    @property
    def kind(self) -> Kind:
        """Whether a probability or an amount is predicted."""
        return kind_of(self.unit)

    @property
    def label_end(self) -> str:
        """The column with the date on which the label's window ended."""
        return f"row_label_end_on_{self.name}"

    def labels(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The label of each row: 0 or 1 for a risk, money or days for an amount, NaN where it is missing."""
        return np.asarray(frame[self.label].to_numpy(dtype=np.float64, na_value=np.nan))

    def intended_use(self, point: Point, label: Mapping[str, Any]) -> str:
        """The sentence that opens the model card. `label` is the rule by which the labels came about."""
        meaning = self.meaning
        if self.name == "readmission" and label.get("kind") == "given":
            # Planned ones may be among them: only the extract knows.
            meaning = (
                f"the probability of a readmission ({label.get('definition', 'as the extract gives it')})"
            )
        if "window_days" in label:
            days = f"{label['window_days']} days"
            meaning = meaning.replace("the window after discharge", f"{days} after discharge").replace(
                "cost of the episode", f"cost of the episode and of stays within {days} after discharge"
            )
        before = "" if point is Point.DISCHARGE or self.name != "readmission" else IF_DISCHARGED
        caution = f" {self.caution}" if self.caution else ""
        purpose = "to help clinicians and planners set priorities"
        return f"Estimates {meaning}{before}, at {point}, {purpose}.{caution}"


IF_DISCHARGED = ", if the patient is discharged alive and not transferred"
CUT_SHORT = (
    "A stay that ends early by death or transfer counts as the short, cheap stay that it was: a low number "
    "does not say that a patient does well."
)

TARGETS = {
    target.name: target
    for target in (
        Target(
            "readmission",
            "probability",
            "label_readmission",
            (Point.PREADMISSION, Point.ADMISSION, Point.DISCHARGE),
            "the probability of an unplanned readmission within the window after discharge",
        ),
        Target(
            "complication",
            "probability",
            "label_complication",
            (Point.PREADMISSION, Point.ADMISSION),
            "the probability of a complication during the stay",
        ),
        Target(
            "cost",
            "money",
            "label_episode_cost",
            (Point.PREADMISSION, Point.ADMISSION),
            "the expected cost of the episode with an interval",
            "The costs of a patient who dies end there: a low number does not say that a patient does well.",
        ),
        Target(
            "charges",
            "money",
            "label_index_charges",
            (Point.PREADMISSION, Point.ADMISSION),
            "the expected charges of the stay itself, which a payment is settled against, with an interval",
            CUT_SHORT,
        ),
        Target(
            "stay_days",
            "days",
            "label_stay_days",
            (Point.PREADMISSION, Point.ADMISSION),
            "the expected length of the stay in days (midnights) with an interval",
            CUT_SHORT,
        ),
    )
}


def target_at(name: str, point: Point) -> Target:
    """Look a target up for a prediction point. Raises TrainingError if it is not predicted there."""
    if name not in TARGETS:
        raise TrainingError(f"target {name}: unknown. Choose one of {', '.join(TARGETS)}.")
    target = TARGETS[name]
    if point not in target.points:
        raise TrainingError(
            f"target {name}: not predicted at {point}. "
            f"Build the data set for one of {', '.join(target.points)}."
        )
    return target
