"""What the gate looks at in every group: whether it is shown to be harmed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.primary import PRIMARY, Kind
from training.gate.champion import ChampionComparison
from training.gate.decision import Check
from training.gate.estimate import Estimate, advantage, by, interval
from training.gate.everyone import CHANCE
from training.gate.settings import GateSettings


@dataclass(frozen=True)
class Ranking:
    """How a group is ranked beside others; `unskilled` is what predictions that know nothing reach."""

    name: str
    is_higher_better: bool
    unskilled: float


ALONE: dict[Kind, Ranking] = {
    "risk": Ranking("auroc", True, CHANCE),
    "amount": Ranking("wape", False, 1.0),
}
"""Not by the deviance explained of an amount, which is little wherever stays are much alike."""


@dataclass(frozen=True)
class Looks:
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
        """What was found in a group, in words."""
        found = self.measured[name].over(n_looks)
        form = "+.3f" if "{by}" in self.words else ".3f"
        value = self.words.format(found.value, by=by(found.value))
        return f"{name}: {value}, {interval(found, form, n_looks)} ({self.wanted})"


def judged(looks_at: Iterable[Looks]) -> Iterator[Check]:
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


def against_everyone(
    metrics: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    before: Sequence[Mapping[str, Any]],
    kind: Kind,
    settings: GateSettings,
) -> Iterator[Looks]:
    """Each group's ranking, and its level beside everyone's.

    Where the champion was no better, going without the new model would help nobody: that passes, and is told.
    """
    ranking, level = ALONE[kind], PRIMARY[kind].level
    ranked, everyone = Estimate.read(metrics.get(ranking.name)), Estimate.read(metrics.get(level))
    if ranked is not None:
        least = ranking.unskilled + settings.group_lead * (ranked.value - ranking.unskilled)
        must = "reach" if ranking.is_higher_better else "be at most"
        yield Looks(
            ranking.name,
            _by_group(groups, lambda found: Estimate.read(found.get(ranking.name))),
            (least, math.inf) if ranking.is_higher_better else (-math.inf, least),
            f"{ranking.name} {{:.3f}}",
            f"everyone's is {ranked.value:.3f}; must {must} {least:.3f}, or be no worse than the champion's",
            _excused(before, ranking.name, is_higher_better=ranking.is_higher_better),
        )
    if everyone is not None:
        if kind == "risk":
            low, high = everyone.value - settings.group_log_odds, everyone.value + settings.group_log_odds
        else:
            low, high = everyone.value / settings.group_bias, everyone.value * settings.group_bias
        must = f"must lie within {low:.3f} to {high:.3f}, or be no further off than the champion's"
        yield Looks(
            level,
            _by_group(groups, lambda found: Estimate.read(found.get(level))),
            (low, high),
            f"{level} {{:.3f}}",
            f"everyone's is {everyone.value:.3f}; {must}",
            _excused(before, f"{level}_distance", is_higher_better=False),
        )


def groups_against_champion(
    champion: ChampionComparison, kind: Kind, settings: GateSettings
) -> Iterator[Looks]:
    """Whether a group is ranked worse than by the champion, or has its level further off."""
    primary, margin, shift = PRIMARY[kind], settings.group_margin, settings.group_shift
    level = primary.level
    theirs = f"champion version {champion.version}"
    yield Looks(
        f"{primary.name} against {theirs}",
        _by_group(
            champion.groups,
            lambda found: advantage(found.get(primary.name), is_higher_better=primary.is_higher_better),
        ),
        (-margin, math.inf),
        f"{primary.name} {{by}} than {theirs}",
        f"must reach {-margin:+.3f}",
    )
    yield Looks(
        f"{level} against {theirs}",
        _by_group(champion.groups, lambda found: Estimate.read(found.get(f"{level}_distance"))),
        (-math.inf, shift),
        f"{level} further off by {{:.3f}} than under {theirs}",
        f"must stay within {shift:.3f}",
    )


_Read = Callable[[Mapping[str, Any]], Estimate | None]


def _by_group(groups: Sequence[Mapping[str, Any]], read: _Read) -> dict[str, Estimate | None]:
    return {_name(group): read(group["metrics"]) for group in groups if not group["suppressed"]}


def _excused(before: Sequence[Mapping[str, Any]], measure: str, *, is_higher_better: bool) -> frozenset[str]:
    """The groups that are served no worse than by the champion, by this measure."""
    advantages = _by_group(
        before, lambda found: advantage(found.get(measure), is_higher_better=is_higher_better)
    )
    return frozenset(name for name, ahead in advantages.items() if ahead and ahead.value >= 0)


def too_small(groups: Sequence[Mapping[str, Any]], purpose: str) -> Iterator[Check]:
    """The groups of which nothing is known, told by name."""
    if withheld := [_name(group) for group in groups if group["suppressed"]]:
        yield Check(True, f"too small {purpose}: {', '.join(withheld)}.")


def _name(group: Mapping[str, Any]) -> str:
    return f"{group['group']} {group['level']}"
