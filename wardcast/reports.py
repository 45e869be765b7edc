"""Results as a person at the terminal reads them."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from models.measures import estimate
from wardcast.console import program, say, show_table

if TYPE_CHECKING:
    from features.dataset import Declaration
    from features.flow import FlowStep
    from features.quality.report import Quality
    from serving.nightly.score import Scored
    from training.registry.changes import Change
    from training.registry.promotion import ChampionRow, VersionRow
    from wardcast.pipeline import Outcome
    from wardcast.settings import Settings

# The metrics that a first look needs; the document of results holds all.
_RISK_COLUMNS = ("auroc", "auprc", "brier", "calibration_slope", "ici")
_AMOUNT_COLUMNS = ("d2", "wape", "mae", "r2", "bias", "interval_coverage")


def show_quality(quality: Quality) -> None:
    """Rows in, out and quarantined by table; every rule that was broken; what changed; warnings."""
    show_table(
        "Rows",
        ["table", "in", "out", "quarantined"],
        [[name, f"{n.n_in:,}", f"{n.n_out:,}", f"{n.n_quarantined:,}"] for name, n in quality.counts.items()],
    )
    if quality.rules:
        show_table(
            "Rules broken",
            ["table", "rule", "columns", "rows", "share", "first row", "what to do"],
            [
                [r.table, r.rule, ", ".join(r.columns), r.n_rows, f"{r.share:.2%}", r.first_row, r.what_to_do]
                for r in quality.rules
            ],
        )
    if quality.findings:
        show_table(
            "What changed",
            ["table", "what", "what to do"],
            [[finding.table, finding.text, finding.what_to_do] for finding in quality.findings],
        )
    for warning in quality.warnings:
        say(f"Warning: {warning}")


def flow_document(flow: Sequence[FlowStep]) -> list[dict[str, Any]]:
    """The cohort flow as JSON."""
    return [asdict(step) for step in flow]


def show_flow(flow: Sequence[FlowStep], point: str) -> None:
    """The cohort flow, one line a step."""
    rows = [[f"{step.n:+,}" if step.n < 0 else f"{step.n:,}", step.meaning] for step in flow]
    show_table(f"Who is an index admission at {point}", ["rows", "step"], rows)


def show_training(results: Sequence[Mapping[str, Any]]) -> None:
    """Models beside their baselines, with 95 % intervals, and what the gate said."""
    from training.report.findings import findings_in_words

    for kind, columns in (("risk", _RISK_COLUMNS), ("amount", _AMOUNT_COLUMNS)):
        rows = [row for result in results if result["kind"] == kind for row in _metric_rows(result, columns)]
        if rows:
            show_table("Risks" if kind == "risk" else "Amounts", ["model", "rows", *columns], rows)
    show_leaks(results)
    for result in results:
        gate = result.get("gate")
        if gate:
            verdict = "passed" if gate["passed"] else "not passed"
            say(f"{result['model']}/{result.get('version', '')}: gate {verdict}")
            for check in gate["checks"]:
                if not check["passed"]:
                    say(f"  Failed: {check['text']}")
        for text in findings_in_words(result):
            say(f"{result['model']}: {text}")


def show_leaks(results: Sequence[Mapping[str, Any]]) -> None:
    """A warning for each feature that may tell the outcome from behind."""
    for result in results:
        for leak in result.get("leaks", ()):
            say(f"Warning: {result['model']}: {leak['feature']} ({leak['check']}): {leak['text']}")


def say_outcome(outcome: Outcome, settings: Settings, *, promote: bool) -> None:
    """What became of a model that was trained, and what to do next."""
    name, version = outcome.results["model"], outcome.results["version"]
    say(f"Report: {outcome.report}")
    if outcome.is_champion:
        say(f"{name}/{version} is champion now.")
    elif promote:
        say(f"{name}/{version} is registered but not champion: the gate refused it, for the reasons above.")
    else:
        command = f"{program('wardcast')} promote {name} {version} --work {shlex.quote(str(settings.work))}"
        if outcome.results["gate"]["passed"]:
            say(f"{name}/{version} is registered, not promoted. To make it champion:\n  {command}")
        else:
            say(
                f"{name}/{version} is registered, not promoted, and the gate is against it, for the reasons "
                f"above. Whoever knows better promotes it with a reason:\n  {command} --override 'reason'"
            )


def _metric_rows(result: Mapping[str, Any], columns: Sequence[str]) -> list[list[object]]:
    from training.targets import TARGETS

    unit = "days" if TARGETS[result["target"]].unit == "days" else ""

    def cells(metrics: Mapping[str, Any]) -> list[str]:
        # Why a baseline has no interval would fill the cell; the report says it.
        found = {name: {**metrics[name], "reason": None} for name in columns if name in metrics}
        return [estimate(name, found[name], unit, between="\n") if name in found else "" for name in columns]

    rows: list[list[object]] = [[result["model"], f"{result['n']['test']:,}", *cells(result["metrics"])]]
    for name, baseline in result["baselines"].items():
        if "missing" in baseline:
            rows.append([f"  {name}", "", f"not possible: {baseline['missing']}", *[""] * (len(columns) - 1)])
        else:
            share = baseline["share_scored"]
            scored = f"{baseline['n']:,} ({share:.0%})" if share < 1 else ""
            rows.append([f"  {name}", scored, *cells(baseline)])
    return rows


def moment(instant: str) -> str:
    """A recorded instant, ISO 8601 in UTC, to the second, for people."""
    return f"{dt.datetime.fromisoformat(instant).astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def show_champions(champions: Sequence[ChampionRow], *, with_evidence: bool = False) -> None:
    """The models in force: since when, and on what evidence; what failed or was overridden always."""
    if not champions:
        say("No champion yet: train a model with --promote, or look whether --work names the right folder.")
        return
    show_table(
        "Champions",
        ["model", "version", "since", "by", "on the test slice", "gate", "installed"],
        [
            [
                champion.name,
                champion.version,
                moment(champion.since),
                champion.changed_by,
                _primary_metric(champion.target, champion.metrics),
                "passed" if champion.gate_passed else "not passed",
                _installed(champion),
            ]
            for champion in champions
        ],
    )
    for champion in champions:
        _say_reasons(f"{champion.name}/{champion.version}", champion.evidence, with_evidence=with_evidence)
        if champion.is_damaged:
            say(
                f"{champion.name}/{champion.version}: its files here are not those that were promoted, and "
                f"the server refuses it. Promote it again: promote {champion.name} {champion.version}"
            )


def _installed(champion: ChampionRow) -> str:
    if champion.is_damaged:
        return "damaged"
    return "yes" if champion.is_installed else "no"


def _say_reasons(what: str, reasons: Sequence[str], *, with_evidence: bool) -> None:
    """What a person or the gate said of a change; the rules that were kept on request alone."""
    kept = [reason for reason in reasons if reason.startswith("Passed: ")]
    for reason in reasons:
        if with_evidence or reason not in kept:
            say(f"{what}: {reason}")
    if kept and not with_evidence:
        say(f"{what}: {len(kept)} of the gate's rules were kept; --evidence lists them.")


def show_versions(name: str, versions: Sequence[VersionRow], target: str) -> None:
    """Every registered version of a model, the latest first."""
    rows = [
        [
            row.version,
            moment(row.registered_at),
            _primary_metric(target, row.metrics),
            "passed" if row.gate_passed else "not passed",
            "champion" if row.is_champion else "",
        ]
        for row in versions
    ]
    show_table(f"Versions of {name}", ["version", "registered", "on the test slice", "gate", ""], rows)


def show_history(name: str, history: Sequence[Change], *, with_evidence: bool = False) -> None:
    """Every change of a model's champion: when, what, by whom, and the reasons."""
    show_table(
        f"Champions of {name}",
        ["when", "what", "version", "before", "by"],
        [
            [
                moment(change.changed_at),
                change.action,
                change.version,
                change.previous_version or "",
                change.changed_by,
            ]
            for change in history
        ],
    )
    for change in history:
        _say_reasons(f"{change.action} {name}/{change.version}", change.reasons, with_evidence=with_evidence)


