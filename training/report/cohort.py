"""Sections on the data: where the rows come from, who they are, what is predicted of them."""

from __future__ import annotations

from collections.abc import Iterator

from features.flow import FlowStep, flow_svg
from features.page import picture, table
from models.card import COMPLICATIONS_REST_ON
from models.measures import amount
from models.words import made_up, outcome_words
from training.report.parts import (
    Evidence,
    Section,
    facts_table,
    for_the_hospital,
    not_done,
    section,
    text,
)
from training.report.words import words_of
from training.targets import TARGETS

MATURITY = {
    "readmission": "A readmission is known once its window has passed after discharge.",
    "complication": "A complication is known once the stay is over; its onset is undated, so that one before "
    "the prediction counts too.",
    "cost": "A cost is known once its window has passed and every stay in it is costed.",
    "charges": "Charges are known once the stay is over and its total is there.",
    "stay_days": "A length of stay is known once the stay is over. It counts midnights.",
}
JUDGED = {
    "readmission": "Whether a return was planned rests on coded diagnoses and procedures.",
    "complication": "It rests on coded diagnoses, and where there are any on flags of what was present on "
    "admission: both are coders' judgement.",
}
"""What of an outcome a person judged; that of the others is billed or dated."""


def sections(evidence: Evidence) -> Iterator[Section]:
    """Data, flow, outcome."""
    yield _data(evidence)
    yield _flow(evidence)
    yield _outcome(evidence)


def _data(evidence: Evidence) -> Section:
    artefact, facts = evidence.artefact, evidence.facts
    context, window = artefact.context, facts.get("window", {})
    dates = f"{window.get('training_from', '?')} to {window.get('test_until', '?')}" if window else "no dates"
    return section(
        "data",
        "Data and setting",
        facts_table(
            "Source",
            {
                "data set": facts.get("data_set", "not named"),
                "source": _source(facts.get("source")),
                "predictions made from and to": dates,
                "dates": artefact.training.timeline,
                "time zone": context.time_zone,
                "currency": context.currency,
                "cost basis": context.cost_basis,
                "code systems": words_of(context.code_systems),
                "codes count as known": f"{artefact.coding_lag_hours:g} h after discharge",
                "totals count as known": f"{artefact.cost_lag_hours:g} h after discharge",
                "hash of the data": facts.get("data_hash", "not recorded"),
            },
        ),
        text(
            "Records are checked before anything is learned: what breaks a rule is set aside with its reason "
            "and counted in the quality report of the data set, which is made with `wardcast check --html`.",
            "A value enters only if it was known at the time of the prediction, not merely if it had "
            "happened.",
            "The rules are the same for every row. Whether what they set aside is as frequent in every "
            "group of patients is not counted.",
        ),
        for_the_hospital(
            "follow-up",
            "End of follow-up",
            "when the extract was made, and until when returns, deaths and costs in it are complete.",
        ),
        for_the_hospital(
            "preparation",
            "Preparation of the records",
            "what was done to them before the extract, and whether that, and what is set aside, is alike "
            "across groups.",
        ),
        for_the_hospital(
            "setting",
            "Setting and representativeness",
            "which hospitals and departments, where, how many; how the records came about; for whom they "
            "stand and for whom they do not; which treatments patients received that bear on the outcome.",
        ),
    )


def _source(source: str | None) -> str:
    """The declared source of the records, and whether they are of nobody."""
    records = made_up(source)
    return f"{source}: {records}" if records else source or "not recorded"


def _flow(evidence: Evidence) -> Section:
    steps = evidence.results.get("flow")
    if not steps:
        return section("flow", "Who is an index admission", not_done("the cohort flow was not recorded"))
    flow = [FlowStep(str(step["step"]), str(step["meaning"]), int(step["n"])) for step in steps]
    title = f"Who is an index admission at {evidence.artefact.point}"
    rounded = ", rounded to full 10 since a step is of fewer" if "is_rounded" in steps[0] else ""
    return section(
        "flow",
        "Who is an index admission",
        picture(flow_svg(flow, title), "From stays to index admissions; who leaves, and why."),
        table(
            f"Counted step by step{rounded}",
            ["stays or episodes", "step"],
            [[f"{s.n:+,}" if s.n < 0 else f"{s.n:,}", s.meaning] for s in flow],
        ),
    )


def _outcome(evidence: Evidence) -> Section:
    artefact = evidence.artefact
    label = artefact.training.label
    is_given = "given" in (label.get("kind"), label.get("rests_on"))
    rests_on = COMPLICATIONS_REST_ON.get(str(label.get("rests_on")))
    return section(
        "outcome",
        "Outcome",
        facts_table(
            f"What is predicted: {outcome_words(artefact.target, label)}",
            {
                "unit": evidence.unit or "probability",
                "prediction point": _point(evidence),
                "rule of the label": words_of(label),
                **({"rests on": rests_on} if rests_on else {}),
            },
        ),
        text(
            MATURITY.get(artefact.target, ""),
            "An outcome that is not known yet is missing, never taken for none: such rows are neither "
            "learned from nor judged by.",
            _truncation(evidence),
            TARGETS[artefact.target].caution if artefact.target in TARGETS else "",
        ),
        text(
            "The rule is the same for every patient, and the code that applies it does not see the "
            "prediction. What it reads was written by people, who may record some groups otherwise than "
            "others.",
            "" if is_given else JUDGED.get(artefact.target, ""),
        ),
        for_the_hospital(
            "outcome-rationale",
            "Why this outcome",
            "why this outcome with this window, and not another, is what care here is planned by.",
        ),
        for_the_hospital(
            "outcome-judgement",
            "Who judged the outcome",
            "who codes or enters what it rests on, by which rules, alike for every group or not, and whether "
            "they could see a prediction.",
        ),
    )


def _truncation(evidence: Evidence) -> str:
    """What the trees learned of an amount, as against what it is judged by."""
    if evidence.is_risk:
        return ""
    at = evidence.results.get("truncated_at")
    upper = f" (the upper one at {amount(at, evidence.unit)})" if at is not None else ""
    return (
        "The outcome itself is not truncated. The amounts that trees learn are drawn in at both half "
        f"percents of the training rows{upper}; the calibration gives their mean back."
    )


def _point(evidence: Evidence) -> str:
    artefact = evidence.artefact
    if artefact.point == "admission":
        return f"admission + {artefact.landmark_hours:g} h, of patients still in hospital then"
    return {"preadmission": "when the stay is booked", "discharge": "at discharge"}.get(
        artefact.point, artefact.point
    )
