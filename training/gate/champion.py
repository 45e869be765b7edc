"""What the gate is told of the champion, and whether the challenger may take its place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.primary import Primary
from training.counts import WITHHELD, told
from training.gate.decision import Check
from training.gate.estimate import advantage, by, interval
from training.gate.settings import GateSettings


@dataclass(frozen=True)
class CommonExposed:
    """Which of a comparison's rows are of the time when models were acted upon.

    `n_rows` of them from the day `since` on (`training.validation.exposure`), and the `difference_before`
    that day; None where the rows before or since are too few to be judged alone.
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


def against_champion(champion: ChampionComparison, primary: Primary, settings: GateSettings) -> Check:
    """Whether the challenger is better on common later rows, or not worse where that is enough."""
    against = f"against champion version {champion.version}"
    found = advantage(champion.difference, is_higher_better=primary.is_higher_better)
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
        f"{against} on {champion.n_rows} common later rows: {primary.name} {by(found.value)}, "
        f"{interval(found, '+.3f')} ({wanted}).{_acted_upon(champion, primary)}",
    )


def _acted_upon(champion: ChampionComparison, primary: Primary) -> str:
    """What acting on models may have changed about a comparison, if anything."""
    if champion.exposed is None:
        return ""
    since, n_before = champion.exposed.n_rows, champion.n_rows - champion.exposed.n_rows
    told_since, told_before = (WITHHELD if n is None else n for n in told((since, n_before)))
    share = "Most of these rows" if since > n_before else "Of these rows"
    before = advantage(champion.exposed.difference_before, is_higher_better=primary.is_higher_better)
    alone = (
        "too few on either side to be compared alone"
        if before is None
        else f"on the {told_before} before, {by(before.value)}, {interval(before, '+.3f')}"
    )
    return (
        f" {share}, {told_since}, lie on or after {champion.exposed.since}, since when models are acted "
        f"upon: that makes the champion look worse than it is; {alone}."
    )
