"""The gate: whether the numbers allow a model to become champion, with the reasons in words.

A pure function of the results document. All of these must hold:

1. *Skilled*: the lower 95 % end of a risk's AUROC lies above 0.5. An amount always has a simple baseline, the
   mean of everyone, and falls under the next rule.
2. *Better than the baselines*, by the primary metric (AUROC for a risk, the deviance explained, D², for an
   amount): better than every simple one – a published score, a count, a mean – and against
   the strongest of them with the whole 95 % interval. The strongest is the one that the model is least ahead
   of. A regression on the model's own features may be better by the margin.
3. *Calibrated*: a risk by slope and calibration-in-the-large; an amount by predicted ÷ actual and by the
   share of actual amounts within the interval.
4. *Better than the champion*, if there is one: on rows later than both models' calibration slices the 95 %
   interval of the paired difference must lie above 0. Every change of model moves the risks and reasons of
   patients in the wards, so it needs a proven gain. A hospital that renews its models by the calendar, to
   keep up with its patients, sets `champion_rule` to `not_worse`: above minus the margin (non-inferiority).
5. *No group shown to be harmed* beyond a margin. Two things are looked at in each, ranking and level: against
   the champion, and, unless the champion served the group no better, against everyone. Harm is shown where
   the whole interval lies beyond the margin, at 95 % over all looks of a comparison together (Bonferroni):
   among twenty groups, one would otherwise often seem harmed by chance. That refuses a model on proof alone;
   it does not clear it. Whose own interval lies beyond the margin is told as something to look at, the worst
   group is named where harm is not shown, and so is each that is too small to tell.
6. *Explained*: contributions and base value add up to the raw output, and come fast enough to be waited for.

Every comparison is the paired difference of the primary metric, this model minus the other, on the rows that
both have predicted, as `evaluation` computes it.

A number of everyone that is missing or not finite never passes; of a group, it shows no harm.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

from evaluation.primary import PRIMARY as MEASURES
from training.counts import WITHHELD, told

_NORMAL = NormalDist()
ChampionRule = Literal["better", "not_worse"]


@dataclass(frozen=True)
class GateSettings:
    """The thresholds of the gate. The ends of a range pass."""

    slope: tuple[float, float] = (0.8, 1.25)
    calibration_in_the_large: tuple[float, float] = (-0.2, 0.2)
    bias: tuple[float, float] = (0.9, 1.1)
    coverage_tolerance: float = 0.05
    champion_rule: ChampionRule = "better"
    """Whether a challenger must be shown to be better than the champion, or only not to be worse."""
    champion_margin: float = 0.01
    """By how much of the primary metric a challenger may be worse and still count as not worse."""
    group_lead: float = 0.25
    """Share of everyone's lead on knowing nothing that each group must reach.

    Everyone's AUROC itself is no measure: patients of one group are more alike, and so harder to rank, though
    none is harmed. A quarter is left where predictions vary a quarter as much as everyone's.
    """
    group_margin: float = 0.02
    """By how much of the primary metric a group may be predicted worse than by the champion."""
    group_log_odds: float = 0.3
    """How far a group's calibration-in-the-large may lie from everyone's: its odds are off by a third."""
    group_bias: float = 1.25
    """How many times everyone's predicted ÷ actual a group's may be, or that part of it."""
    group_shift: float = 0.1
    """How much further off than by the champion a group may be: log-odds, or predicted ÷ actual."""
    largest_gap: float = 1e-6
    """Between a raw output and the sum of what explains it."""
    slowest_rows_per_second: float = 100.0
    """Explained predictions of one thread: a ward of 30 beds in a third of a second."""
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


@dataclass(frozen=True)
class CommonExposed:
    """Which of a comparison's rows are of the time when models were acted upon (`training.exposure`).

    `n_rows` of them from the day `since` on, and the `difference_before` that day; None where the rows before
    or since are too few to be judged alone.
    """

    since: dt.date
    n_rows: int
    difference_before: Mapping[str, Any] | None


@dataclass(frozen=True)
class ChampionComparison:
    """Challenger against champion on the same rows, later than both models' calibration slices.

    `difference` is `{"value", "low", "high"}` of the primary metric, challenger minus champion. Where the two
    cannot be compared it is None, and `reason` says why. `groups` holds the same by group, as
    `evaluation.groups.difference_by_group` has it.
    """

    version: int
    n_rows: int
    difference: Mapping[str, Any] | None
    reason: str = ""
    groups: Sequence[Mapping[str, Any]] = ()
    exposed: CommonExposed | None = None


@dataclass(frozen=True)
class Check:
    """One rule that was looked at, whether it holds, and the numbers in a sentence."""

    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{'Passed' if self.passed else 'Failed'}: {self.text}"


@dataclass(frozen=True)
class Gate:
    """The decision: every rule that was looked at, failed ones first."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule holds; a gate that looked at nothing lets nothing through."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The checks as sentences, for people."""
        return tuple(str(check) for check in self.checks)

    def document(self) -> dict[str, Any]:
        """The decision as JSON: `checks` for programs, `reasons` for people."""
        return {
            "passed": self.passed,
            "reasons": list(self.reasons),
            "checks": [asdict(check) for check in self.checks],
        }


@dataclass(frozen=True)
class Primary:
    """The metric on which models of a kind are ranked."""

    name: str
    is_higher_better: bool

    def advantage(self, difference: object) -> Estimate | None:
        """Turn a difference, model minus other, so that positive is better; None if it has no value."""
        found = Estimate.read(difference)
        if found is None or self.is_higher_better:
            return found
        return Estimate(-found.value, -found.high, -found.low)


PRIMARY: dict[str, Primary] = {
    kind: Primary(measure.name, measure.is_higher_better) for kind, measure in MEASURES.items()
}
LEVEL: dict[str, str] = {kind: measure.level for kind, measure in MEASURES.items()}
"""The measure of a group's predictions as a whole."""
CHANCE = 0.5
"""The AUROC of a risk that knows nothing."""
ALONE = {"risk": Primary("auroc", True), "amount": Primary("wape", False)}
"""How a group is ranked beside others: the deviance explained is little wherever stays are much alike."""
UNSKILLED = {"risk": CHANCE, "amount": 1.0}
"""That metric of predictions that know nothing; of an amount, of nothing for everyone."""


