"""Challenger against champion, on rows that neither of them has learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evaluation.bootstrap import DEFAULT_RESAMPLING, Resampling
from evaluation.evaluate import sample_amount, sample_score
from evaluation.groups import difference_by_group
from features.points import Point
from models.model import Model
from training.gate import PRIMARY, ChampionComparison
from training.results import GROUP_REPLICATES, group_levels
from training.targets import target_at

if TYPE_CHECKING:
    from training.train import Trained

NO_LATER_ROWS = "there are no rows later than both calibration slices"


def compare_with_champion(
    trained: Trained,
    champion: Model,
    version: int,
    frame: pd.DataFrame,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> ChampionComparison:
    """Compare on the challenger's test rows that are also later than the champion's calibration slice.

    `frame` is the data set that the challenger was trained on. The comparison has no rows, no difference and
    a reason where there is no such row, as without a calendar, or where the two mean different labels.
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
    if target.kind == "risk":
        challenger, present = (
            sample_score(label, score, patients, resampling) for score in (values, reference)
        )
    else:
        challenger, present = (
            sample_amount(label, expected, None, None, patients, resampling)
            for expected in (values, reference)
        )
    difference = challenger.minus(present).metric(PRIMARY[target.kind].name)
    groups = difference_by_group(
        label,
        values,
        reference,
        patients,
        group_levels(common),
        resampling.at_most(GROUP_REPLICATES),
        target.kind,
    )
    return ChampionComparison(version, len(common), difference, groups=groups)
