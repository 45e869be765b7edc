"""The model card as one or two printed pages of HTML, in the sections of the CHAI applied model card.

It travels with the model: whoever uses the model where no registry is can read and print what it is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.page import page
from features.pictures import html_text
from models.artefact import Artefact
from models.card import LIMITS, READING_REASONS, estimate, group_inputs, interval_words

_STYLE = """
body { font-size: 12px; line-height: 1.35; max-width: 54rem; margin: 1rem auto; }
h1 { font-size: 1.4rem; margin: .2rem 0 .4rem; } h2 { font-size: 1rem; margin: .8rem 0 .2rem; }
table { margin: 0; } td, th { padding: .14rem .5rem .14rem 0; overflow-wrap: break-word; font-weight: 400; }
th[scope=row] { width: 11rem; color: #444; } th[scope=col] { font-weight: 600; }
.metrics th[scope=row] { width: 5rem; }
td ul { margin: 0; padding-left: 1rem; } .open { color: #444; font-style: italic; }
@page { size: A4; margin: 12mm 13mm; } @media print { body { font-size: 8.2pt; } h2 { margin-top: .5rem; } }
"""
HOSPITAL = "For the hospital to write"
RANKED = "Rank patients better than simple predictions do, so that limited help reaches those who need it."
ALIKE = "Be as right for every group of patients as for all together."
GOALS = {
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
NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ici": "ICI (its interval lies too high)",
    "wape": "WAPE",
    "mae": "MAE",
    "r2": "R²",
    "d2": "D² (deviance explained)",
    "bias": "predicted ÷ actual",
    "calibration_in_the_large": "calibration-in-the-large",
}
"""Of measures; the others are called what they are called."""
HEADLINE = {
    "risk": {
        "usefulness": ("auroc", "auprc", "prevalence", "scaled_brier"),
        "safety": ("calibration_slope", "calibration_in_the_large", "ici"),
    },
    "amount": {
        "usefulness": ("d2", "wape", "mae"),
        "safety": ("bias", "interval_coverage"),
    },
}


@dataclass(frozen=True)
class KeyMetric:
    """One of the card's three kinds of metric: its results as sentences, and how to read them."""

    anchor: str
    results: Sequence[str]
    interpretation: str


def card_page(
    artefact: Artefact, metrics: Sequence[KeyMetric] | None = None, *, version: int | None = None
) -> str:
    """The card's text; the same artefact gives the same text.

    Without `metrics` those of the artefact itself are shown; groups are not in it.
    """
    name = artefact.name if version is None else f"{artefact.name}, version {version}"
    told = _own_metrics(artefact) if metrics is None else metrics
    body = [
        f"<h1>Model card: {html_text(name)}</h1>",
        *_section("Release", _release(artefact, version)),
        *_section("Summary", _summary(artefact)),
        *_section("Uses and directions", _uses(artefact)),
        *_section("Warnings", _warnings(artefact)),
        *_section("Trust ingredients", _ingredients(artefact)),
        "<h2>Key metrics</h2>",
        _metrics_table(artefact, told),
        *_section("Resources", _resources()),
    ]
    return page(f"Model card: {name}", body, style=_STYLE)


Rows = Mapping[str, tuple[str, str | Sequence[str]]]
"""From anchor to a name and its text, a list of sentences, or nothing where only people can answer."""


def _section(title: str, rows: Rows) -> Iterator[str]:
    yield f"<h2>{html_text(title)}</h2>"
    lines = "\n".join(
        f'<tr id="{anchor}"><th scope="row">{html_text(name)}</th><td>{_content(content)}</td></tr>'
        for anchor, (name, content) in rows.items()
    )
    yield f"<table><tbody>\n{lines}\n</tbody></table>"


def _content(content: str | Sequence[str]) -> str:
    if isinstance(content, str):
        is_open = content.startswith(HOSPITAL)
        return f'<span class="open">{html_text(content)}</span>' if is_open else html_text(content)
    return f"<ul>{''.join(f'<li>{html_text(item)}</li>' for item in content)}</ul>"


def _release(artefact: Artefact, version: int | None) -> Rows:
    number = f"version {version}" if version is not None else "the registry knows the version"
    program = artefact.training.facts.get("versions", {}).get("wardcast", "not recorded")
    return {
        "model-name": ("Model", artefact.name),
        "model-developer": (
            "Developer",
            f"trained by the hospital with wardcast {program}; {HOSPITAL.lower()}: who answers for it",
        ),
        "developer-contact": ("Contact", f"{HOSPITAL}: name, telephone, address"),
        "release-stage": ("Stage", "in service only while the registry names it champion, after its gate"),
        "release-date": ("Date", "the day of promotion is in the registry's audit trail"),
        "release-version": ("Version", f"{number}; features {artefact.fingerprint[:12]}"),
        "global-availability": ("Availability", "for the hospitals whose records it learned from"),
        "ehr-compatibility": (
            "Record systems",
            "any whose extract can be mapped to the canonical tables; FHIR R4 is read as it is",
        ),
        "regulatory-approval": ("Approval", f"{HOSPITAL}: status as a medical device. None is claimed"),
    }


def _summary(artefact: Artefact) -> Rows:
    return {
        "summary": ("Summary", artefact.intended_use),
        "keywords": (
            "Keywords",
            f"{artefact.target}, {artefact.point}, inpatients, planning, {artefact.kind}",
        ),
    }


def _uses(artefact: Artefact) -> Rows:
    return {
        "intended-use": ("Use and workflow", f"{artefact.intended_use} {HOSPITAL}: who acts on it, and how."),
        "intended-users": ("Users", "clinicians, discharge planners, bed managers"),
        "how-to-use": (
            "How to use",
            "look at band, interval and reasons together; a clinician confirms every recommendation. "
            + READING_REASONS[artefact.scale],
        ),
        "patients": ("Patients", f"adult inpatients, as the cohort flow counts them, at {artefact.point}"),
        "out-of-scope": (
            "Not for",
            "children, other hospitals without a new evaluation, other prediction points, treatment "
            "decisions, ranking or paying people, benchmarking providers",
        ),
    }


def _warnings(artefact: Artefact) -> Rows:
    undated = (
        ["The onset of a complication is undated: one before the prediction counts too."]
        if artefact.target == "complication"
        else []
    )
    return {
        "risks": ("Risks and limits", [*LIMITS, *undated]),
        "biases": (
            "Biases and ethics",
            "It learned from records of care as it was: who was admitted, coded and followed up. Groups are "
            f"judged apart in its report. {HOSPITAL}: known inequalities here.",
        ),
        "risk-level": ("Clinical risk level", f"{HOSPITAL}. It advises; it triggers nothing by itself."),
    }


def _ingredients(artefact: Artefact) -> Rows:
    facts, context = artefact.training.facts, artefact.context
    rows, window = facts.get("rows", {}), facts.get("window", {})
    interval = artefact.distribution
    promise = "" if interval is None else f". The interval is {interval_words(interval)}"
    output = "probability" if artefact.kind == "risk" else "expected amount with interval"
    counted = ", ".join(f"{name} {n:,}" for name, n in rows.items()) or "not recorded"
    dates = f"{window['training_from']} to {window['test_until']}" if "test_until" in window else "no dates"
    codes = ", ".join(f"{kind} {system}" for kind, system in context.code_systems.items()) or "none"
    return {
        "outcomes-and-outputs": (
            "Outcome and output",
            f"{artefact.target}: {output}, band, percentile, reasons{promise}",
        ),
        "model-type": ("Kind of model", "gradient-boosted trees (LightGBM), calibrated; prognostic"),
        "foundation-models": ("Foundation models", "none"),
        "input-source": (
            "Input",
            f"routine records; {len(artefact.features)} features of this and earlier stays",
        ),
        "data-types": ("Data types", "tables of numbers, categories and dates; no text, no images"),
        "development-data": (
            "Development data",
            f"{facts.get('data_set', 'not named')} ({dates}; codes {codes}; {context.currency}, "
            f"{context.cost_basis}); rows: {counted}",
        ),
        "bias-mitigation": (
            "Against bias",
            "no re-weighting of outcomes; groups judged apart, and small ones withheld; no threshold by "
            f"group; inputs that tell groups apart: {group_inputs(artefact) or 'none'}",
        ),
        "maintenance": (
            "Maintenance",
            "judged on new rows, recalibrated or trained anew; a worse one is refused by the gate and any "
            "can be rolled back",
        ),
        "security": ("Security", "read as text and checked by digest, never executed; no outside connection"),
        "transparency": (
            "Transparency",
            "report.html beside this card in the registry; open source (Apache-2.0)",
        ),
        "funding": ("Funding", f"{HOSPITAL}: who paid for it"),
        "third-parties": ("Third parties", "none takes part in a prediction"),
        "stakeholders": ("Consulted", f"{HOSPITAL}: clinicians, patients and others who were asked"),
    }


def _own_metrics(artefact: Artefact) -> list[KeyMetric]:
    names = HEADLINE[artefact.kind]
    return [
        KeyMetric("usefulness", metric_lines(artefact.metrics, names["usefulness"]), ""),
        KeyMetric("fairness", ["not within the model's own folder: see its report"], ""),
        KeyMetric("safety", metric_lines(artefact.metrics, names["safety"]), ""),
    ]


def metric_lines(metrics: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Measures with their intervals, one a line."""
    return [f"{measure_name(name)} {estimate(metrics[name])}" for name in names if name in metrics]


def measure_name(name: str) -> str:
    """A measure's name as people write it."""
    return NAMES.get(name, name.replace("_", " "))


def _metrics_table(artefact: Artefact, metrics: Sequence[KeyMetric]) -> str:
    facts = artefact.training.facts
    n_test = facts.get("rows", {}).get("test")
    tested = (
        f"{facts.get('estimate', 'way of validation not recorded')}, {n_test:,} rows; 95 % intervals over "
        "resampled patients; rows and patients that the trees did not learn from"
        if n_test is not None
        else "not recorded"
    )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("", "goal", "results", "interpretation", "tested on")
    )
    lines = "\n".join(
        f'<tr id="{html_text(metric.anchor)}"><th scope="row">{html_text(metric.anchor)}</th>'
        f"<td>{html_text(GOALS[artefact.kind][metric.anchor])}</td><td>{_content(list(metric.results))}</td>"
        f"<td>{html_text(metric.interpretation)}</td><td>{html_text(tested)}</td></tr>"
        for metric in metrics
    )
    return f'<table class="metrics"><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>'


def _resources() -> Rows:
    return {
        "evaluation-references": (
            "Evaluation",
            "report.html, which tells where it answers TRIPOD+AI, and what it leaves to people",
        ),
        "clinical-trial": ("Trials", f"{HOSPITAL}: registered trials of its use, if any"),
        "publications": ("Publications", f"{HOSPITAL}: peer-reviewed publications, if any"),
        "reimbursement": ("Reimbursement", "none; it is no input for one person's pay"),
        "consent": ("Consent or disclosure", f"{HOSPITAL}: whether patients are told, and may object"),
        "bibliography": (
            "Bibliography",
            "TRIPOD+AI: BMJ 2024;385:e078378. Calibration: BMC Medicine 2019;17:230. "
            "Decision curves: Med Decis Making 2006;26:565–574.",
        ),
    }
