"""Judging a model on the rows of another data set."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import DEFAULT_RESAMPLING, Resampling
from evaluation.evaluate import sample_score
from evaluation.groups import too_small
from features.atomic import folder_beside
from features.build import PatientLevelData, build
from features.catalogue import CATALOGUE
from features.dataset import DataSet
from features.points import Point
from features.progress import Progress, silent
from features.settings import FeatureSettings
from training.baselines import SCORES, Baselines
from training.counts import told
from training.external import ExternalError
from training.external.fitness import (
    acted_upon,
    check_context,
    check_label,
    missing_everywhere,
    missing_facts,
    overlaps,
)
from training.external.model import Found
from training.external.recalibration import suggestion
from training.inputs import read_rows
from training.split import labelled_rows, settled_rows
from training.targets import Target, target_at
from training.validation.cross_validate import distribution_scores
from training.validation.results import Judged, assess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANGED_BY_ACTING = "acting on models has changed what they are judged by"
"""Why no recalibration is suggested: it would unlearn that whoever was helped had been at risk."""


@dataclass(frozen=True, eq=False)
class External:
    """An external validation: its `document`, and its pictures by name where they were asked for."""

    document: dict[str, Any]
    figures: Mapping[str, Figure]


def evaluate_elsewhere(
    found: Found,
    dataset: DataSet,
    *,
    settings: FeatureSettings,
    scratch: Path,
    resampling: Resampling = DEFAULT_RESAMPLING,
    with_figures: bool = False,
    acted_on_from: dt.date | None = None,
    progress: Progress = silent,
) -> External:
    """Judge a model on every settled row of a data set, built with the model's own landmark and lags.

    Acting on models since the day `acted_on_from` has changed labels: no recalibration is then suggested.
    The rows, which are patients', lie in a folder below `scratch` meanwhile; what a killed process left of
    them there is removed first. Raises ExternalError where the model's numbers would mean something else on
    this data set, or too few rows have an outcome.
    """
    artefact = found.model.artefact
    check_context(artefact, dataset)
    own = replace(
        settings,
        landmark_hours=artefact.landmark_hours,
        coding_lag_hours=artefact.coding_lag_hours,
        cost_lag_hours=artefact.cost_lag_hours,
        optional_features=any(
            spec.name in CATALOGUE and CATALOGUE[spec.name].optional for spec in artefact.features
        ),
    )
    with folder_beside(scratch / "evaluate") as folder:
        data = build(dataset, Point(artefact.point), folder / "rows.parquet", settings=own, progress=progress)
        progress(f"judging {found.model_id}", 0, 1)
        judged = judge_elsewhere(
            found,
            data,
            resampling=resampling,
            threads=settings.threads,
            with_figures=with_figures,
            acted_on_from=acted_on_from,
        )
        progress(f"judging {found.model_id}", 1, 1)
    return judged


def judge_elsewhere(
    found: Found,
    data: PatientLevelData,
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
    threads: int = 1,
    with_figures: bool = False,
    acted_on_from: dt.date | None = None,
) -> External:
    """The external validation on built rows: see `evaluate_elsewhere`.

    Keys of its document: model, digest, target, prediction_point, label (its rule), currency,
    model_source and data_source (the declared sources of the records learned from and judged), data_set,
    data_hash, n (rows, labelled; of these judged, and unsettled, since only the short stays of their days
    have an outcome yet: None for 1 to 9, and the other rounded; patients judged), kind, metrics, baselines
    (published scores on the same rows, by their own points), groups, recalibration, warnings.
    """
    model = found.model
    artefact = model.artefact
    target = target_at(artefact.target, data.point)
    check_label(artefact, data, target)
    frame = read_rows(data, target)
    has_calendar = data.declaration.has_calendar
    is_labelled, _ = labelled_rows(frame, target)
    is_settled = settled_rows(frame, target)[0] if has_calendar and is_labelled.any() else is_labelled
    chosen, n_labelled = np.flatnonzero(is_settled), int(is_labelled.sum())
    rows = frame.iloc[chosen]
    label = target.labels(rows)
    reason = too_small(len(rows), label if target.kind == "risk" else None)
    if reason:
        raise ExternalError(
            f"{data.declaration.name}: {len(rows)} of {len(frame)} rows have a settled outcome of "
            f"{target.name}, {reason}; that is too few to judge a model by. Give an extract that holds "
            "outcomes and is observed until they are known."
        )
    predicted = model.predict(rows, contributions=False, threads=threads)
    crps, pit = distribution_scores(predicted, label)
    judged = Judged(
        rows=chosen,
        value=predicted.value,
        low=predicted.low,
        high=predicted.high,
        crps=crps,
        pit=pit,
        baselines=Baselines({}, {}),
        truncated_at=None,
    )
    evidence = assess(frame, target, judged, resampling, has_calendar=has_calendar)
    if target.kind == "risk":
        evidence["baselines"] = dict(_scores(target, data.point, rows, label, predicted.value, resampling))
    n_judged, n_unsettled = told((len(rows), n_labelled - len(rows)))
    warned = acted_upon(rows["prediction_time"], acted_on_from)
    document = {
        "model": found.model_id,
        "digest": found.digest,
        "target": target.name,
        "prediction_point": artefact.point,
        "label": artefact.training.label,
        "currency": artefact.context.currency,
        "model_source": artefact.training.facts.get("source"),
        "data_set": data.declaration.name,
        "data_source": data.declaration.source,
        "data_hash": data.data_hash,
        "n": {
            "rows": len(frame),
            "labelled": n_labelled,
            "judged": n_judged,
            "unsettled": n_unsettled,
            "patients": int(rows["patient_id"].nunique()),
        },
        **evidence,
        "recalibration": {"missing": CHANGED_BY_ACTING}
        if warned
        else suggestion(target.kind, predicted.value, label, rows["patient_id"], resampling),
        "warnings": [
            *missing_facts(artefact, data),
            *missing_everywhere(artefact, rows),
            *overlaps(artefact, data, frame, chosen),
            *warned,
        ],
    }
    figures: Mapping[str, Figure] = {}
    if with_figures:
        from training.report.figures import judged_figures

        currency = artefact.context.currency
        figures = judged_figures(target, currency, label, judged, rows["patient_id"], resampling)
    return External(document, figures)


def _scores(
    target: Target,
    point: Point,
    rows: pd.DataFrame,
    label: NDArray[np.float64],
    value: NDArray[np.float64],
    resampling: Resampling,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Published scores as they are: ranked by their points, nothing fitted."""
    for score in SCORES:
        if score.is_for_discharge and not (target.name == "readmission" and point is Point.DISCHARGE):
            continue
        if score.feature not in rows.columns:
            yield score.name, {"missing": score.missing}
            continue
        points = rows[score.feature].to_numpy(dtype=np.float64, na_value=np.nan)
        has = ~np.isnan(points)
        reason = too_small(int(has.sum()), label[has])
        if reason:
            yield score.name, {"missing": f"rows that have it ({reason})"}
            continue
        patients = rows["patient_id"][has]
        theirs = sample_score(label[has], points[has], patients, resampling)
        ours = sample_score(label[has], value[has], patients, resampling)
        yield (
            score.name,
            {
                "n": int(has.sum()),
                "share_scored": float(has.mean()),
                **theirs.metrics(),
                "difference": ours.minus(theirs).metric("auroc"),
            },
        )
