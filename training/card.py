"""The evidence on a model's card: metrics beside baselines, groups, other ways of use, the gate.

The card inside the artefact travels with the model. With this evidence it stands beside the results in
MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.artefact import Artefact
from models.card import Section, card, estimate, table

GROUP_METRICS = ("auroc", "calibration_in_the_large", "ici", "wape", "bias", "interval_coverage")
SENSITIVITY_METRICS = ("auroc", "calibration_in_the_large", "calibration_slope", "wape", "bias")


def model_card(artefact: Artefact, results: Mapping[str, Any]) -> str:
    """Return the card as Markdown with the evidence of the results of training."""
    evidence = (
        Section("Metrics", _metrics(results["metrics"], results.get("baselines", {}))),
        Section("Subgroups", _groups(results.get("groups", ()))),
        Section("Asked before its landmark, or with deaths counted in", _sensitivity(results)),
        Section("Gate", [f"- {reason}" for reason in results.get("gate", {}).get("reasons", ())]),
    )
    return card(artefact, evidence, version=results.get("version"))


def _metrics(metrics: Mapping[str, Any], baselines: Mapping[str, Any]) -> list[str]:
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
    columns = {"model": metrics, **computed}
    rows = [(name, *(estimate(document.get(name)) for document in columns.values())) for name in metrics]
    if computed:
        ahead = (estimate(document["difference"]) for document in computed.values())
        rows.append(("model minus baseline, on the same rows", "", *ahead))
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


def _shown(metrics: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [estimate(metrics.get(name)) for name in names]
