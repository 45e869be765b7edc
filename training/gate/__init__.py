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

from collections.abc import Mapping
from typing import Any

from evaluation.primary import PRIMARY
from training.gate.champion import ChampionComparison, against_champion
from training.gate.decision import Check, Gate
from training.gate.estimate import Estimate
from training.gate.everyone import against_baselines, amount_calibrated, explained, risk_calibrated, skilled
from training.gate.groups import against_everyone, groups_against_champion, judged, too_small
from training.gate.settings import DEFAULTS, GateSettings

__all__ = ["decide"]


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
            checks.append(skilled(model))
        checks += against_baselines(model, results.get("baselines", {}), kind, settings)
    if kind == "risk":
        checks += risk_calibrated(metrics, settings)
    else:
        checks += amount_calibrated(metrics, interval_level, settings)
    groups = results.get("groups", ())
    before = () if champion is None else champion.groups
    checks += judged(against_everyone(metrics, groups, before, kind, settings))
    checks += too_small(groups, "to be looked at")
    if champion is not None:
        checks.append(against_champion(champion, primary, settings))
        checks += judged(groups_against_champion(champion, kind, settings))
        checks += too_small(champion.groups, "to be compared with the champion")
    checks += explained(results.get("explanation", {}), settings)
    return Gate(tuple(sorted(checks, key=lambda check: check.passed)))
