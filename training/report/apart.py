"""Sections on how good the model is apart: by group, place, time, way of use and step of its making."""

from __future__ import annotations

from collections.abc import Iterator

from features.page import table
from models.card import ICI_INTERVAL, group_inputs
from models.measures import estimate, measure_name, number, short_name
from training.report.parts import (
    Evidence,
    Section,
    entries_table,
    groups_note,
    groups_table,
    not_done,
    section,
    shown,
    text,
)
from training.report.performance import AGREEMENT, INTERVAL_NOTE
from training.report.words import STEPS, count_or_withheld, plain_number

RISK_GROUPS = ("auroc", "calibration_in_the_large", "calibration_slope", "ici")
AMOUNT_GROUPS = ("wape", "bias", "interval_coverage")


def sections(evidence: Evidence) -> Iterator[Section]:
    """Groups, other places and times, other uses, exposed period, optimism."""
    yield _groups(evidence)
    yield _heterogeneity(evidence)
    yield _other_uses(evidence)
    yield _exposed(evidence)
    yield _optimism(evidence)


def _groups(evidence: Evidence) -> Section:
    groups = evidence.results.get("groups")
    if not groups:
        return section("groups", "Groups of patients", not_done("no groups are known in this extract"))
    names = RISK_GROUPS if evidence.is_risk else AMOUNT_GROUPS
    body = [
        shown(
            evidence,
            "groups",
            f"How {'well the model ranks patients' if evidence.is_risk else 'far the model is off'} within "
            "each group, with intervals; the grey band is everyone's.",
        ),
        shown(
            evidence,
            "groups_calibration",
            "Whether predictions are too low or too high within each group; the dashed line is ideal.",
        ),
    ]
    if not evidence.is_risk:
        body.append(
            shown(evidence, "groups_coverage", "Share of actual amounts within the interval, by group.")
        )
    return section(
        "groups",
        "Groups of patients",
        body,
        groups_table(f"By group. {INTERVAL_NOTE}", groups, names),
        text(
            groups_note(groups),
            ICI_INTERVAL if evidence.is_risk else "",
            "A difference between groups may lie in the records, in the care or in the model; the page "
            "cannot tell which.",
        ),
        text(_read_of_groups(evidence)),
    )


def _read_of_groups(evidence: Evidence) -> str:
    """Whether a patient's group moves a prediction, and why that may be right or wrong."""
    inputs, distribution = group_inputs(evidence.artefact), evidence.artefact.distribution
    moved = (
        f"Of what tells groups apart the model reads {inputs}: a prediction may differ by it. That is right "
        "where illness or care truly differs: without it predictions would be too low for one group and too "
        "high for another. It is wrong where records only show who was treated, coded or paid for "
        "differently: the model then carries that on."
        if inputs
        else "The model reads nothing that tells these groups apart, though other inputs may stand for it."
    )
    by = distribution.group_feature.replace("_", " ") if distribution and distribution.groups else ""
    shapes = f" Intervals and chances have shapes of their own for each {by} of rows enough." if by else ""
    return f"{moved}{shapes} No threshold differs by group."


def _heterogeneity(evidence: Evidence) -> Section:
    results = evidence.results
    names = RISK_GROUPS if evidence.is_risk else AMOUNT_GROUPS
    places, times = results.get("by_hospital"), results.get("back_test")
    return section(
        "heterogeneity",
        "Other places and other times",
        entries_table(
            "Each hospital judged by a model that has not seen it",
            {"hospital": "hospital", "n": "rows"},
            places,
            names,
        )
        if places
        else not_done("no hospital was left out (one hospital only, or not asked for)"),
        entries_table(
            "Back-test: each period judged by a model of the time before it",
            {"from": "from", "until": "until", "n": "rows"},
            times,
            names,
        )
        if times
        else not_done("no back-test over earlier periods was asked for"),
    )


def _other_uses(evidence: Evidence) -> Section:
    results = evidence.results
    uses = [
        {"use": f"asked {earlier['hours_after_admission']:g} h after admission", **earlier}
        for earlier in results.get("asked_earlier") or ()
    ]
    deaths = results.get("deaths_as_not_readmitted")
    if deaths:
        n_deaths = plain_number(deaths.get("n_deaths"))
        uses.append({"use": f"deaths in hospital counted as not readmitted ({n_deaths})", **deaths})
    names = ("auroc", "calibration_in_the_large", "calibration_slope") if evidence.is_risk else ("d2", "bias")
    if not uses:
        why = "the model was not judged before its own landmark, nor with deaths counted in"
        return section("other-uses", "Used otherwise than trained", not_done(why))
    return section(
        "other-uses",
        "Used otherwise than trained",
        entries_table("On the test period", {"use": "use", "n": "rows"}, uses, names),
    )


def _exposed(evidence: Evidence) -> Section:
    found = evidence.results.get("exposed")
    title = "Since models are in service"
    why_apart = (
        "Where a prediction leads to help, the outcome it foretold may not come. Rows of the time since "
        "models are in service are therefore judged apart: whose prediction was acted on is not known."
    )
    if not found:
        why = "no judged row is of a time when a model was in service"
        return section("exposed", title, not_done(why))
    names = ("auroc", *AGREEMENT) if evidence.is_risk else ("d2", "bias", "interval_coverage")
    apart = {"since": found.get("metrics") or {}, "before": found.get("metrics_unexposed") or {}}
    there = [name for name in names if any(name in metrics for metrics in apart.values())]
    rows = [
        [measure_name(name), *(estimate(name, metrics.get(name)) for metrics in apart.values())]
        for name in there
    ]
    withheld = dict.fromkeys(metrics["missing"] for metrics in apart.values() if "missing" in metrics)
    n_judged = count_or_withheld(found.get("n"))
    n_learned = found.get("n_learned", 0)
    learned = "" if n_learned == 0 else f" The model learned from {count_or_withheld(n_learned)} such rows."
    return section(
        "exposed",
        title,
        text(f"From {found.get('from', '?')} on, {n_judged} rows of the test.{learned}"),
        table("Judged since a model is in service, and before", ["measure", *apart], rows) if rows else [],
        [not_done(f"measures since and before, of which one has {reason}") for reason in withheld],
        text(why_apart),
    )


def _optimism(evidence: Evidence) -> Section:
    steps = evidence.results.get("optimism")
    title = "Optimism of each step"
    if not steps:
        return section("optimism", title, not_done("the steps of training were not judged apart"))
    rows = [
        [
            step["step"],
            STEPS.get(step["step"], ""),
            plain_number(step.get("n")),
            number(step["metric"], step.get("value")),
        ]
        for step in steps
    ]
    return section(
        "optimism",
        title,
        table(
            f"{short_name(steps[0]['metric'])} of the same model",
            ["slice", "which rows", "rows", "value"],
            rows,
        ),
        text(
            "What is better on the rows that the trees grew on than on the test was in part learned by "
            "heart. The slices differ in time and in their patients too, so that the distance is no measure "
            "of that alone: where rows are split by time, the training lost the patients who came back later."
        ),
    )
