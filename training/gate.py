"""The gate: whether the numbers allow a model to become champion, with the reasons in words.

A pure function of the results document. All of these must hold:

1. *Better than the baselines*: on the primary metric (AUROC for a risk, WAPE for a cost; on the same rows
   WAPE and MAE rank alike) better than every baseline that could be computed. Against the strongest simple
   one – a published score, a count, a group mean; not a regression on the model's own features – the 95 %
   interval of the paired difference must lie above 0, where the results give one.
2. *Calibrated*: a risk by slope and calibration-in-the-large; a cost by predicted ÷ actual and by the share
   of actual costs within the interval.
3. *Not worse than the champion*, if there is one: on rows later than both models' calibration slices the
   95 % interval of the paired difference must lie above minus the margin (non-inferiority).

Paired differences are of the primary metric, this model minus the other, as `evaluation` computes them.

A number that is missing or not finite never passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GateSettings:
    """The thresholds of the gate; a hospital may set each. The ends of a range pass."""

    slope: tuple[float, float] = (0.8, 1.25)
    calibration_in_the_large: tuple[float, float] = (-0.2, 0.2)
    bias: tuple[float, float] = (0.9, 1.1)
    coverage_tolerance: float = 0.05
    champion_margin: float = 0.01
    """By how much of the primary metric a challenger may be worse and still count as not worse."""
    regressions: frozenset[str] = frozenset({"logistic", "gamma"})
    """Baselines fitted on the model's own features."""
    regression_margin: float = 0.01
    """By how much of the primary metric a regression on the same features may be better."""


DEFAULTS = GateSettings()


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
        value, low, high = (_number(parts.get(name)) for name in ("value", "low", "high"))
        return cls(value, low, high) if math.isfinite(value) else None


@dataclass(frozen=True)
class ChampionComparison:
    """Challenger against champion on the same rows, later than both models' calibration slices.

    `difference` is `{"value", "low", "high"}` of the primary metric, challenger minus champion; None where
    there are no such rows.
    """

    version: int
    n_rows: int
    difference: Mapping[str, Any] | None


@dataclass(frozen=True)
class Gate:
    """The decision, and one sentence for each rule that was looked at, failed ones first."""

    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Primary:
    """The metric on which models of a kind are ranked."""

    name: str
    is_higher_better: bool

    def advantage(self, difference: object) -> Estimate | None:
        """Turn a difference, model minus other, so that positive is better; None if it has no interval."""
        found = Estimate.read(difference)
        if found is None or not math.isfinite(found.low + found.high):
            return None
        return found if self.is_higher_better else Estimate(-found.value, -found.high, -found.low)


PRIMARY = {"risk": Primary("auroc", True), "cost": Primary("wape", False)}


def kind_of(results: Mapping[str, Any]) -> str:
    """Return `risk` or `cost`, told by the metrics that the results hold.

    Raises ValueError if they hold neither kind's primary metric.
    """
    for kind, primary in PRIMARY.items():
        if primary.name in results.get("metrics", {}):
            return kind
    raise ValueError("results: metrics hold neither auroc nor wape, so there is nothing to decide on.")


def decide(
    results: Mapping[str, Any],
    champion: ChampionComparison | None = None,
    *,
    interval_level: float | None = None,
    settings: GateSettings = DEFAULTS,
) -> Gate:
    """Decide whether the model with these results may become champion.

    `interval_level` is the share of actual costs that the model's interval promises to hold (costs only).
    Raises ValueError if the results hold no primary metric at all.
    """
    kind = kind_of(results)
    primary = PRIMARY[kind]
    model = Estimate.read(results["metrics"][primary.name])
    checks: list[tuple[bool, str]]
    if model is None:
        checks = [(False, f"{primary.name} could not be computed on the test slice.")]
    else:
        checks = list(_against_baselines(model, results.get("baselines", {}), primary, settings))
    calibration = _risk_calibration if kind == "risk" else _cost_calibration
    checks += calibration(results["metrics"], interval_level, settings)
    if champion is not None:
        checks.append(_against_champion(champion, primary, settings))
    failed = tuple(f"Failed: {text}" for passed, text in checks if not passed)
    return Gate(not failed, failed + tuple(f"Passed: {text}" for passed, text in checks if passed))


def _against_baselines(
    model: Estimate, baselines: Mapping[str, Any], primary: Primary, settings: GateSettings
) -> Iterator[tuple[bool, str]]:
    scores = {name: Estimate.read(document.get(primary.name)) for name, document in baselines.items()}
    available = {name: score for name, score in scores.items() if score is not None}
    if not available:
        yield False, f"no baseline could be computed, so {primary.name} {model.value:.3f} stands alone."
        return
    simple = {name: score for name, score in available.items() if name not in settings.regressions}
    best = max if primary.is_higher_better else min
    strongest = best(simple, key=lambda name: simple[name].value, default=None)
    for name, score in available.items():
        ahead = model.value - score.value if primary.is_higher_better else score.value - model.value
        is_better = ahead > 0
        text = f"{primary.name} {model.value:.3f} against {score.value:.3f} for {name}"
        if name in settings.regressions:
            margin = settings.regression_margin
            yield ahead >= -margin - 1e-9, f"{text} (must not be worse by more than {margin:.3f})."
            continue
        paired = primary.advantage(baselines[name].get("difference")) if name == strongest else None
        if paired is None:
            yield is_better, f"{text} (must be better)."
            continue
        yield (
            is_better and paired.low > 0,
            f"{text}, the strongest simple baseline: better by {paired.value:+.3f}, "
            f"95 % interval {paired.low:+.3f} to {paired.high:+.3f} (must be above 0).",
        )


def _risk_calibration(
    metrics: Mapping[str, Any], _level: float | None, settings: GateSettings
) -> list[tuple[bool, str]]:
    return [
        _within(metrics, "calibration_slope", settings.slope),
        _within(metrics, "calibration_in_the_large", settings.calibration_in_the_large),
    ]


def _cost_calibration(
    metrics: Mapping[str, Any], level: float | None, settings: GateSettings
) -> list[tuple[bool, str]]:
    bias = _within(metrics, "bias", settings.bias)
    if level is None:
        return [
            bias,
            (False, "the level of the cost interval is not known, so its coverage cannot be judged."),
        ]
    around = (level - settings.coverage_tolerance, level + settings.coverage_tolerance)
    return [bias, _within(metrics, "interval_coverage", around)]


def _within(metrics: Mapping[str, Any], name: str, bounds: tuple[float, float]) -> tuple[bool, str]:
    low, high = bounds
    wanted = f"must be {low:.2f} to {high:.2f}"
    found = Estimate.read(metrics.get(name))
    if found is None:
        return False, f"{name} could not be computed ({wanted})."
    # A bound such as 0.8 - 0.05 is not exact in binary; a value on the edge passes.
    passed = low - 1e-9 <= found.value <= high + 1e-9
    return passed, f"{name} {found.value:.3f} ({wanted})."


def _against_champion(
    champion: ChampionComparison, primary: Primary, settings: GateSettings
) -> tuple[bool, str]:
    against, floor = f"against champion version {champion.version}", -settings.champion_margin
    found = primary.advantage(champion.difference)
    if found is None or champion.n_rows == 0:
        return False, f"{against} there are no rows later than both calibration slices."
    return found.low >= floor, (
        f"{against} on {champion.n_rows} common later rows: {primary.name} better by {found.value:+.3f}, "
        f"95 % interval {found.low:+.3f} to {found.high:+.3f} (must be above {floor:+.3f})."
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
