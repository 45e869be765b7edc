"""Numbers of the results with their intervals, as the gate reads and tells them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; the ends are not finite where no interval was computed."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def read(cls, document: object) -> Estimate | None:
        """Read `{"value", "low", "high"}` or a bare number; None if there is no finite value."""
        parts = document if isinstance(document, Mapping) else {"value": document}
        value, low, high = (number(parts.get(name)) for name in ("value", "low", "high"))
        return cls(value, low, high) if math.isfinite(value) else None

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return math.isfinite(self.low + self.high)

    def over(self, n_looks: int) -> Estimate:
        """The interval that holds with 95 % over so many looks together (Bonferroni, each side to scale)."""
        wider = _NORMAL.inv_cdf(1 - 0.025 / n_looks) / _NORMAL.inv_cdf(0.975)
        return Estimate(
            self.value,
            self.value - wider * (self.value - self.low),
            self.value + wider * (self.high - self.value),
        )


def advantage(difference: object, *, is_higher_better: bool) -> Estimate | None:
    """Turn a difference, model minus other, so that positive is better; None if it has no value."""
    found = Estimate.read(difference)
    if found is None or is_higher_better:
        return found
    return Estimate(-found.value, -found.high, -found.low)


def by(advantage: float) -> str:
    """How much better, or worse, a model is, in words."""
    return f"worse by {-advantage:.3f}" if round(advantage, 3) < 0 else f"better by {advantage:+.3f}"


def interval(found: Estimate, form: str, n_looks: int = 1) -> str:
    """The interval in words, each end in this form; over how many looks it holds."""
    if not found.has_interval:
        return "without an interval"
    together = f" over {n_looks} looks" if n_looks > 1 else ""
    return f"95 % interval{together} {found.low:{form}} to {found.high:{form}}"


def number(value: object) -> float:
    """The value as a float; NaN for what is no number."""
    return float(value) if isinstance(value, int | float) else math.nan
