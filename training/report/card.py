"""The evidence on a model's card: metrics beside baselines, groups, other ways of use, the gate.

The card inside the artefact travels with the model. With this evidence it stands beside the results in
MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.primary import PRIMARY
from models.artefact import Artefact
from models.card import Section, card, estimate, reading_notes, table
from models.card_page import HEADLINE, KeyMetric, card_page, measure_name, metric_lines
from models.units import Kind
from training.report.words import count_or_withheld

GROUP_METRICS = ("auroc", "calibration_in_the_large", "ici", "wape", "bias", "interval_coverage")
SENSITIVITY_METRICS = ("auroc", "calibration_in_the_large", "calibration_slope", "d2", "bias")


def model_card(artefact: Artefact, results: Mapping[str, Any]) -> str:
    """Return the card as Markdown with the evidence of the results of training."""
    evidence = (
        Section("Metrics", _metrics(results["metrics"], results.get("baselines", {}), artefact.kind)),
        Section("Subgroups", _groups(results.get("groups", ()))),
        Section("Asked before its landmark, or with deaths counted in", _sensitivity(results)),
        Section("Since it is acted upon", _exposed(results.get("exposed"))),
        Section("Gate", [f"- {reason}" for reason in results.get("gate", {}).get("reasons", ())]),
    )
    return card(artefact, evidence, version=results.get("version"))


def model_card_page(artefact: Artefact, results: Mapping[str, Any]) -> str:
    """Return the card as one or two pages of HTML, in CHAI's sections, with the evidence of training."""
    kind = artefact.kind
    names = HEADLINE[kind]
    metrics = results.get("metrics", {})
    gate = results.get("gate")
    verdict = "The gate has not looked at it."
    if gate:
        verdict = "It passed the gate." if gate["passed"] else "It did not pass the gate."
    return card_page(
        artefact,
        [
            KeyMetric(
                "usefulness",
                [*metric_lines(metrics, names["usefulness"]), *_ahead(results, kind)],
                "Shown to be better than a baseline only where the whole interval of the difference is "
                f"{better(kind)}.",
            ),
            KeyMetric("fairness", _spread(results.get("groups", ()), kind), _withheld(results)),
            KeyMetric("safety", metric_lines(metrics, names["safety"]), verdict),
        ],
        version=results.get("version"),
    )


def better(kind: Kind) -> str:
    """On which side of 0 a difference, model minus baseline, is in the model's favour."""
    return "above 0" if PRIMARY[kind].is_higher_better else "below 0"


def _ahead(results: Mapping[str, Any], kind: Kind) -> list[str]:
    """The difference from each baseline, by the measure that models are ranked by."""
    primary = measure_name(PRIMARY[kind].name)
    return [
        f"{primary} minus that of {name.replace('_', ' ')} {estimate(document['difference'])}"
        for name, document in results.get("baselines", {}).items()
        if "difference" in document
    ]


def _spread(groups: Sequence[Mapping[str, Any]], kind: str) -> list[str]:
    """The lowest and the highest value of each measure among the groups that are shown."""
    lines = []
    for name in (
        ("auroc", "calibration_in_the_large") if kind == "risk" else ("wape", "bias", "interval_coverage")
    ):
        found = [
            (group["metrics"][name]["value"], f"{group['group'].replace('_', ' ')} {group['level']}")
            for group in groups
            if not group["suppressed"] and group["metrics"].get(name, {}).get("value") is not None
        ]
        if found:
            (low, worst), (high, best) = min(found), max(found)
            lines.append(
                f"{measure_name(name)} by group: {estimate(low)} ({worst}) to {estimate(high)} ({best})"
            )
    return lines or ["no group is large enough to be judged"]


def _withheld(results: Mapping[str, Any]) -> str:
    n_withheld = sum(bool(group["suppressed"]) for group in results.get("groups", ()))
    note = "A group's own interval is in the report."
    return f"{note} {n_withheld} levels are too small to be judged." if n_withheld else note


def _metrics(metrics: Mapping[str, Any], baselines: Mapping[str, Any], kind: Kind) -> list[str]:
    computed = {name: document for name, document in baselines.items() if "missing" not in document}
    notes = [
        f"- {name}: not computed, for want of {document['missing']}"
        for name, document in baselines.items()
        if name not in computed
    ]
    notes += [
        f"- {name}: on the {document['share_scored']:.1%} of rows that have it ({document['n']})"
        for name, document in computed.items()
        if document["share_scored"] < 1
    ]
    notes += reading_notes(metrics)
    columns = {"model": metrics, **computed}
    rows = [(name, *(estimate(document.get(name)) for document in columns.values())) for name in metrics]
    if computed:
        ahead = (estimate(document["difference"]) for document in computed.values())
        primary = measure_name(PRIMARY[kind].name)
        rows.append((f"{primary}: model minus baseline on the same rows; better {better(kind)}", "", *ahead))
    return [*table(("metric (95 % interval)", *columns), rows), *(["", *notes] if notes else [])]


def _groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [name for name in GROUP_METRICS if any(name in group.get("metrics", {}) for group in groups)]
    rows = [
        (group["group"], group["level"], group["reason"], *("–" for _ in shown))
        if group["suppressed"]
        else (group["group"], group["level"], group["n"], *_shown(group["metrics"], shown))
        for group in groups
    ]
    return table(("group", "level", "rows", *shown), rows) if rows else []


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
    return table(("use", "rows", *shown), rows) if shown else []


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
    return [said, *(["", *table(("rows", *shown), rows)] if shown else [])]


def _shown(metrics: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [estimate(metrics.get(name)) for name in names]
