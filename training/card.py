"""The model card with its evidence: what the model may be used for, how good it was, and against what.

The card inside the artefact travels with the model. This one is written after the evaluation and stands
beside the results in MLflow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from models.artefact import Artefact
from training.gate import Estimate

LIMITS = (
    "Its reasons are associations in past records. They describe the model, not the patient's biology, "
    "and say nothing about what would happen if something were changed.",
    "The effect of a pathway or a treatment is never read off a reason or a difference of two predictions.",
    "It is never a limit for, a ranking of, or a pay input for one physician.",
    "It does not benchmark providers: its inputs include what the provider influences.",
    "A low risk or a cost alert is no reason for an early discharge. Cost is always shown beside the risks.",
    "A clinician confirms every recommendation.",
)
GROUP_METRICS = ("auroc", "calibration_in_the_large", "ici", "wape", "bias", "interval_coverage")
SENSITIVITY_METRICS = ("auroc", "calibration_in_the_large", "calibration_slope", "wape", "bias")
READING_REASONS = {
    "log_odds": "Contributions are on the log-odds scale and add up with the base value to the raw output, "
    "from which calibration makes the probability. +0.69 about doubles the odds; it does not add 69 points.",
    "log_money": "Contributions are on the scale of log money and add up with the base value to the raw "
    "output, from which calibration makes the expected cost. +0.10 raises it by about 10 %.",
}


def model_card(artefact: Artefact, results: Mapping[str, Any]) -> str:
    """Return the card as Markdown: use, limits, data, metrics beside baselines, groups, settings, reasons."""
    parts = (
        _opening(artefact, results),
        _section("What must never be claimed", [f"- {limit}" for limit in LIMITS]),
        _section("Data", _data(artefact)),
        _section(
            "Metrics on the untouched test slice", _metrics(results["metrics"], results.get("baselines", {}))
        ),
        _section("Subgroups", _groups(results.get("groups", ()))),
        _section("Asked before its landmark, or with deaths counted in", _sensitivity(results)),
        _section("Gate", [f"- {reason}" for reason in results.get("gate", {}).get("reasons", ())]),
        _section("Reading the reasons", [READING_REASONS[artefact.scale]]),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(artefact: Artefact, results: Mapping[str, Any]) -> str:
    version = f", version {results['version']}" if "version" in results else ""
    return f"# {artefact.name}{version}\n\n{artefact.intended_use}"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join((f"## {title}", "", *lines)) if lines else ""


def _data(artefact: Artefact) -> list[str]:
    context = artefact.context
    codes = ", ".join(f"{kind} {system}" for kind, system in context.code_systems.items())
    training = [f"- {name}: {_words(value)}" for name, value in artefact.training.document().items()]
    return [
        f"- target {artefact.target}, predicted at {artefact.point} "
        f"(the landmark is {artefact.landmark_hours:g} h after admission)",
        f"- time zone {context.time_zone}, currency {context.currency}, cost basis {context.cost_basis}",
        *([f"- codes: {codes}"] if codes else []),
        "- coding and costing lag: from `known_at` where a table carries it, else the setting (default 0)",
        *training,
    ]


def _metrics(metrics: Mapping[str, Any], baselines: Mapping[str, Any]) -> list[str]:
    computed = {name: document for name, document in baselines.items() if _estimates(document)}
    notes = [
        f"- {name}: not computed, for want of {document.get('missing', 'a value')}"
        for name, document in baselines.items()
        if name not in computed
    ]
    notes += [
        f"- {name}: on the {document['share_scored']:.1%} of rows that have it ({document['n']})"
        for name, document in computed.items()
        if document["share_scored"] < 1
    ]
    columns = {"model": metrics, **computed}
    ahead = {name: _cell(document.get("difference")) for name, document in computed.items()}
    table = [
        f"| metric (95 % interval) | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {name} | {' | '.join(_cell(document.get(name)) for document in columns.values())} |"
            for name in metrics
        ),
        *([f"| model minus baseline, on the same rows | | {' | '.join(ahead.values())} |"] if ahead else []),
    ]
    return [*table, *(["", *notes] if notes else [])]


def _groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    if not groups:
        return []
    shown = [name for name in GROUP_METRICS if any(name in group.get("metrics", {}) for group in groups)]
    return [
        f"| group | level | rows | {' | '.join(shown)} |",
        f"|---|---|---|{'---|' * len(shown)}",
        *(_group(group, shown) for group in groups),
    ]


def _sensitivity(results: Mapping[str, Any]) -> list[str]:
    """One line for each way of use other than the one that the model was trained for."""
    uses = {
        f"asked {earlier['hours_after_admission']:g} h after admission": earlier
        for earlier in results.get("asked_earlier", ())
    }
    deaths = results.get("deaths_as_not_readmitted")
    if deaths:
        uses[f"{deaths['n_deaths']} deaths in hospital counted as not readmitted"] = deaths
    shown = [name for name in SENSITIVITY_METRICS if any(name in use["metrics"] for use in uses.values())]
    if not shown:
        return []
    return [
        f"| use | rows | {' | '.join(shown)} |",
        f"|---|---|{'---|' * len(shown)}",
        *(
            f"| {use} | {found['n']} | {' | '.join(_cell(found['metrics'].get(name)) for name in shown)} |"
            for use, found in uses.items()
        ),
    ]


def _group(group: Mapping[str, Any], shown: Sequence[str]) -> str:
    start = f"| {group['group']} | {group['level']} | "
    if group.get("suppressed"):
        return f"{start}{group.get('reason', 'too few')} |{' – |' * len(shown)}"
    return f"{start}{group['n']} | {' | '.join(_cell(group['metrics'].get(name)) for name in shown)} |"


def _estimates(document: Mapping[str, Any]) -> list[str]:
    return [name for name, value in document.items() if Estimate.read(value) is not None]


def _cell(value: object) -> str:
    found = Estimate.read(value)
    if found is None:
        return "–"
    if math.isnan(found.low) or math.isnan(found.high):
        return f"{found.value:.4g}"
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