def decide(
    results: Mapping[str, Any],
    champion: ChampionComparison | None = None,
    *,
    interval_level: float | None = None,
    settings: GateSettings = DEFAULTS,
) -> Gate:
    """Decide whether the model with these results, whose `kind` is risk or amount, may become champion.

    `interval_level` is the share of actual amounts that the model's interval promises to hold (amounts only).
    """
    kind, metrics = results["kind"], results["metrics"]
    primary = PRIMARY[kind]
    model = Estimate.read(metrics.get(primary.name))
    checks: list[Check] = []
    if model is None:
        checks.append(Check(False, f"{primary.name} could not be computed on the test slice."))
    else:
        if kind == "risk":
            checks.append(_skill(model))
        checks += _against_baselines(model, results.get("baselines", {}), kind, settings)
    if kind == "risk":
        checks += _risk_calibration(metrics, settings)
    else:
        checks += _amount_calibration(metrics, interval_level, settings)
    groups = results.get("groups", ())
    before = () if champion is None else champion.groups
    checks += _judged(_against_everyone(metrics, groups, before, kind, settings))
    checks += _too_small(groups, "to be looked at")
    if champion is not None:
        checks.append(_against_champion(champion, primary, settings))
        checks += _judged(_groups_against_champion(champion, kind, settings))
        checks += _too_small(champion.groups, "to be compared with the champion")
    checks += _explained(results.get("explanation", {}), settings)
    return Gate(tuple(sorted(checks, key=lambda check: check.passed)))


def _skill(model: Estimate) -> Check:
    return Check(
        model.low > CHANCE,
        f"auroc {model.value:.3f}, {_interval(model, '.3f')} (must be above {CHANCE}, which is chance).",
    )


def _against_baselines(
    model: Estimate, baselines: Mapping[str, Any], kind: str, settings: GateSettings
) -> Iterator[Check]:
    primary = PRIMARY[kind]
    advantages = {}
    for name, document in baselines.items():
        if "missing" in document:
            continue
        ahead = primary.advantage(document.get("difference"))
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
        better = f"better by {ahead.value:+.3f}, {_interval(ahead, '+.3f')}"
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