def _primary_metric(target: str, found: Mapping[str, float]) -> str:
    """The metric on which the model is ranked, with its interval."""
    from evaluation.primary import PRIMARY
    from training.targets import TARGETS

    name = PRIMARY[TARGETS[target].kind].name
    metric = {"value": found.get(name), "low": found.get(f"{name}_low"), "high": found.get(f"{name}_high")}
    return name + " " + estimate(name, metric, between="\n")


def show_scored(scored: Scored, declaration: Declaration, *, since: dt.datetime | None, resume: bool) -> None:
    """How many admissions were scored, and the rows of each target and point."""
    if resume and not scored.resumed:
        say("There was no interrupted run to go on with: everything was scored anew.")
    say(f"{scored.n_admissions:,} admissions scored; {scored.n_rows:,} rows in {scored.path}:")
    for model, tables in scored.lacking.items():
        say(
            f"Warning: {model} learned from {', '.join(tables)}, which this data set does not hold: the "
            "features of these are missing, and its predictions are less good than its evidence says."
        )
    for count in scored.counts:
        kept = f" of {count.n_scored:,} scored, the highest" if count.n_rows < count.n_scored else ""
        say(f"  {count.target} at {count.prediction_point}: {count.n_rows:,} rows{kept}")
    if since is not None and not scored.n_scored:
        say(
            f"No prediction time lies at or after {since:%Y-%m-%d %H:%M}: the extract ends on "
            f"{declaration.observed_until}. Name an earlier --since."
        )
