"""The half page that opens the report, in plain words: what for, how good, what to watch, what not to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.page import prose
from features.pictures import html_text
from models.measures import MEASURES, estimate, number, percent, short_name
from models.words import outcome_words
from training.report.card import better
from training.report.findings import to_watch
from training.report.parts import Evidence, Section, not_done, section, text
from training.report.words import BASELINES, counted, plain_number

HEADLINE = {
    "risk": ("auroc", "observed_expected_ratio", "calibration_slope", "prevalence"),
    "amount": ("mae", "wape", "bias", "interval_coverage"),
}
NOT_TO_DO = (
    "Not to discharge early, not to rank, limit or pay physicians, not to compare hospitals, not to read off "
    "what a treatment would do, and not at another hospital or moment without judging it there first."
)


def summary(evidence: Evidence) -> Section:
    """What the model predicts, for whom, how good it is, what to watch and what not to do with it."""
    artefact, results = evidence.artefact, evidence.results
    output = "as a probability" if evidence.is_risk else f"as an amount in {evidence.unit} with an interval"
    told: dict[str, str | list[str]] = {
        "What it predicts": f"The {outcome_words(artefact.target, artefact.training.label)}, {output}.",
        "For whom and when": f"Adults in hospital, {moment(evidence)}. For clinicians, discharge planners "
        "and bed managers, to choose whom to look at first.",
        "How good it is": " ".join(_how_good(evidence)),
        "What to watch": _watch(evidence),
        "What not to do": NOT_TO_DO,
    }
    lines = "".join(f"<dt>{prose(name)}</dt><dd>{_told(what)}</dd>" for name, what in told.items())
    return section(
        "summary",
        "In plain words",
        f'<dl class="plain">{lines}</dl>',
        _verdict(evidence),
        _leaks(evidence),
        _tiles(results.get("metrics", {}), evidence),
        text(
            f"{_learned(results)} Numbers in brackets are 95 % intervals over resampled patients.",
        ),
    )


def moment(evidence: Evidence) -> str:
    """When it is asked, in words."""
    artefact = evidence.artefact
    if artefact.point == "admission":
        return f"{artefact.landmark_hours:g} h after admission, if they are still in hospital then"
    return {"preadmission": "when the stay is booked", "discharge": "at discharge"}.get(
        artefact.point, artefact.point
    )


def _told(what: str | list[str]) -> str:
    if isinstance(what, str):
        return prose(what)
    return f"<ul>{''.join(f'<li>{prose(line)}</li>' for line in what)}</ul>"


def _how_good(evidence: Evidence) -> Iterator[str]:
    metrics = evidence.results.get("metrics", {})
    found = {name: _value(metrics, name) for name in metrics}
    if evidence.is_risk:
        yield from _risk_in_words(found)
    else:
        yield from _amount_in_words(found, evidence)
    yield from _beside_baselines(evidence)
    if not metrics:
        yield "It was not measured."


def _risk_in_words(found: Mapping[str, float | None]) -> Iterator[str]:
    auroc, ratio, share = (found.get(name) for name in ("auroc", "observed_expected_ratio", "prevalence"))
    if auroc is not None:
        yield (
            "Of two patients, one with and one without the outcome, it gives the higher risk to the right "
            f"one in {100 * auroc:.0f} of 100 pairs (50 would be chance)."
        )
    if share is not None:
        yield f"{percent(share)} of the patients had the outcome."
    if ratio is not None:
        yield f"For every 100 patients whom it expects to have it, {100 * ratio:.0f} had it."


def _amount_in_words(found: Mapping[str, float | None], evidence: Evidence) -> Iterator[str]:
    error, share, bias, coverage = (found.get(name) for name in ("mae", "wape", "bias", "interval_coverage"))
    if error is not None:
        of_all = "" if share is None else f", {percent(share)} of what was needed in all"
        yield f"For one patient it is off by {number('mae', error, evidence.unit)} on average{of_all}."
    if bias is not None:
        yield f"For every 100 that were needed in all, it expects {100 * bias:.0f}."
    if coverage is not None and evidence.level is not None:
        promised = percent(evidence.level)
        yield f"{percent(coverage)} of actual amounts lie within its interval; {promised} are promised."


def _beside_baselines(evidence: Evidence) -> Iterator[str]:
    """Which simple predictions it is shown to be better than, and which not."""
    shown: list[str] = []
    unshown: list[str] = []
    for name, document in evidence.results.get("baselines", {}).items():
        ahead = document.get("difference") or {}
        if ahead.get("low") is None or ahead.get("high") is None:
            continue
        is_better = ahead["low"] > 0 if better(evidence.artefact.kind) == "above 0" else ahead["high"] < 0
        (shown if is_better else unshown).append(_lowered(BASELINES.get(name, name)))
    if shown:
        yield f"It is shown to be better than: {', '.join(shown)}."
    if unshown:
        yield f"It is not shown to be better than: {', '.join(unshown)}."


def _lowered(name: str) -> str:
    return name if name[:2].isupper() else name[:1].lower() + name[1:]


def _watch(evidence: Evidence) -> list[str] | str:
    results = evidence.results
    found = to_watch(results, evidence.level)
    n_small = sum(bool(group.get("suppressed")) for group in results.get("groups") or ())
    if n_small:
        found.append(f"Of {counted(n_small, 'group')} nothing is known: too few patients.")
    not_looked = [
        words
        for key, words in (
            ("by_hospital", "at a hospital that it has not seen"),
            ("back_test", "in earlier periods"),
        )
        if not results.get(key)
    ]
    if not_looked:
        found.append(f"It was not judged {' nor '.join(not_looked)}.")
    return found or "Nothing that was looked at lies beyond the margins of the gate."


def _value(metrics: Mapping[str, Any], name: str) -> float | None:
    found = metrics[name]
    return found.get("value") if isinstance(found, Mapping) else found


def _verdict(evidence: Evidence) -> str:
    gate = evidence.results.get("gate")
    if not gate:
        return not_done("the gate has not looked at it")
    if gate["passed"]:
        return '<p class="good">Gate passed: see <a href="#gate">what it asks for</a>.</p>'
    n = sum(not check["passed"] for check in gate.get("checks", ()))
    why = f": {counted(n, 'rule')} not met" if n else ""
    return f'<p class="bad">Gate not passed{why}: see <a href="#gate">why</a>.</p>'


def _leaks(evidence: Evidence) -> str:
    n_leaks = len(evidence.results.get("leaks") or ())
    if not n_leaks:
        return ""
    told = f"{counted(n_leaks, 'warning')} of leaks"
    return f'<p class="bad">{told}: see <a href="#leaks">Search for leaks</a>.</p>'


def _tiles(metrics: Mapping[str, Any], evidence: Evidence) -> str:
    cells = [
        f"<div><dt>{html_text(short_name(name))}</dt>"
        f"<dd>{html_text(estimate(name, metrics[name], evidence.unit))}</dd>"
        f'<dd class="against">{html_text(_against(name, evidence.level))}</dd></div>'
        for name in HEADLINE[evidence.artefact.kind]
        if name in metrics
    ]
    return f'<dl class="facts">{"".join(cells)}</dl>' if cells else ""


def _against(name: str, level: float | None) -> str:
    if name == "interval_coverage" and level is not None:
        return f"{percent(level)} promised"
    return MEASURES[name].against


def _learned(results: Mapping[str, Any]) -> str:
    n = results.get("n", {})
    learned, calibrated, judged = (plain_number(n.get(name)) for name in ("train", "calibration", "test"))
    way = results.get("estimate", "way of validation not recorded")
    return f"Learned from {learned} rows, calibrated on {calibrated}, judged on {judged} ({way})."