def _interval(found: Estimate, form: str, n_looks: int = 1) -> str:
    if not found.has_interval:
        return "without an interval"
    together = f" over {n_looks} looks" if n_looks > 1 else ""
    return f"95 % interval{together} {found.low:{form}} to {found.high:{form}}"


def _risk_calibration(metrics: Mapping[str, Any], settings: GateSettings) -> list[Check]:
    return [
        _within(metrics, "calibration_slope", settings.slope),
        _within(metrics, "calibration_in_the_large", settings.calibration_in_the_large),
    ]


def _amount_calibration(
    metrics: Mapping[str, Any], level: float | None, settings: GateSettings
) -> list[Check]:
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


def _against_champion(champion: ChampionComparison, primary: Primary, settings: GateSettings) -> Check:
    against = f"against champion version {champion.version}"
    found = primary.advantage(champion.difference)
    if found is None or champion.n_rows == 0:
        return Check(False, f"{against}: {champion.reason or 'no difference could be computed'}.")
    if settings.champion_rule == "better":
        passed, wanted = found.low > 0, "must be above 0"
    else:
        passed, wanted = (
            found.low >= -settings.champion_margin,
            f"must be above {-settings.champion_margin:+.3f}",
        )
    return Check(
        passed,
        f"{against} on {champion.n_rows} common later rows: {primary.name} better by {found.value:+.3f}, "
        f"{_interval(found, '+.3f')} ({wanted}).{_acted_upon(champion, primary)}",
    )


def _acted_upon(champion: ChampionComparison, primary: Primary) -> str:
    """What acting on models may have changed about a comparison, if anything."""
    if champion.exposed is None:
        return ""
    since, n_before = champion.exposed.n_rows, champion.n_rows - champion.exposed.n_rows
    told_since, told_before = (WITHHELD if n is None else n for n in told((since, n_before)))
    share = "Most of these rows" if since > n_before else "Of these rows"
    before = primary.advantage(champion.exposed.difference_before)
    alone = (
        "too few on either side to be compared alone"
        if before is None
        else f"on the {told_before} before, better by {before.value:+.3f}, {_interval(before, '+.3f')}"
    )
    return (
        f" {share}, {told_since}, lie on or after {champion.exposed.since}, since when models are acted "
        f"upon: that makes the champion look worse than it is; {alone}."
    )


@dataclass(frozen=True)
class _Looks:
    """One measure, looked at in every group: an interval wholly outside `reach` shows harm.

    `words` say what was found, with a place for the value; `wanted` what must be. `excused` are groups that
    going without the new model would not help.
    """

    metric: str
    found: Mapping[str, Estimate | None]
    reach: tuple[float, float]
    words: str
    wanted: str
    excused: frozenset[str] = frozenset()

    @property
    def measured(self) -> dict[str, Estimate]:
        """Groups with an interval; without one nothing can be shown."""
        return {name: found for name, found in self.found.items() if found and found.has_interval}

    def beyond(self, low: float, high: float) -> float:
        """By how much an interval lies outside what it must reach; below 0 where it reaches it."""
        # A distance of exactly the margin is not exact in binary; it passes.
        return max(low - self.reach[1], self.reach[0] - high) - 1e-9

    def sentence(self, name: str, n_looks: int = 1) -> str:
        found = self.measured[name].over(n_looks)
        form = "+.3f" if "{:+" in self.words else ".3f"
        value = self.words.format(found.value)
        return f"{name}: {value}, {_interval(found, form, n_looks)} ({self.wanted})"


def _judged(looks_at: Iterable[_Looks]) -> Iterator[Check]:
    """What the looks at every group show, with 95 % over all of a comparison."""
    comparison = tuple(looks_at)
    n_looks = sum(len(looks.measured) for looks in comparison)
    for looks in comparison:
        shown = []
        for name, found in looks.measured.items():
            together = found.over(n_looks)
            if looks.beyond(together.low, together.high) > 0:
                shown.append(name)
                yield Check(name in looks.excused, f"{looks.sentence(name, n_looks)}.")
            elif looks.beyond(found.low, found.high) > 0:
                chance = f"which over {n_looks} looks may be chance"
                yield Check(True, f"look at {looks.sentence(name)}, {chance}.")
        if looks.measured and not shown:
            worst = max(
                looks.measured.items(), key=lambda group: looks.beyond(group[1].value, group[1].value)
            )
            not_shown = f"harm to a group is not shown by {looks.metric}, allowing for {n_looks} looks"
            yield Check(True, f"{not_shown}; the worst is {looks.sentence(worst[0])}.")
        if unknown := [name for name in looks.found if name not in looks.measured]:
            yield Check(True, f"without an interval of {looks.metric}, not looked at: {', '.join(unknown)}.")


