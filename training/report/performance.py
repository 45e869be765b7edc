"""Sections on how good the model is: overall, in use, and against simpler predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.page import table
from models.card import ICI_INTERVAL
from models.measures import amount, difference, estimate, number, short_name
from models.words import plain_words
from training.report.card import better
from training.report.distribution import distribution
from training.report.parts import (
    Evidence,
    Section,
    metrics_table,
    not_done,
    section,
    shown,
    text,
)
from training.report.words import BASELINES
from training.validation.results import CAPACITY_SHARE

RANKING = ("auroc", "auprc", "prevalence", "brier", "scaled_brier")
AGREEMENT = ("calibration_in_the_large", "calibration_slope", "ici", "observed_expected_ratio")
ERRORS = ("mae", "mdae", "wape", "r2", "d2", "bias", "crps")
CAPTIONS = {
    "risk": {
        "calibration": "Observed share against predicted risk: tenths of equal size, and the smoothed curve "
        "with its band. On the dashed line, predictions mean what they say.",
        "roc": "Sensitivity against false alarms, beside the baselines that every row has a value of.",
        "decision_curve": "Net benefit over the threshold from which on a patient is flagged. The dotted "
        "upright line is the risk at which the assumed capacity is full. Above both 'everyone' and 'no one', "
        "flagging by the model has a higher net benefit at that threshold's weighing of false alarms.",
    },
    "amount": {"calibration": "Mean actual against mean predicted amount by tenth of the prediction."},
}
"""Of pictures of judged rows."""
INTERVAL_NOTE = "Intervals are 95 % percentile intervals over resampled patients."


def sections(evidence: Evidence) -> Iterator[Section]:
    """Discrimination or error, calibration, usefulness, baselines, predictive distribution."""
    if evidence.is_risk:
        yield _discrimination(evidence)
        yield _risk_calibration(evidence)
        yield _usefulness(evidence)
    else:
        yield _error(evidence)
        yield _amount_calibration(evidence)
        yield _amount_usefulness()
    yield _baselines(evidence)
    yield distribution(evidence)


def _discrimination(evidence: Evidence) -> Section:
    metrics = evidence.results.get("metrics", {})
    return section(
        "discrimination",
        "Discrimination and overall performance",
        text(
            "Ranking and agreement are told apart, since a model may rank patients well and yet be too high "
            "or too low; whether acting on it could pay is asked by net benefit."
        ),
        metrics_table(f"On the test. {INTERVAL_NOTE}", metrics, RANKING),
        shown(evidence, "roc", CAPTIONS["risk"]["roc"]),
    )


def _error(evidence: Evidence) -> Section:
    results = evidence.results
    truncated = results.get("metrics_truncated") or {}
    extra: list[str] = []
    if truncated:
        at = results.get("truncated_at")
        where = f" at {amount(at, evidence.unit)}" if at is not None else ""
        caption = f"The same with actual amounts truncated{where}"
        extra.append(metrics_table(caption, truncated, ERRORS, unit=evidence.unit))
    return section(
        "discrimination",
        "Error and overall performance",
        text(
            "The deviance explained (D²) compares models: it is best for the true mean. The error as a share "
            "of the actual total (WAPE) is easier to picture, and a little kind to whoever foresees too "
            "little; predicted ÷ actual tells whether totals are right; the CRPS and the interval judge the "
            "whole distribution."
        ),
        metrics_table(
            f"On the test, against actual amounts as they are. {INTERVAL_NOTE}",
            results.get("metrics", {}),
            ERRORS,
            unit=evidence.unit,
        ),
        extra,
    )


def _risk_calibration(evidence: Evidence) -> Section:
    return section(
        "calibration",
        "Calibration",
        metrics_table(
            "Agreement of predicted and observed risk", evidence.results.get("metrics", {}), AGREEMENT
        ),
        text(ICI_INTERVAL),
        shown(evidence, "calibration", CAPTIONS["risk"]["calibration"]),
        _methods(evidence),
    )


def _amount_calibration(evidence: Evidence) -> Section:
    return section(
        "calibration",
        "Calibration",
        shown(evidence, "calibration", CAPTIONS["amount"]["calibration"]),
        _methods(evidence),
    )


def _methods(evidence: Evidence) -> Iterator[str]:
    """How the map was chosen, on the calibration slice."""
    if evidence.artefact.calibration is None:
        yield text(
            "The expected amount is exp(output of the trees) times a factor that follows the spread, by "
            "regression on the calibration slice, so that predicted and actual totals agree there."
        )
        return
    found = evidence.results.get("calibration") or {}
    numbers = {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    told = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
    method = str(found.get("method", "not recorded")).replace("_", "-")
    numbers_told = f": {told}" if told and method != "none" else ""
    reason = f" ({found['reason']})" if found.get("reason") else ""
    yield text(f"Map from the trees' output to the prediction: {method}{numbers_told}{reason}.")
    compared = found.get("compared")
    if not compared:
        yield not_done("no methods of calibration were compared")
        return
    names = [n for n in ("log_loss", "brier", "score") if any(n in entry for entry in compared)]
    rows = [
        [
            plain_words(entry["method"]),
            *(number(name, entry.get(name)) for name in names),
            "chosen" if entry.get("chosen") else entry.get("reason", ""),
        ]
        for entry in compared
    ]
    headings = ["method", *map(short_name, names), ""]
    yield table("Methods of calibration compared on the calibration slice; less is better", headings, rows)


def _usefulness(evidence: Evidence) -> Section:
    results = evidence.results
    metrics, capacity = results.get("metrics", {}), results.get("capacity_per_week")
    at = [name for name in metrics if "_at_" in name]
    note = (
        f"The capacity is assumed: the {capacity} highest of a week, {CAPACITY_SHARE:.0%} of its mean "
        "number of rows, are followed up."
        if capacity
        else "Without a calendar there is no week, and no capacity of one."
    )
    return section(
        "usefulness",
        "Clinical usefulness",
        shown(evidence, "decision_curve", CAPTIONS["risk"]["decision_curve"]),
        metrics_table("At an assumed capacity and at assumed thresholds", metrics, at) if at else [],
        text(
            note,
            "The thresholds are assumed too: which harms weigh how much here is for the hospital to say. Net "
            "benefit weighs a false alarm by the threshold's odds; whether a programme helps the patients "
            "whom it reaches is not told by it.",
        ),
    )


def _amount_usefulness() -> Section:
    return section(
        "usefulness",
        "Clinical usefulness",
        not_done(
            "decision curves are for risks; what an amount is worth to planning is told by its error and its "
            "predictive distribution"
        ),
    )


def _baselines(evidence: Evidence) -> Section:
    found: Mapping[str, Any] = evidence.results.get("baselines", {})
    if not found:
        return section("baselines", "Against simpler predictions", not_done("no baseline was computed"))
    names = ("auroc", "brier", "calibration_slope") if evidence.is_risk else ("d2", "wape", "mae")
    primary, side = names[0], better(evidence.artefact.kind)
    metrics = evidence.results.get("metrics", {})
    unit = evidence.unit
    rows = [["this model", "", *(estimate(name, metrics.get(name), unit) for name in names), ""]]
    missing = []
    for baseline, document in found.items():
        label = BASELINES.get(baseline, baseline)
        if "missing" in document:
            missing.append(f"{label}: for want of {document['missing']}")
            continue
        share = document.get("share_scored", 1.0)
        rows.append(
            [
                label,
                f"{document.get('n', 0):,} ({share:.0%})",
                *(estimate(name, document.get(name), unit) for name in names),
                difference(primary, document.get("difference")),
            ]
        )
    columns = [
        "prediction",
        "rows that have it",
        *map(short_name, names),
        f"{short_name(primary)}: model minus this (better {side})",
    ]
    return section(
        "baselines",
        "Against simpler predictions",
        table(f"On the same rows. {INTERVAL_NOTE}", columns, rows),
        text(
            "A difference is taken on the rows that both have predicted, in the same resamples: where fewer "
            "rows have the other one, it is not that of the two values shown. The model is "
            f"shown to be better than one of these only where the whole interval is {side}.",
        ),
        [not_done(reason) for reason in missing],
    )
