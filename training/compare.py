"""Challenger against champion, on rows that neither of them has learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evaluation.evaluate import compare_cost, compare_score
from features.points import Point
from models.model import Model
from training.gate import PRIMARY, ChampionComparison
from training.targets import target_at

if TYPE_CHECKING:
    from training.train import Trained


def compare_with_champion(
    trained: Trained, champion: Model, version: int, frame: pd.DataFrame, *, seed: int = 0
) -> ChampionComparison:
    """Compare on the challenger's test rows that are also later than the champion's calibration slice.

    `frame` is the data set that the challenger was trained on. Without dates there is no later row:
    the comparison then has no rows and no difference.
    """
    artefact = trained.artefact
    test_from = champion.artefact.training.get("window", {}).get("test_from")
    rows = trained.test
    if test_from is None or artefact.training.get("timeline") == "none":
        return ChampionComparison(version, 0, None)
    positions = rows["row"].to_numpy()
    later = (frame["prediction_time"].iloc[positions] >= pd.Timestamp(test_from)).to_numpy()
    common = frame.iloc[positions[later]].reset_index(drop=True)
    if common.empty:
        return ChampionComparison(version, 0, None)
    target = target_at(artefact.target, Point(artefact.point))
    theirs = champion.predict(common, contributions=False).value
    ours = np.asarray(rows["value"].to_numpy()[later], dtype=np.float64)
    compare = compare_score if target.kind == "risk" else compare_cost
    difference = compare(target.labels(common), ours, theirs, common["patient_id"], seed=seed)
    return ChampionComparison(version, len(common), difference[PRIMARY[target.kind].name])
