"""Sections that open the page: in plain words, what the model is for, and what must never be claimed."""

from __future__ import annotations

from collections.abc import Iterator

from features.page import listed
from models.card import LIMITS
from training.report.parts import (
    Evidence,
    Section,
    facts_table,
    for_the_hospital,
    section,
    text,
)
from training.report.plain import moment, summary

PUBLISHED = {
    "lace": "LACE (van Walraven et al., CMAJ 2010;182:551–557)",
    "hospital": "HOSPITAL (Donzé et al., JAMA Intern Med 2013;173:632–638)",
}
"""Scores among the baselines that others have published, with their sources."""


def sections(evidence: Evidence) -> Iterator[Section]:
    """In plain words, intended use, what must never be claimed, background."""
    yield summary(evidence)
    yield _intended_use(evidence)
    yield section("never-claimed", "What must never be claimed", listed(LIMITS))
    yield _background(evidence)


def _intended_use(evidence: Evidence) -> Section:
    artefact = evidence.artefact
    return section(
        "intended-use",
        "Intended use",
        facts_table(
            "What it is for",
            {
                "purpose": artefact.intended_use,
                "users": "clinicians, discharge planners and bed managers; the result is advice to them",
                "patients": "adults admitted to the hospitals of the extract, as the cohort flow counts them",
                "place in care": f"{moment(evidence)}; to choose whom to look at first",
                "kind of prediction": "prognostic: something that has not happened or is not known yet",
                "objective": "to develop the model and to evaluate it on rows that it has not seen, of "
                "patients whom its trees did not learn from",
            },
        ),
        for_the_hospital(
            "workflow",
            "Place in this hospital's care",
            "who sees the prediction, when, what they do next, and what happens to patients who are not "
            "flagged.",
        ),
    )


def _background(evidence: Evidence) -> Section:
    baselines = evidence.results.get("baselines", {})
    shown_beside = [
        source for name, source in PUBLISHED.items() if "missing" not in baselines.get(name, {"missing": ""})
    ]
    scores = (
        f"Published for the same purpose, on the test rows that have it: {'; '.join(shown_beside)}."
        if shown_beside
        else "No published score for the same purpose stands beside the model."
    )
    return section(
        "background",
        "Background",
        text(scores),
        for_the_hospital(
            "context",
            "Context and rationale",
            "why a prediction is needed here, and which models exist already.",
        ),
        for_the_hospital(
            "inequalities",
            "Known inequalities",
            "which groups are known to be served or recorded worse here, and what that means for this "
            "outcome.",
        ),
    )
