"""The pictures of a report: of judged rows, of contributions, and of the document of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import Resampling
from evaluation.primary import PRIMARY
from models.encoding import encode
from models.measures import short_name
from models.model import Model
from models.words import group_name, plain_words, unit_of_feature, unit_words
from training.report.words import SHORT_BASELINES, words_of_score
from training.targets import Target
from training.validation.explaining import Explained
from training.validation.results import CAPACITY_SHARE, Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.contribution_plots import Contributed

BAND_REPLICATES = 200
AXES = {
    "log_odds": "Contribution to the log-odds (+0.69 about doubles the odds)",
    "log_money": "Contribution to the log amount (+0.10 is about 10 % more)",
    "log_days": "Contribution to the log days (+0.10 is about 10 % longer)",
}


def figures(
    model: Model,
    target: Target,
    frame: pd.DataFrame,
    judged: Judged,
    explained: Explained,
    results: Mapping[str, Any],
    resampling: Resampling,
) -> dict[str, Figure]:
    """All pictures of a model's report by name; `explained` are some of the judged rows."""
    artefact = model.artefact
    currency = artefact.context.currency
    rows = frame.iloc[judged.rows]
    return {
        **judged_figures(
            target,
            currency,
            target.labels(rows),
            judged,
            rows["patient_id"],
            resampling,
            has_capacity=results.get("capacity_per_week") is not None,
        ),
        **contribution_figures(contributed(model, explained), artefact.scale),
        **document_figures(
            results,
            unit=unit_words(target.unit, currency),
            level=None if artefact.distribution is None else artefact.distribution.level,
        ),
    }


def judged_figures(
    target: Target,
    currency: str,
    actual: NDArray[np.float64],
    judged: Judged,
    patients: pd.Series,
    resampling: Resampling,
    *,
    has_capacity: bool = True,
) -> dict[str, Figure]:
    """Calibration, and for a risk ROC and decision curve with the line of the capacity.

    `actual` and `patients` are of the judged rows; `has_capacity` says whether a capacity is known. Curves
    show the baselines that have predicted every row: those of different rows cannot be laid over each other.
    """
    from evaluation.calibration import smooth_calibration_band
    from evaluation.decisions import net_benefit_band
    from evaluation.plots import (
        THRESHOLDS,
        amount_calibration_plot,
        calibration_plot,
        decision_curve_plot,
        roc_plot,
    )

    if target.kind == "amount":
        unit = unit_words(target.unit, currency)
        return {"calibration": amount_calibration_plot(actual, judged.value, unit=unit)}
    whole = {
        SHORT_BASELINES.get(name, name.replace("_", " ")): values
        for name, values in judged.baselines.predictions.items()
        if not np.isnan(values).any()
    }
    both = {"model": judged.value, **whole}
    few = resampling.at_most(BAND_REPLICATES)
    band = smooth_calibration_band(actual, judged.value, patients, few)
    benefit = net_benefit_band(actual, judged.value, patients, few, THRESHOLDS)
    # Where no week is known, nothing can be followed up by the week.
    threshold = float(np.quantile(judged.value, 1 - CAPACITY_SHARE)) if has_capacity else None
    return {
        "calibration": calibration_plot(actual, judged.value, band),
        "roc": roc_plot(actual, both),
        "decision_curve": decision_curve_plot(actual, both, band=benefit, capacity_threshold=threshold),
    }


def contributed(model: Model, explained: Explained) -> list[Contributed]:
    """Each feature's values and contributions over the explained rows."""
    from evaluation.contribution_plots import Contributed

    values, _ = encode(explained.rows, model.artefact.features)
    parts = explained.contributions
    currency = model.artefact.context.currency
    return [
        Contributed(
            spec.name,
            spec.label,
            unit_of_feature(spec.unit, currency),
            values[:, place],
            parts[:, place],
            tuple(map(plain_words, spec.levels)),
        )
        for place, spec in enumerate(model.artefact.features)
    ]


def contribution_figures(features: list[Contributed], scale: str) -> dict[str, Figure]:
    """Beeswarm and dependence of groups of at least 10 rows; nothing where there are fewer."""
    from evaluation.contribution_plots import SMALLEST_GROUP, beeswarm_plot, dependence_plot

    if not features or len(features[0].values) < SMALLEST_GROUP:
        return {}
    axis = AXES[scale]
    return {
        "contributions": beeswarm_plot(features, x_label=axis),
        "dependence": dependence_plot(features, y_label=axis),
    }


def document_figures(results: Mapping[str, Any], *, unit: str, level: float | None) -> dict[str, Figure]:
    """What the document of results itself can show: base rates, learning curve, groups, PIT.

    `unit` is what an amount is counted in, `level` the share that its interval promises. A key that is absent
    has no picture.
    """
    from evaluation.plots import base_rate_plot, groups_plot, learning_curve_plot, pit_plot, tuning_plot

    found: dict[str, Figure] = {}
    is_risk = results["kind"] == "risk"
    if any("value" in month for month in results.get("base_rate") or ()):
        words = "Share with the outcome" if is_risk else f"Mean ({unit})"
        found["base_rate"] = base_rate_plot(results["base_rate"], y_label=words, is_share=is_risk)
    curve = [step for step in results.get("learning_curve") or () if step["value"] is not None]
    if curve:
        found["learning_curve"] = learning_curve_plot(curve, y_label=short_name(curve[0]["metric"]))
    tuning = results.get("tuning") or {}
    if any(trial.get("score") is not None for trial in tuning.get("trials", ())):
        found["tuning"] = tuning_plot(tuning["trials"], words_of_score(tuning["score_name"]))
    metrics = results.get("metrics", {})
    # What is withheld has no point; the table beside it names it.
    groups = [
        group | {"group": group_name(group["group"]), "level": plain_words(str(group["level"]))}
        for group in results.get("groups") or ()
        if not group["suppressed"]
    ]
    if groups:
        primary = PRIMARY["risk" if is_risk else "amount"]
        title, words = (
            ("Discrimination", "AUROC") if is_risk else ("Error", "WAPE: absolute error ÷ actual total")
        )
        name = "auroc" if is_risk else "wape"
        found["groups"] = groups_plot(
            groups, name, title=title, x_label=words, overall=metrics.get(name), is_share=not is_risk
        )
        name = primary.level
        found["groups_calibration"] = groups_plot(
            groups,
            name,
            title="Calibration",
            x_label="Observed minus expected (log-odds)" if is_risk else "Predicted ÷ actual total",
            overall=metrics.get(name),
            ideal=primary.level_ideal,
        )
        if not is_risk:
            found["groups_coverage"] = groups_plot(
                groups,
                "interval_coverage",
                title="Coverage of the interval",
                x_label="Share of actual amounts within",
                overall=metrics.get("interval_coverage"),
                ideal=level,
                is_share=True,
            )
    if (results.get("distribution") or {}).get("pit"):
        found["pit"] = pit_plot(results["distribution"]["pit"])
    return found
