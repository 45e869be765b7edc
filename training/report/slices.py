"""Sections on how the rows were divided, and how the slices differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.page import table
from models.measures import amount, percent
from training.report.parts import (
    Evidence,
    Section,
    not_done,
    section,
    shown,
    text,
)
from training.report.table_one import characteristics
from training.report.words import counted, number_or_few, plain_number

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


def sections(evidence: Evidence) -> Iterator[Section]:
    """Split, table 1, missing values, base rates."""
    yield _split(evidence)
    yield characteristics(evidence)
    yield _missing(evidence)
    yield _base_rates(evidence)


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
            plain_number(results.get("n", {}).get(key)),
            number_or_few(patients[key]) if key in patients else "–",
            *(plain_number(columns.get(name, {}).get("n_events")) for _ in events),
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
        "A level of a category that is rare or new counts as missing. Missing is never taken for zero or no: "
        "a history that reaches back before the extract begins is missing.",
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
    low, high = (
        (percent(end) if evidence.is_risk else amount(end, evidence.unit))
        for end in (min(values, default=0.0), max(values, default=0.0))
    )
    span = f"The {what} by month lies between {low} and {high}." if values else ""
    return section("base-rates", title, shown(evidence, "base_rate", caption), text(span))
