"""What the order of the rows gives away: in time, or in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.units import Kind
from training.leaks.leak import Leak
from training.leaks.scores import Outcome, Sample, Values, binned, mean_of_others, measure
from training.split import patient_places

LATE_SHARE = 0.25
N_TREES = 60
FEWEST_LATE_ROWS = 200
STANDARD_ERRORS = 3.0
GAIN: dict[Kind, float] = {"risk": 0.04, "amount": 0.05}
"""By how much AUROC or R² may be better if trees have learned from the judged rows' own time."""
ORDER_LIMIT: dict[Kind, float] = {"risk": 0.60, "amount": 0.10}
SETTINGS: dict[str, Any] = {
    "max_depth": 4,
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_data_in_leaf": 30,
    "max_bin": 63,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "feature_pre_filter": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # so small trees gain nothing from more, and lose much on a busy machine
    "verbosity": -1,
}


def shuffled_time(sample: Sample, frame: pd.DataFrame, *, seed: int) -> Iterator[Leak]:
    """Whether the latest rows are told better by trees that learned from rows of the same time too.

    The latest quarter of the rows is judged twice by small trees: learned from the earlier rows, and from as
    many rows drawn over all times, of other patients. An honest and steady world makes no difference. It
    is told if the gain is beyond the limit and three standard errors above 0.
    """
    drawn = frame.iloc[sample.rows]
    moment = pd.to_datetime(drawn["prediction_time"]).to_numpy()
    order = np.argsort(moment, kind="stable")
    is_late = moment >= moment[order[int((1 - LATE_SHARE) * len(order))]]
    half = patient_places(drawn["patient_id"], "leaks-half", seed) < 0.5
    late = np.flatnonzero(is_late)
    if len(late) < FEWEST_LATE_ROWS or len(late) > len(moment) / 2:
        return
    by_time, shuffled = np.empty(len(moment)), np.empty(len(moment))
    trees = _Trees(sample, seed)
    for judged in (is_late & half, is_late & ~half):
        is_other = ~drawn["patient_id"].isin(drawn["patient_id"][judged]).to_numpy()
        early, any_time = np.flatnonzero(is_other & ~is_late), np.flatnonzero(is_other)
        place = np.random.default_rng(seed).permutation(len(any_time))
        by_time[judged] = trees.learned(early, judged)
        shuffled[judged] = trees.learned(np.sort(any_time[place[: len(early)]]), judged)
    outcome = Outcome(sample.outcome.kind, sample.outcome.value[late])
    if outcome.value.min() == outcome.value.max():
        return
    gain, error = gained(outcome, shuffled[late], by_time[late])
    limit = GAIN[outcome.kind]
    if gain > limit and gain > STANDARD_ERRORS * error:
        told = outcome.told_by(by_time[late])
        text = (
            "The latest quarter of the rows is told better by trees that learned from rows of the same time "
            f"too, {measure(outcome.kind, told + gain)}, than from earlier rows alone, "
            f"{measure(outcome.kind, told)}. Something changes with time, or tells the outcome by its time: "
            "compare coding, prices and what is recorded, early and late."
        )
        yield Leak("prediction_time", "shuffled_time", text, round(gain, 3), limit)


def gained(outcome: Outcome, better: Values, worse: Values) -> tuple[float, float]:
    """By how much one prediction of the same rows is better than another, and the standard error of that.

    AUROC by DeLong's variance, R² by that of the squared errors; both count rows as independent.
    Source: DeLong et al., Biometrics 1988;44(3):837–845.
    """
    value = outcome.value
    gain = outcome.told_by(better) - outcome.told_by(worse)
    if outcome.kind == "risk":
        is_event = value == 1
        more = _placements(is_event, better) - _placements(is_event, worse)
        parts = [more[is_event], more[~is_event]]
    else:
        parts = [((value - worse) ** 2 - (value - better) ** 2) / value.var()]
    return gain, float(np.sqrt(sum(part.var() / len(part) for part in parts)))


def _placements(is_event: NDArray[np.bool_], score: Values) -> Values:
    """For each row the share of the rows of the other outcome that it is ranked rightly against."""
    above = rankdata(score)
    for side in (is_event, ~is_event):
        above[side] -= rankdata(score[side])
    share = above / np.where(is_event, (~is_event).sum(), is_event.sum())
    return np.asarray(np.where(is_event, share, 1 - share))


def row_order(sample: Sample, n_rows: int) -> Iterator[Leak]:
    """Whether a row's place in the data set alone tells the outcome."""
    places = binned(sample.rows.astype(np.float64), is_category=False)
    expected = mean_of_others(sample.outcome.value, places, sample.fold)
    told = sample.outcome.told_by(expected, sample.fold)
    limit = ORDER_LIMIT[sample.outcome.kind]
    if told > limit:
        text = (
            f"The place of a row among all {n_rows:,} alone {sample.outcome.words(told)}: the file is "
            "sorted by the outcome, or by something close to it. No number that follows its order "
            "(an identifier, a running number) may be an input; hash identifiers that do."
        )
        yield Leak("row_order", "shuffled_time", text, round(told, 3), limit)


class _Trees:
    """Small trees of a sample's rows; bins are made once, without a look at the outcome."""

    def __init__(self, sample: Sample, seed: int) -> None:
        kind = sample.outcome.kind
        self.matrix = sample.matrix
        self.settings = SETTINGS | {
            "objective": "binary" if kind == "risk" else "regression",
            "seed": seed,
        }
        self.bins = lgb.Dataset(
            sample.matrix,
            sample.outcome.value,
            categorical_feature=[
                place for place, feature in enumerate(sample.features) if feature.type == "category"
            ],
            params=self.settings,
            free_raw_data=False,
        ).construct()

    def learned(self, learning: NDArray[np.intp], judged: NDArray[np.bool_]) -> Values:
        booster = lgb.train(self.settings, self.bins.subset(np.sort(learning).tolist()), N_TREES)
        return np.asarray(booster.predict(self.matrix[judged]))
