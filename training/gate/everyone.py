"""What the gate asks of the model on all rows together: skill, baselines, calibration, explanations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.primary import PRIMARY, Kind
from training.gate.decision import Check
from training.gate.estimate import Estimate, advantage, by, interval, number
from training.gate.settings import GateSettings

CHANCE = 0.5
"""The AUROC of a risk that knows nothing."""


def skilled(model: Estimate) -> Check:
    """Whether a risk of this AUROC is shown to know something."""
    return Check(
        model.low > CHANCE,
        f"auroc {model.value:.3f}, {interval(model, '.3f')} (must be above {CHANCE}, which is chance).",
    )


def against_baselines(
    model: Estimate, baselines: Mapping[str, Any], kind: Kind, settings: GateSettings
) -> Iterator[Check]:
    """Whether the model is better than every simple baseline, and not worse than a regression."""
    primary = PRIMARY[kind]
    advantages = {}
    for name, document in baselines.items():
        if "missing" in document:
            continue
        ahead = advantage(document.get("difference"), is_higher_better=primary.is_higher_better)
        if ahead is None:
            yield Check(False, f"the difference from {name} could not be computed.")
        else:
            advantages[name] = ahead
    simple = [name for name in advantages if name not in settings.regressions]
    if not simple and kind == "amount":
        yield Check(False, f"{primary.name} {model.value:.3f} is compared with no simple baseline.")
    strongest = min(simple, key=lambda name: advantages[name].value, default=None)
    for name, ahead in advantages.items():
        text = _compared(primary.name, model, name, baselines[name])
        better = f"{by(ahead.value)}, {interval(ahead, '+.3f')}"
        if name in settings.regressions:
            margin = settings.regression_margin
            # A difference of exactly the margin is not exact in binary; it passes.
            passed = ahead.value >= -margin - 1e-9
            yield Check(passed, f"{text}: {better} (must not be worse by more than {margin:.3f}).")
        elif name == strongest:
            passed = ahead.value > 0 and ahead.low > 0
            yield Check(passed, f"{text}, the strongest simple baseline: {better} (must be above 0).")
        else:
            yield Check(ahead.value > 0, f"{text}: {better} (must be better).")


def _compared(metric: str, model: Estimate, name: str, baseline: Mapping[str, Any]) -> str:
    share = baseline["share_scored"]
    if share < 1:
        return f"{metric} on the {share:.1%} of rows that have {name}"
    found = Estimate.read(baseline.get(metric))
    against = name if found is None else f"{found.value:.3f} for {name}"
    return f"{metric} {model.value:.3f} against {against}"


def risk_calibrated(metrics: Mapping[str, Any], settings: GateSettings) -> list[Check]:
    """Whether a risk agrees with what happened, by slope and in the large."""
    return [
        _within(metrics, "calibration_slope", settings.slope),
        _within(metrics, "calibration_in_the_large", settings.calibration_in_the_large),
    ]


def amount_calibrated(metrics: Mapping[str, Any], level: float | None, settings: GateSettings) -> list[Check]:
    """Whether an amount agrees with what happened, in all and by the `level` that its interval promises."""
    bias = _within(metrics, "bias", settings.bias)
    if level is None:
        text = "the level of the interval is not known, so its coverage cannot be judged."
        return [bias, Check(False, text)]
    around = (level - settings.coverage_tolerance, level + settings.coverage_tolerance)
    return [bias, _within(metrics, "interval_coverage", around)]


def _within(metrics: Mapping[str, Any], name: str, bounds: tuple[float, float]) -> Check:
    low, high = bounds
    wanted = f"must be {low:.2f} to {high:.2f}"
    found = Estimate.read(metrics.get(name))
    if found is None:
        return Check(False, f"{name} could not be computed ({wanted}).")
    # A bound such as 0.8 - 0.05 is not exact in binary; a value on the edge passes.
    passed = low - 1e-9 <= found.value <= high + 1e-9
    return Check(passed, f"{name} {found.value:.3f} ({wanted}).")


def explained(explanation: Mapping[str, Any], settings: GateSettings) -> Iterator[Check]:
    """Whether contributions add up to the raw output, and come fast enough to be waited for."""
    gap, speed = (number(explanation.get(name)) for name in ("largest_gap", "rows_per_second"))
    if not math.isfinite(gap):
        yield Check(False, "whether contributions add up to the raw output could not be computed.")
    else:
        text = f"contributions of {explanation['n']} rows add up to the raw output within {gap:.1g}"
        yield Check(gap <= settings.largest_gap, f"{text} (must be within {settings.largest_gap:g}).")
    if not math.isfinite(speed):
        yield Check(False, "the speed of explained predictions could not be measured.")
    else:
        text = f"{speed:,.0f} explained predictions a second on one thread"
        floor = settings.slowest_rows_per_second
        yield Check(speed >= floor, f"{text} (must be at least {floor:,.0f}).")
