"""The section on the predictive distribution of an amount: its interval, and whom that misses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from features.page import table
from models.card import interval_words
from models.measures import estimate, percent
from models.words import group_name, plain_words
from training.report.findings import groups_missed
from training.report.parts import Evidence, Section, metrics_table, not_done, section, shown, text
from training.report.words import plain_number

COVERAGE = "interval_coverage"
INTERVALS = ("interval_coverage", "interval_width", "interval_width_median", "interval_open_share")


def distribution(evidence: Evidence) -> Section:
    """The interval, the whole distribution, and the groups that the interval misses."""
    title = "Predictive distribution"
    if evidence.is_risk:
        return section("distribution", title, not_done("a risk has no distribution beyond its probability"))
    results = evidence.results
    found = results.get("distribution") or {}
    interval = evidence.artefact.distribution
    body = [
        text(f"The interval is {interval_words(interval)}.") if interval else "",
        metrics_table(
            "The interval on the test", results.get("metrics", {}), ("crps", *INTERVALS), unit=evidence.unit
        ),
    ]
    if found.get("pit"):
        body.append(
            shown(
                evidence,
                "pit",
                "Where actual amounts fall in their own predicted distribution, in tenths (PIT). Flat is "
                "ideal: high ends mean that distributions are too narrow, a high middle that they are too "
                "wide.",
            )
        )
    else:
        body.append(not_done("no predictive distribution was recorded"))
    body += _coverage_by_group(evidence)
    body.append(_objectives(results.get("models_compared")))
    return section("distribution", title, body)


def _coverage_by_group(evidence: Evidence) -> Iterator[str]:
    """Every group that the intervals clearly miss, large or small, and what large groups show beside."""
    results, level = evidence.results, evidence.level
    if level is None or not results.get("groups"):
        return
    missed = groups_missed(results, level)
    if missed:
        yield table(
            f"Look at these groups: their whole 95 % interval misses the {percent(level)} that is promised",
            ["group", "level", "rows", "within the interval", ""],
            [
                [
                    *_named(group),
                    estimate("interval_coverage", group["metrics"]["interval_coverage"]),
                    "look at",
                ]
                for group in missed
            ],
        )
    else:
        yield text(f"No group's 95 % interval of the coverage misses the {percent(level)} that is promised.")
    apart = (results.get("distribution") or {}).get("coverage_apart")
    if apart is None:
        return
    told = "; ".join(
        f"{' '.join(_named(group)[:2])} {estimate(COVERAGE, group[COVERAGE])}"
        f"{'' if group['is_sure'] else ', which may be chance'}"
        for group in apart
    )
    found = told or "none"
    yield text(
        f"Of groups of 1,000 rows or more, these lie more than 4 points from {percent(level)}: {found}. "
        "Smaller ones may be further off, and it is shown only where their interval says so."
    )


def _named(group: Mapping[str, Any]) -> list[str]:
    return [group_name(group["group"]), plain_words(str(group["level"])), f"{group['n']:,}"]


def _objectives(compared: Sequence[Mapping[str, Any]] | None) -> str:
    if not compared:
        return not_done("no objectives of the trees were compared")
    rows = [
        [entry["objective"], plain_number(entry.get("score")), "chosen" if entry.get("chosen") else ""]
        for entry in compared
    ]
    return table("Objectives compared; less is better", ["objective", "score", ""], rows)
