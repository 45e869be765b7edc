"""Every number of the definitions that a hospital may set differently, with its default."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from features.outcomes.prices import PriceIndex

# Marks what limits the machine and decides no value.
_LIMIT = {"is_limit": True}


@dataclass(frozen=True)
class FeatureSettings:
    """Settings of cohort, labels and features, and the limits of the data engine.

    `landmark_hours` after admission is the prediction time of the point `admission`; windows and
    `max_stay_days` are days; `coding_lag_hours` and `cost_lag_hours` say how long after discharge
    diagnoses, procedures and totals (and after a visit its cost) are known where the extract has no
    `known_at`. Episode costs are nominal, or at prices of `price_year` by `price_index`, which must hold that
    year (`read_price_index`). `optional_features`: build the catalogue's optional features too.
    """

    landmark_hours: float = 24.0
    minimum_age: int = 18
    readmission_window_days: int = 30
    cost_window_days: int = 30
    max_stay_days: int = 60
    coding_lag_hours: float = 0.0
    cost_lag_hours: float = 0.0
    price_year: int | None = None
    price_index: PriceIndex = ()
    optional_features: bool = False
    threads: int = field(default=2, metadata=_LIMIT)
    memory_limit_mb: int = field(default=700, metadata=_LIMIT)

    def __post_init__(self) -> None:
        for name in ("landmark_hours", "coding_lag_hours", "cost_lag_hours"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative; give hours of 0 or more")
        for name in ("readmission_window_days", "cost_window_days", "max_stay_days"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative; give days of 0 or more")
        if self.price_year is not None and self.price_year not in dict(self.price_index):
            raise ValueError(f"price_year: the price index has no value for {self.price_year}; add the year")

    def definitions(self) -> dict[str, Any]:
        """The settings that decide what the rows hold, as plain values by name: not the engine's limits."""
        limits = {each.name for each in fields(self) if each.metadata.get("is_limit")}
        named = {name: value for name, value in asdict(self).items() if name not in limits}
        return named | {"price_index": [list(each) for each in self.price_index]}


DEFAULT_SETTINGS = FeatureSettings()