def _against_everyone(
    metrics: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    before: Sequence[Mapping[str, Any]],
    kind: str,
    settings: GateSettings,
) -> Iterator[_Looks]:
    """Each group's ranking, and its level beside everyone's.

    Where the champion was no better, going without the new model would help nobody: that passes, and is told.
    """
    primary, level, unskilled = ALONE[kind], LEVEL[kind], UNSKILLED[kind]
    ranked, everyone = Estimate.read(metrics.get(primary.name)), Estimate.read(metrics.get(level))
    if ranked is not None:
        least = unskilled + settings.group_lead * (ranked.value - unskilled)
        yield _Looks(
            primary.name,
            _by_group(groups, lambda found: Estimate.read(found.get(primary.name))),
            (least, math.inf) if primary.is_higher_better else (-math.inf, least),
            f"{primary.name} {{:.3f}}",
            f"everyone's is {ranked.value:.3f}; must reach {least:.3f}, or be no worse than the champion's",
            _excused(before, lambda found: primary.advantage(found.get(primary.name))),
        )
    if everyone is not None:
        if kind == "risk":
            low, high = everyone.value - settings.group_log_odds, everyone.value + settings.group_log_odds
        else:
            low, high = everyone.value / settings.group_bias, everyone.value * settings.group_bias
        must = f"must reach {low:.3f} to {high:.3f}, or be no further off than the champion's"
        yield _Looks(
            level,
            _by_group(groups, lambda found: Estimate.read(found.get(level))),
            (low, high),
            f"{level} {{:.3f}}",
            f"everyone's is {everyone.value:.3f}; {must}",
            _excused(before, lambda found: Primary(level, False).advantage(found.get(f"{level}_distance"))),
        )


def _groups_against_champion(
    champion: ChampionComparison, kind: str, settings: GateSettings
) -> Iterator[_Looks]:
    """Whether a group is ranked worse than by the champion, or has its level further off."""
    primary, level, margin, shift = PRIMARY[kind], LEVEL[kind], settings.group_margin, settings.group_shift
    theirs = f"champion version {champion.version}"
    yield _Looks(
        f"{primary.name} against {theirs}",
        _by_group(champion.groups, lambda found: primary.advantage(found.get(primary.name))),
        (-margin, math.inf),
        f"{primary.name} better by {{:+.3f}} than {theirs}",
        f"must reach {-margin:+.3f}",
    )
    yield _Looks(
        f"{level} against {theirs}",
        _by_group(champion.groups, lambda found: Estimate.read(found.get(f"{level}_distance"))),
        (-math.inf, shift),
        f"{level} further off by {{:.3f}} than under {theirs}",
        f"must reach {shift:.3f}",
    )


_Read = Callable[[Mapping[str, Any]], Estimate | None]


def _by_group(groups: Sequence[Mapping[str, Any]], read: _Read) -> dict[str, Estimate | None]:
    return {_name(group): read(group["metrics"]) for group in groups if not group["suppressed"]}


def _excused(before: Sequence[Mapping[str, Any]], read: _Read) -> frozenset[str]:
    """The groups that are served no worse than by the champion, by this advantage."""
    advantages = _by_group(before, read)
    return frozenset(name for name, ahead in advantages.items() if ahead and ahead.value >= 0)


def _too_small(groups: Sequence[Mapping[str, Any]], purpose: str) -> Iterator[Check]:
    if withheld := [_name(group) for group in groups if group["suppressed"]]:
        yield Check(True, f"too small {purpose}: {', '.join(withheld)}.")


def _name(group: Mapping[str, Any]) -> str:
    return f"{group['group']} {group['level']}"


def _explained(explanation: Mapping[str, Any], settings: GateSettings) -> Iterator[Check]:
    gap, speed = (_number(explanation.get(name)) for name in ("largest_gap", "rows_per_second"))
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


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
