"""Sections on the data: where the rows come from, who they are, what is predicted of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.flow import FlowStep, flow_svg
from features.page import picture, table
from models.card import COMPLICATIONS_REST_ON
from training.report.parts import (
    Evidence,
    Section,
    facts_table,
    for_the_hospital,
    not_done,
    section,
    shown,
    text,
)
from training.report.table_one import characteristics
from training.report.words import counted, number, number_or_few, percent, target_name, unit_words, words_of
from training.targets import TARGETS

MOST_MISSING = 25
WHY_OUT = {
    "label_window_open": "the outcome's window had not ended before the next slice",
    "patient_in_later_slice": "the patient comes again in a later slice",
}
NO_OUTCOME_YET = {
    "unlabelled": "rows have no known outcome",
    "unsettled": "rows have one that could not have been known of all patients of their day",
}
"""Counts of the split that are of no slice."""
SHARED = "calibration_rows_of_test_patients"
"""Of the split: whoever comes back may stand in the calibration and in the test."""
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
    """Data, flow, outcome, split, table 1, missing values, base rates."""
    yield _data(evidence)
    yield _flow(evidence)
    yield _outcome(evidence)
    yield _split(evidence)
    yield characteristics(evidence)
    yield _missing(evidence)
    yield _base_rates(evidence)


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
            f"What is predicted: {target_name(artefact.target)}",
            {
                "unit": unit_words(artefact.unit, artefact.context.currency) or "probability",
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
    upper = f" (the upper one at {number(at)})" if at is not None else ""
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


def _split(evidence: Evidence) -> Section:
    results = evidence.results
    split, patients = results.get("split", {}), results.get("n_patients", {})
    columns = {c["name"]: c for c in (results.get("table_one") or {}).get("columns", ())}
    # An amount has no rows with and without it.
    events = ["with the outcome"] if evidence.is_risk else []
    tested = "test" if split.get("by") != "patient" else "test (every row, out of fold)"
    rows = [
        [
            tested if name == "test" else name,
            number(results.get("n", {}).get(key)),
            number_or_few(patients[key]) if key in patients else "–",
            *(number(columns.get(name, {}).get("n_events")) for _ in events),
            split.get(f"{name}_from", "–"),
        ]
        for key, name in (("train", "training"), ("calibration", "calibration"), ("test", "test"))
    ]
    lost = [
        [
            name,
            WHY_OUT.get(why, why.replace("_", " ")),
            number_or_few(count["rows"]),
            *(f"{number_or_few(count['events'])} ({percent(count['prevalence'])})" for _ in events),
        ]
        for name, reasons in split.get("removed", {}).items()
        for why, count in reasons.items()
    ]
    apart = [
        f"{number_or_few(split[key])} {why}" for key, why in NO_OUTCOME_YET.items() if split.get(key, 0) != 0
    ]
    return section(
        "split",
        "How rows were divided",
        text(f"Way of validation: {results.get('estimate', 'not recorded')}.", _why_so(evidence)),
        table("Rows and patients of each slice", ["slice", "rows", "patients", *events, "from"], rows),
        text(
            "A patient may have several rows. Where fewer than 10 are such, patients are rounded to full 10."
            if patients
            else "Patients were not counted: one may have several rows."
        ),
        [table("Rows taken out", ["slice", "why", "rows", *events], lost)] if lost else [],
        [text(f"Not used: {'; '.join(apart)}.")] if apart else [],
        text(
            "No sample size was calculated beforehand. The size of the study is what the extract holds: "
            "every mature index admission takes part but those named above. A slice of too few rows or "
            "outcomes is refused before training. Whether it was enough can only be read off the width of "
            "the intervals and, where it was asked for, the learning curve.",
        ),
    )


def _why_so(evidence: Evidence) -> str:
    if evidence.results.get("split", {}).get("by") == "patient":
        return (
            "The extract has no calendar: every patient is judged by a model that was made the same way "
            "without them (folds by patient), not by this very model, and no row is later than another."
        )
    return (
        "The test is the latest period. No patient whom the trees learned from is in the calibration or the "
        "test, and a row enters a slice only if its outcome was known before the next slice begins. "
        f"{_shared(evidence)}"
    )


def _shared(evidence: Evidence) -> str:
    """That calibration and test share patients, with the number of rows where it is recorded."""
    split = evidence.results.get("split", {})
    n_rows = f" ({number_or_few(split[SHARED])} calibration rows are theirs)" if SHARED in split else ""
    return (
        f"Calibration and test may share patients{n_rows}, but no row: without those who come back later the "
        "calibration would lose the very returns that it is to count."
    )


def _missing(evidence: Evidence) -> Section:
    found = evidence.results.get("missingness")
    handling = text(
        "Nothing is filled in: the trees send a missing value down the branch that fitted best in training. "
        "A "
        "level of a category that is rare or new counts as missing. Missing is never taken for zero or no: a "
        "history that reaches back before the extract begins is missing.",
    )
    if found is None:
        return section("missing-values", "Missing values", not_done("shares were not recorded"), handling)
    rows = [
        [f["label"], *(_share_or_few(f, name) for name in ("training", "test"))] for f in found[:MOST_MISSING]
    ]
    more = (
        text(f"{len(found) - MOST_MISSING} more features lack values in fewer rows.")
        if len(found) > MOST_MISSING
        else ""
    )
    body = (
        table("Share of rows without a value", ["feature", "training", "test"], rows)
        if rows
        else text("Every feature of every row holds a value.")
    )
    return section("missing-values", "Missing values", body, more, handling)


def _share_or_few(entry: Mapping[str, Any], name: str) -> str:
    return "few" if name in entry and entry[name] is None else percent(entry.get(name))


def _base_rates(evidence: Evidence) -> Section:
    months = evidence.results.get("base_rate")
    title = "Base rates over time"
    if not months:
        why = "the rows have no calendar, or base rates were not recorded"
        return section("base-rates", title, not_done(why))
    n_withheld = sum("value" not in month for month in months)
    what = "share with the outcome" if evidence.is_risk else "mean amount"
    caption = (
        f"By month of the prediction: {what}, of all rows whose outcome is known. "
        f"Withheld for too few rows: {counted(n_withheld, 'month')}."
    )
    values = [month["value"] for month in months if "value" in month]
    span = (
        f"The {what} by month lies between {number(min(values))} and {number(max(values))}." if values else ""
    )
    return section("base-rates", title, shown(evidence, "base_rate", caption), text(span))
