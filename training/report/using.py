"""Sections that close the page: what the model leans on, what was decided, use, what only people can say."""

from __future__ import annotations

from collections.abc import Iterator

from features.page import listed, table
from models.card import READING_REASONS, band_cuts
from training.report.findings import findings, to_watch
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
from training.report.words import plain_number

MOST_IMPORTANT = 20
GROUPS_OF_ROWS = "Every mark is a group of at least 10 patients' rows, never one patient."


def sections(evidence: Evidence) -> Iterator[Section]:
    """What the model leans on, the gate, use, limits, and what is for the hospital to write."""
    yield _contributions(evidence)
    yield _gate(evidence)
    yield _use(evidence)
    yield _limits(evidence)
    yield _open_questions()


def _contributions(evidence: Evidence) -> Section:
    found = evidence.results.get("importance")
    scale = evidence.artefact.scale
    rows = [
        [entry["label"], f"{entry['mean_abs_contribution']:.3f}"] for entry in (found or ())[:MOST_IMPORTANT]
    ]
    return section(
        "contributions",
        "What the model leans on",
        text(READING_REASONS[scale]),
        table(
            f"Mean absolute contribution ({scale.replace('_', ' ')}), the {len(rows)} strongest features",
            ["feature", "mean absolute contribution"],
            rows,
        )
        if rows
        else not_done("importance was not recorded"),
        _exactness(evidence),
        shown(
            evidence,
            "contributions",
            "To the right: raises the prediction; to the left: lowers it. Colour: low or high value of the "
            f"feature. {GROUPS_OF_ROWS}",
        ),
        shown(
            evidence,
            "dependence",
            "Contribution over the feature's value: mean and middle half. "
            f"{GROUPS_OF_ROWS} An association in the model, not the effect of a change.",
        ),
    )


def _exactness(evidence: Evidence) -> str:
    """Whether contributions explain the output, as it was looked up."""
    found = evidence.results.get("explanation")
    if not found:
        return not_done("whether contributions add up to the output was not looked up")
    gap = found["largest_gap"]
    within = "a millionth" if gap <= 1e-6 else f"{gap:.6f}"
    return text(
        f"Of {found['n']:,} judged rows, base value and contributions add up to the output within "
        f"{within}; {found['rows_per_second']:,.0f} rows are explained in a second."
    )


def _gate(evidence: Evidence) -> Section:
    gate = evidence.results.get("gate")
    title = "Decision of the gate"
    if not gate:
        return section("gate", title, not_done("the gate has not looked at it"))
    kind, words = ("good", "Passed") if gate["passed"] else ("bad", "Not passed")
    return section("gate", title, f'<p class="{kind}">{words}.</p>', listed(gate.get("reasons", ())))


def _use(evidence: Evidence) -> Section:
    artefact = evidence.artefact
    unit = evidence.unit
    output = (
        "a probability of 0 to 1" if evidence.is_risk else f"an expected amount in {unit} with an interval"
    )
    meaning = "band and risk" if evidence.is_risk else "band and interval"
    return section(
        "use",
        "Using the model",
        facts_table(
            "Output and input",
            {
                "output": f"{output}, a band (low, medium, high), the place among past patients, and reasons",
                "bands": f"cut at {band_cuts(artefact)}, the 70th and 90th percentile of the "
                "calibration rows unless set otherwise",
                "missing input": "allowed: what is absent is unknown, and a warning says what was not "
                "supplied",
                "poor input": "values that cannot be read count as missing, with a warning; an extract that "
                "breaks the rules is set aside row by row with reasons",
                "what users do": "nothing by hand: features are computed from the records; whoever acts "
                "needs the clinical training that the action needs, and the meaning of " + meaning,
                "updating": "recalibrated or trained anew on a new extract, and only put in service "
                "through the gate; judged on new rows with `wardcast evaluate`",
            },
        ),
        text(
            "Updating the model: the calibration slice is the only adjustment after the trees were grown.",
            _after_the_test(evidence),
        ),
    )


def _after_the_test(evidence: Evidence) -> str:
    same = "patients" if _is_by_patient(evidence) else "period"
    return (
        "This run changed nothing after it had looked at the test. Other runs are not known to it: every "
        f"training on the same extract is judged on the same {same}, and the best of several looks better "
        "than it is."
    )


def _is_by_patient(evidence: Evidence) -> bool:
    return bool(evidence.results.get("split", {}).get("by") == "patient")


def _lost_to_the_training(evidence: Evidence) -> list[str]:
    """That whoever came back is missing in training, where it is so."""
    removed = evidence.results.get("split", {}).get("removed", {}).get("training", {})
    if removed.get("patient_in_later_slice", {}).get("rows", 0) == 0:
        return []
    return [
        "The training slice lost the rows of patients who came back in a later slice: the trees saw fewer "
        "of those who return. The calibration slice kept such rows and sets the level, not what they missed.",
    ]


def _limits(evidence: Evidence) -> Section:
    results = evidence.results
    n = results.get("n", {})
    limits = [
        "It was judged on the same hospitals that it learned from, unless another place is shown above: "
        "elsewhere it must be judged anew (`wardcast evaluate`).",
        f"{plain_number(n.get('test'))} rows judged it. Intervals hold the chance of which patients were "
        "tested, and nothing else: not that of training anew, of another period or of another place.",
        *_lost_to_the_training(evidence),
        "Records are made for care and payment: coding habits, late entries and care elsewhere that is not "
        "in the extract shape what it can know.",
    ]
    if _is_by_patient(evidence):
        limits.append(
            "Without a calendar it could not be judged on later patients, which is the harder test."
        )
    if any(group.get("suppressed") for group in results.get("groups", ())):
        limits.append("Some groups are too small to be judged; for them nothing is known.")
    if results.get("leaks"):
        limits.append("Warnings of leaks are open: until they are settled, its numbers may be too good.")
    watch = to_watch(results, evidence.level)
    within = [finding.text for finding in findings(results, evidence.level) if not finding.is_beyond]
    return section(
        "limits",
        "Limits",
        [text("Beyond the margins that the gate asks for on the test:"), listed(watch)] if watch else [],
        listed([*limits, *within]),
    )


def _open_questions() -> Section:
    questions = {
        "interpretation": (
            "Interpretation",
            "what the results mean here, beside earlier studies, and for fairness.",
        ),
        "next-steps": (
            "Next steps",
            "which studies or trials follow, and where else the model is to be judged.",
        ),
        "ethics": (
            "Ethical approval and consent",
            "who approved this use of records, or why none was needed.",
        ),
        "funding": ("Funding", "who paid for it, and what part they had in it."),
        "interests": ("Conflicts of interest", "of everyone who made or decided on it."),
        "protocol": ("Protocol", "where the plan of the study can be read, or that there is none."),
        "registration": ("Registration", "register and number, or that it is not registered."),
        "data-sharing": ("Data sharing", "whether and how others may see the records."),
        "involvement": ("Patients and public", "how they took part in design, conduct or reporting."),
        "responsible": ("Responsible people", "name and contact of whoever answers for the model here."),
        "regulation": ("Regulation", "status as a medical device, and clinical risk level."),
        "disclosure": ("Consent and disclosure", "whether patients are told, and how they may object."),
    }
    return section(
        "open-questions",
        "For the hospital to write",
        [for_the_hospital(anchor, title, question) for anchor, (title, question) in questions.items()],
    )
