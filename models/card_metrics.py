"""The key metrics of a card: usefulness, fairness and safety, each with its results and how to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.page import prose, scrolling
from models.artefact import Artefact
from models.measures import estimate, number, short_name
from models.units import Kind
from models.words import group_name, plain_words, unit_words

RANKED = "Rank patients better than simple predictions do, so that limited help reaches those who need it."
ALIKE = "Be as right for every group of patients as for all together."
GOALS: dict[Kind, dict[str, str]] = {
    "risk": {
        "usefulness": RANKED,
        "fairness": ALIKE,
        "safety": "Mean what it says: of patients with the same risk, that share has the outcome.",
    },
    "amount": {
        "usefulness": RANKED,
        "fairness": ALIKE,
        "safety": "Mean what it says: patients with the same expected amount need that much on average, and "
        "intervals hold as many as they promise.",
    },
}
READING: dict[Kind, dict[str, str]] = {
    "risk": {
        "usefulness": "AUROC: how often a patient with the outcome is ranked above one without; 0.5 is "
        "chance, 1 perfect.",
        "fairness": "The lowest and the highest group; a group's own interval is in the report. Log-odds: 0 "
        "is ideal, at +0.3 a group's odds are a third higher than predicted.",
        "safety": "Observed ÷ expected is 1 where risks are right on average, above 1 where they are too "
        "low; a slope below 1 means that high risks are too high and low ones too low.",
    },
    "amount": {
        "usefulness": "D²: 1 perfect, 0 no better than the mean of all. WAPE: the error as a share of what "
        "was needed in all.",
        "fairness": "The lowest and the highest group; a group's own interval is in the report.",
        "safety": "Predicted ÷ actual is 1 where totals are right, below 1 where amounts are too low.",
    },
}
HEADLINE: dict[Kind, dict[str, tuple[str, ...]]] = {
    "risk": {
        "usefulness": ("auroc", "auprc", "prevalence", "scaled_brier"),
        "safety": ("observed_expected_ratio", "calibration_slope", "calibration_in_the_large", "ici"),
    },
    "amount": {
        "usefulness": ("d2", "wape", "mae"),
        "safety": ("bias", "interval_coverage"),
    },
}
SPREAD: dict[Kind, tuple[str, ...]] = {
    "risk": ("auroc", "calibration_in_the_large"),
    "amount": ("wape", "bias", "interval_coverage"),
}
"""Measures of which a card tells the lowest and the highest group."""


@dataclass(frozen=True)
class KeyMetric:
    """One of the card's three kinds of metric: its results as sentences, and how to read them."""

    anchor: str
    results: Sequence[str]
    interpretation: str


def spread_of_groups(groups: Sequence[Mapping[str, Any]], kind: Kind) -> dict[str, Any]:
    """The lowest and the highest value among the groups that are shown, and how many are withheld.

    `groups` are those of the results of training. Keys: n_shown, n_withheld, measures (metric, lowest and
    highest, each group, level, value). Small enough to travel with the model; tells of no group that the
    results withhold.
    """
    shown = [group for group in groups if not group["suppressed"]]
    measures = []
    for name in SPREAD[kind]:
        found = [
            {"group": group["group"], "level": str(group["level"]), "value": value}
            for group in shown
            if (value := (group["metrics"].get(name) or {}).get("value")) is not None
        ]
        if found:
            found.sort(key=lambda entry: (entry["value"], entry["group"], entry["level"]))
            measures.append({"metric": name, "lowest": found[0], "highest": found[-1]})
    return {"n_shown": len(shown), "n_withheld": len(groups) - len(shown), "measures": measures}


def fairness(spread: Mapping[str, Any] | None, kind: Kind) -> KeyMetric:
    """What `spread_of_groups` tells, in lines; none was recorded with models of earlier versions."""
    if spread is None:
        return KeyMetric(
            "fairness", ["not recorded within this model's folder: see its report"], READING[kind]["fairness"]
        )
    lines = [
        f"{short_name(entry['metric'])} by group: {_end(entry, 'lowest')} to {_end(entry, 'highest')}"
        for entry in spread["measures"]
    ]
    n = spread["n_withheld"]
    small = f" {n} group{'' if n == 1 else 's'} too small to be judged." if n else ""
    return KeyMetric(
        "fairness", lines or ["no group is large enough to be judged"], READING[kind]["fairness"] + small
    )


def _end(entry: Mapping[str, Any], end: str) -> str:
    found = entry[end]
    where = f"{group_name(found['group'])} {plain_words(found['level'])}"
    return f"{number(entry['metric'], found['value'])} ({where})"


def metric_lines(metrics: Mapping[str, Any], names: Sequence[str], unit: str = "") -> list[str]:
    """Measures with their intervals, one a line."""
    return [f"{short_name(name)} {estimate(name, metrics[name], unit)}" for name in names if name in metrics]


def own_metrics(artefact: Artefact) -> list[KeyMetric]:
    """What the artefact itself knows of how good it is: not the decision of its gate, which came later."""
    names, reading = HEADLINE[artefact.kind], READING[artefact.kind]
    unit = unit_words(artefact.unit, artefact.context.currency)
    level = artefact.distribution.level if artefact.distribution else None
    promised = "" if level is None else f" {level:.0%} of actual amounts should lie within the interval."
    verdict = " What the gate decided stands in the registry."
    return [
        KeyMetric(
            "usefulness", metric_lines(artefact.metrics, names["usefulness"], unit), reading["usefulness"]
        ),
        fairness(artefact.training.facts.get("groups"), artefact.kind),
        KeyMetric(
            "safety",
            metric_lines(artefact.metrics, names["safety"], unit),
            reading["safety"] + promised + verdict,
        ),
    ]


def tested_on(artefact: Artefact) -> str:
    """Which rows the metrics are of."""
    facts = artefact.training.facts
    n_test = facts.get("rows", {}).get("test")
    if n_test is None:
        return "Which rows these are measured on was not recorded."
    return (
        f"Tested on {n_test:,} rows ({facts.get('estimate', 'way of validation not recorded')}) that the "
        "trees did not learn from, nor from their patients. In brackets: 95 % intervals over resampled "
        "patients."
    )


def metrics_table(artefact: Artefact, metrics: Sequence[KeyMetric]) -> str:
    """The three kinds of metric as a table of HTML."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", "goal", "results", "how to read them"))
    lines = "\n".join(
        f'<tr id="{prose(metric.anchor)}"><th scope="row">{prose(metric.anchor)}</th>'
        f"<td>{prose(GOALS[artefact.kind][metric.anchor])}</td>"
        f"<td><ul>{''.join(f'<li>{prose(line)}</li>' for line in metric.results)}</ul></td>"
        f"<td>{prose(metric.interpretation)}</td></tr>"
        for metric in metrics
    )
    table = f'<table class="metrics"><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>'
    return f"<p>{prose(tested_on(artefact))}</p>" + scrolling(table, "Key metrics", is_wide=True)
