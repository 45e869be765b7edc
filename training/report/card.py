"""The evidence on a model's card: metrics beside baselines, groups, other ways of use, the gate.

The card inside the artefact travels with the model. With this evidence it stands beside the results in
MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.primary import PRIMARY
from models.artefact import Artefact
from models.card import Section, card, reading_notes, table
from models.card_metrics import HEADLINE, READING, KeyMetric, fairness, metric_lines, spread_of_groups
from models.card_page import Release, card_page
from models.measures import difference, estimate, measure_name, percent, short_name
from models.units import Kind
from models.words import group_name, plain_words, unit_words
from training.report.findings import to_watch
from training.report.words import BASELINES, count_or_withheld

GROUP_METRICS = ("auroc", "calibration_in_the_large", "ici", "wape", "bias", "interval_coverage")
SENSITIVITY_METRICS = ("auroc", "calibration_in_the_large", "calibration_slope", "d2", "bias")


def model_card(artefact: Artefact, results: Mapping[str, Any]) -> str:
    """Return the card as Markdown with the evidence of the results of training."""
    evidence = (
        Section("Metrics", _metrics(results["metrics"], results.get("baselines", {}), artefact)),
        Section("Subgroups", _groups(results.get("groups", ()))),
        Section("Asked before its landmark, or with deaths counted in", _sensitivity(results)),
        Section("Since it is acted upon", _exposed(results.get("exposed"))),
        Section("Gate", [f"- {reason}" for reason in results.get("gate", {}).get("reasons", ())]),
    )
    return card(artefact, evidence, version=results.get("version"))


def model_card_page(artefact: Artefact, results: Mapping[str, Any]) -> str:
    """Return the card as one or two pages of HTML, in CHAI's sections, with the evidence of training."""
    kind, level = artefact.kind, artefact.distribution.level if artefact.distribution else None
    unit = unit_words(artefact.unit, artefact.context.currency)
    names, reading = HEADLINE[kind], READING[kind]
    metrics, gate, version = results.get("metrics", {}), results.get("gate"), results.get("version")
    verdict = "The gate has not looked at it."
    if gate:
        verdict = "It passed the gate." if gate["passed"] else "It did not pass the gate."
    promised = "" if level is None else f" {level:.0%} of actual amounts should lie within the interval."
    return card_page(
        artefact,
        [
            KeyMetric(
                "usefulness",
                [*metric_lines(metrics, names["usefulness"], unit), *_ahead(results, kind)],
                f"{reading['usefulness']} Shown to be better than a baseline only where the whole interval "
                f"of the difference is {better(kind)}.",
            ),
            fairness(spread_of_groups(results.get("groups", ()), kind), kind),
            KeyMetric(
                "safety",
                metric_lines(metrics, names["safety"], unit),
                f"{reading['safety']}{promised} {verdict}",
            ),
        ],
        findings=to_watch(results, level),
        release=None if version is None else Release(version),
    )


def better(kind: Kind) -> str:
    """On which side of 0 a difference, model minus baseline, is in the model's favour."""
    return "above 0" if PRIMARY[kind].is_higher_better else "below 0"


def _ahead(results: Mapping[str, Any], kind: Kind) -> list[str]:
    """The difference from each baseline, by the measure that models are ranked by."""
    primary = PRIMARY[kind].name
    return [
        f"{short_name(primary)} minus that of {BASELINES.get(name, name)} "
        f"{difference(primary, document['difference'])}"
        for name, document in results.get("baselines", {}).items()
        if "difference" in document
    ]


def _metrics(metrics: Mapping[str, Any], baselines: Mapping[str, Any], artefact: Artefact) -> list[str]:
    unit = unit_words(artefact.unit, artefact.context.currency)
    primary = PRIMARY[artefact.kind].name
    computed = {name: document for name, document in baselines.items() if "missing" not in document}
    notes = [
        f"- {BASELINES.get(name, name)}: not computed, for want of {document['missing']}"
        for name, document in baselines.items()
        if name not in computed
    ]
    notes += [
        f"- {BASELINES.get(name, name)}: on the {percent(document['share_scored'])} of rows that have it "
        f"({document['n']})"
        for name, document in computed.items()
        if document["share_scored"] < 1
    ]
    notes += reading_notes(metrics)
    columns = {"model": metrics, **{BASELINES.get(name, name): found for name, found in computed.items()}}
    rows = [
        (
            measure_name(name),
            *(estimate(name, document.get(name), unit) for document in columns.values()),
        )
        for name in metrics
    ]
    if computed:
        ahead = (difference(primary, document["difference"]) for document in computed.values())
        on_the_same = "model minus baseline on the same rows; better"
        rows.append((f"{short_name(primary)}: {on_the_same} {better(artefact.kind)}", "", *ahead))
    return [*table(("metric (95 % interval)", *columns), rows), *(["", *notes] if notes else [])]


def _groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [name for name in GROUP_METRICS if any(name in group.get("metrics", {}) for group in groups)]
    rows = [
        (
            group_name(group["group"]),
            plain_words(str(group["level"])),
            *(
                (group["reason"], *("–" for _ in shown))
                if group["suppressed"]
                else (group["n"], *_shown(group["metrics"], shown))
            ),
        )
        for group in groups
    ]
    return table(("group", "level", "rows", *map(short_name, shown)), rows) if rows else []


def _sensitivity(results: Mapping[str, Any]) -> list[str]:
    """One line for each way of use other than the one that the model was trained for."""
    uses = {
        f"asked {earlier['hours_after_admission']:g} h after admission": earlier
        for earlier in results.get("asked_earlier", ())
        if "missing" not in earlier
    }
    deaths = results.get("deaths_as_not_readmitted")
    if deaths and "missing" not in deaths:
        uses[f"{deaths['n_deaths']} deaths in hospital counted as not readmitted"] = deaths
    shown = [name for name in SENSITIVITY_METRICS if any(name in use["metrics"] for use in uses.values())]
    rows = [(use, found["n"], *_shown(found["metrics"], shown)) for use, found in uses.items()]
    return table(("use", "rows", *map(short_name, shown)), rows) if shown else []


def _exposed(found: Mapping[str, Any] | None) -> list[str]:
    """The rows of the time when the model was acted upon, beside those before."""
    if not found:
        return []
    parts = {"since": found["metrics"], "before": found["metrics_unexposed"]}
    shown = [name for name in SENSITIVITY_METRICS if any(name in metrics for metrics in parts.values())]
    rows = [
        (
            when,
            *(
                [metrics["missing"], *("–" for _ in shown[1:])]
                if "missing" in metrics
                else _shown(metrics, shown)
            ),
        )
        for when, metrics in parts.items()
    ]
    said = (
        f"From {found['from']} on, labels are changed by acting on the model: "
        f"{count_or_withheld(found['n'])} judged rows, and {count_or_withheld(found['n_learned'])} that it "
        "learned from."
    )
    return [said, *(["", *table(("rows", *map(short_name, shown)), rows)] if shown else [])]


def _shown(metrics: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [estimate(name, metrics.get(name)) for name in names]
