"""The model card as one or two printed pages of HTML, in the sections of the CHAI applied model card.

It travels with the model: whoever uses the model where no registry is can read and print what it is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.page import banner, page, prose
from features.pictures import html_text
from models.artefact import Artefact
from models.card import LIMITS, READING_REASONS, band_cuts, group_inputs, interval_words
from models.card_metrics import KeyMetric, metrics_table, own_metrics
from models.words import made_up_warning, model_title, outcome_words, target_name, unit_words

_STYLE = """
body { font-size: 12px; line-height: 1.35; max-width: 54rem; margin: 1rem auto; }
h1 { font-size: 1.4rem; margin: .2rem 0 .4rem; } h2 { font-size: 1rem; margin: .8rem 0 .2rem; }
table { margin: 0; } td, th { padding: .14rem .5rem .14rem 0; overflow-wrap: break-word; font-weight: 400; }
th[scope=row] { width: 11rem; color: #444; } th[scope=col] { font-weight: 600; }
.metrics th[scope=row] { width: 5rem; } .metrics td:nth-child(2) { width: 19%; }
.metrics td:nth-child(3) { width: 44%; }
td ul { margin: 0; padding-left: 1rem; } .open { color: #444; font-style: italic; }
@media screen and (max-width: 600px) { th[scope=row] { width: 6rem; } }
@page { size: A4; margin: 10mm 13mm; } @media print { body { font-size: 7.8pt; line-height: 1.28; }
  h1 { font-size: 1.3rem; } h2 { margin-top: .35rem; } p, .banner { margin: .25rem 0; }
  .banner { font-size: 9pt; padding: .25rem .5rem; } td, th { padding-top: .08rem; padding-bottom: .08rem; } }
"""
HOSPITAL = "For the hospital to write"


@dataclass(frozen=True)
class Release:
    """What only the registry knows of a model; without it a card says where it stands."""

    version: int
    digest: str = ""
    promoted_at: str = ""


def card_page(
    artefact: Artefact,
    metrics: Sequence[KeyMetric] | None = None,
    *,
    findings: Sequence[str] | None = None,
    release: Release | None = None,
) -> str:
    """The card's text; the same artefact gives the same text.

    Without `metrics` and `findings` (what to watch, as sentences) the artefact's own are shown. The card
    within an artefact has no `release`: it is part of what the version and the digest are given to.
    """
    facts = artefact.training.facts
    named = "" if release is None else f", version {release.version}"
    title = f"{model_title(artefact.target, artefact.point)} ({artefact.name}{named})"
    told = own_metrics(artefact) if metrics is None else metrics
    to_watch = facts.get("findings", ()) if findings is None else findings
    body = [
        f"<h1>Model card: {html_text(title)}</h1>",
        banner(made_up_warning(facts.get("source"))),
        *_section("Release", _release(artefact, release)),
        *_section("Summary", _summary(artefact)),
        *_section("Uses and directions", _uses(artefact)),
        *_section("Warnings", _warnings(artefact, to_watch)),
        *_section("Trust ingredients", _ingredients(artefact)),
        "<h2>Key metrics</h2>",
        metrics_table(artefact, told),
        *_section("Resources", _resources()),
    ]
    return page(f"Model card: {title}", filter(None, body), style=_STYLE)


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
        return f'<span class="open">{prose(content)}</span>' if is_open else prose(content)
    return f"<ul>{''.join(f'<li>{prose(item)}</li>' for item in content)}</ul>"


def _release(artefact: Artefact, release: Release | None) -> Rows:
    facts = artefact.training.facts
    program = facts.get("versions", {}).get("wardcast", "not recorded")
    number = (
        "given by the registry after this card was written: `champion.json` beside the model's folder, and "
        "the card beside it, name version, digest and day of promotion"
    )
    if release is not None:
        number = f"version {release.version}" + (f", digest {release.digest[:12]}" if release.digest else "")
    until = f"learned from records until {facts['observed_until']}" if "observed_until" in facts else ""
    since = "the day of promotion is in the registry's audit trail"
    if release is not None and release.promoted_at:
        since = f"in service since {release.promoted_at[:16].replace('T', ' ')} UTC"
    return {
        "model-name": (
            "Model",
            f"{model_title(artefact.target, artefact.point)}; `{artefact.name}`",
        ),
        "model-developer": (
            "Developer",
            f"trained by the hospital with wardcast {program}; {HOSPITAL.lower()}: who answers for it",
        ),
        "developer-contact": ("Contact", f"{HOSPITAL}: name, telephone, address"),
        "release-stage": ("Stage", "in service only while the registry names it champion, after its gate"),
        "release-date": ("Date", "; ".join(filter(None, (until, since)))),
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
            f"{target_name(artefact.target)}, {artefact.point}, inpatients, planning, {artefact.kind}",
        ),
    }


def _uses(artefact: Artefact) -> Rows:
    return {
        "intended-use": (
            "Use and workflow",
            f"advice on whom to look at first. {HOSPITAL}: who acts on it, and how.",
        ),
        "intended-users": ("Users", "clinicians, discharge planners, bed managers"),
        "how-to-use": (
            "How to use",
            f"look at {_shown_together(artefact)} and reasons together; a clinician confirms every "
            f"recommendation. {READING_REASONS[artefact.scale]}",
        ),
        "patients": ("Patients", f"adult inpatients, as the cohort flow counts them, at {artefact.point}"),
        "out-of-scope": (
            "Not for",
            "children, other hospitals without a new evaluation, other prediction points, treatment "
            "decisions, ranking or paying people, benchmarking providers",
        ),
    }


def _shown_together(artefact: Artefact) -> str:
    return "risk, band" if artefact.kind == "risk" else "expected amount, interval, band"


def _warnings(artefact: Artefact, findings: Sequence[str]) -> Rows:
    undated = (
        ["The onset of a complication is undated: one before the prediction counts too."]
        if artefact.target == "complication"
        else []
    )
    watch: Rows = {"to-watch": ("What to watch", list(findings))} if findings else {}
    return {
        **watch,
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
    unit = unit_words(artefact.unit, context.currency)
    output = "a probability" if artefact.kind == "risk" else f"the expected amount in {unit} with an interval"
    counted = ", ".join(f"{name} {n:,}" for name, n in rows.items()) or "not recorded"
    dates = f"{window['training_from']} to {window['test_until']}" if "test_until" in window else "no dates"
    codes = ", ".join(f"{kind} {system}" for kind, system in context.code_systems.items()) or "none"
    return {
        "outcomes-and-outputs": (
            "Outcome and output",
            f"{outcome_words(artefact.target, artefact.training.label)}. Output: {output}, a band (cut at "
            f"{band_cuts(artefact)}), percentile, reasons{promise}",
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
