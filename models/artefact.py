"""The model artefact: all of a model but its boosters, and the check that it does not contradict itself."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from features.errors import UserError
from features.points import Point
from models.bands import N_PERCENTILES
from models.calibration import Calibration
from models.distribution import Distribution
from models.encoding import FeatureSpec
from models.units import SCALES, Kind, Scale, Unit, kind_of

RISK_BOOSTERS = ("model",)
AMOUNT_BOOSTERS = ("model", "spread")


class ArtefactError(UserError):
    """An artefact cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Context:
    """What the model's numbers refer to: another context makes them meaningless."""

    time_zone: str
    currency: str
    code_systems: dict[str, str]
    cost_basis: str


@dataclass(frozen=True)
class Training:
    """What a model learned from.

    `timeline` is the data set's. `label` is the rule by which the labels came about: measures of models with
    different rules cannot be compared. No row from the day `test_from` on was learned from or calibrated on;
    it is None where no day tells such rows. `facts` are for people: nothing may be decided by them.
    """

    timeline: Literal["real", "shifted", "none"]
    label: dict[str, Any]
    test_from: dt.date | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """All of it as plain values, by name."""
        test_from = {} if self.test_from is None else {"test_from": self.test_from.isoformat()}
        return {"timeline": self.timeline, "label": self.label, **test_from, **self.facts}


@dataclass(frozen=True)
class Artefact:
    """All of a model but its boosters.

    `name` is `target-point`. `landmark_hours` counts from admission to the point `admission`; the lags say
    how long after discharge codes and totals count as known (`FeatureSettings`): whoever asks the model
    builds its features with these three. `bands`
    are the two cuts and `percentiles` the 101-point grid of the calibration slice's values.
    `base_value` is the mean raw output that contributions start from. `metrics` holds one of value,
    low, high for each metric.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    target: str
    point: str
    unit: Unit
    context: Context
    landmark_hours: float
    coding_lag_hours: float
    cost_lag_hours: float
    features: tuple[FeatureSpec, ...]
    fingerprint: str
    calibration: Calibration | None
    distribution: Distribution | None
    bands: tuple[float, float]
    percentiles: tuple[float, ...]
    base_value: float
    training: Training
    metrics: dict[str, Any]
    intended_use: str

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.features]
        rules = {
            "its name is not its target and point": self.name == f"{self.target}-{self.point}",
            "its point is unknown": self.point in list(Point),
            "only an amount has a distribution": (self.distribution is not None) == (self.kind == "amount"),
            "it has no features, or one twice": 0 < len(names) == len(set(names)),
            "its landmark or a lag is negative": min(
                self.landmark_hours, self.coding_lag_hours, self.cost_lag_hours
            )
            >= 0,
            "its bands fall": self.bands[0] <= self.bands[1],
            "its percentiles are not 101 rising values": len(self.percentiles) == N_PERCENTILES
            and list(self.percentiles) == sorted(self.percentiles),
            "only a risk has a calibration": (self.calibration is not None) == (self.kind == "risk"),
            **({f"its calibration {fault}": False} if (fault := self._calibration_fault) else {}),
            **(self.distribution.problems() if self.distribution else {}),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ArtefactError(f"{self.name}: {'; '.join(broken)}.")

    @property
    def _calibration_fault(self) -> str:
        return "" if self.calibration is None else self.calibration.fault

    @property
    def kind(self) -> Kind:
        """Whether a probability or an amount is predicted."""
        return kind_of(self.unit)

    @property
    def scale(self) -> Scale:
        """What the booster's raw output and its contributions are measured in."""
        return SCALES[self.unit]

    @property
    def booster_files(self) -> tuple[str, ...]:
        """The names of its boosters: of `model.txt`, and for an amount `spread.txt`."""
        return RISK_BOOSTERS if self.kind == "risk" else AMOUNT_BOOSTERS
