"""Challenger against champion, on rows that neither of them has learned from."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import DEFAULT_RESAMPLING, Metric, Resampling
from evaluation.evaluate import sample_amount, sample_score
from evaluation.groups import difference_by_group, too_small
from evaluation.primary import PRIMARY
from features.points import Point
from models.model import Model
from models.units import Kind
from training.gate.champion import ChampionComparison, CommonExposed
from training.targets import target_at
from training.validation.exposure import is_exposed
from training.validation.results import GROUP_REPLICATES, group_levels

if TYPE_CHECKING:
    from training.train import Trained

NO_LATER_ROWS = "there are no rows later than both calibration slices"


def compare_with_champion(
    trained: Trained,
    champion: Model,
    version: int,
    frame: pd.DataFrame,
    resampling: Resampling = DEFAULT_RESAMPLING,
    *,
    acted_on_from: dt.date | None = None,
) -> ChampionComparison:
    """Compare on the challenger's test rows that are also later than the champion's calibration slice.

    `frame` is the data set that the challenger was trained on. Rows from the day `acted_on_from` on are
    counted, and the others compared alone: whoever was helped because the champion called the risk high may
    not come back, which makes the champion look worse than it is. The comparison has no rows, no
    difference and a reason where there is no such row, as without a calendar, or where the two mean different
    labels.
    """
    artefact, rows = trained.artefact, trained.test
    ours, theirs = artefact.training, champion.artefact.training
    if ours.label != theirs.label:
        return ChampionComparison(
            version, 0, None, "their labels follow different rules, so that their measures cannot be compared"
        )
    if ours.test_from is None or theirs.test_from is None:
        return ChampionComparison(version, 0, None, NO_LATER_ROWS)
    positions = rows["row"].to_numpy()
    later = (frame["prediction_time"].iloc[positions] >= pd.Timestamp(theirs.test_from)).to_numpy()
    common = frame.iloc[positions[later]].reset_index(drop=True)
    if common.empty:
        return ChampionComparison(version, 0, None, NO_LATER_ROWS)
    target = target_at(artefact.target, Point(artefact.point))
    reference = champion.predict(common, contributions=False).value
    values = np.asarray(rows["value"].to_numpy()[later], dtype=np.float64)
    label, patients = target.labels(common), common["patient_id"]

    def difference(rows: NDArray[np.bool_]) -> Metric:
        return _difference(
            target.kind, label[rows], values[rows], reference[rows], patients[rows], resampling
        )

    groups = difference_by_group(
        label,
        values,
        reference,
        patients,
        group_levels(common),
        resampling.at_most(GROUP_REPLICATES),
        target.kind,
    )

    def is_small(rows: NDArray[np.bool_]) -> bool:
        return too_small(int(rows.sum()), label[rows] if target.kind == "risk" else None) is not None

    everyone, exposed = np.ones(len(common), dtype=bool), None
    if acted_on_from is not None:
        since = is_exposed(common["prediction_time"], acted_on_from)
        before = None if is_small(since) or is_small(~since) else difference(~since)
        exposed = CommonExposed(acted_on_from, int(since.sum()), before) if since.any() else None
    return ChampionComparison(version, len(common), difference(everyone), groups=groups, exposed=exposed)


def _difference(
    kind: Kind,
    label: NDArray[np.float64],
    values: NDArray[np.float64],
    reference: NDArray[np.float64],
    patients: pd.Series,
    resampling: Resampling,
) -> Metric:
    """The primary metric of these values minus the reference's, on the same rows."""
    if kind == "risk":
        ours, theirs = (sample_score(label, score, patients, resampling) for score in (values, reference))
    else:
        ours, theirs = (
            sample_amount(label, expected, None, None, patients, resampling)
            for expected in (values, reference)
        )
    return ours.minus(theirs).metric(PRIMARY[kind].name)
