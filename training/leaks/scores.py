"""How well single features, and all but some of them together, tell an outcome of patients they never saw."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.discrimination import auroc
from features.feature import Feature
from models.encoding import encode
from models.units import Kind
from training.inputs import choose_specs
from training.split import N_FOLDS, Rows, patient_folds, patient_places
from training.targets import Target

Values = NDArray[np.float64]
MOST_ROWS = 20_000
N_BINS = 20
PRIOR_ROWS = 20
"""A bin's mean is drawn towards the mean of all as if by so many rows more: rare ones must not shout."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is to be told: 0 or 1 of a risk, the logarithm of 1 + an amount; each row has one."""

    kind: Kind
    value: Values

    def told_by(self, predicted: Values, fold: NDArray[np.intp] | None = None) -> float:
        """AUROC of a risk, the explained share of the variance (R²) of an amount's logarithm.

        0.5 and 0 mean that nothing is told; an outcome that is the same everywhere cannot be told. With
        `fold`, the AUROC is the mean of the folds', by their pairs: scores of different folds were learned
        apart, and do not compare.
        """
        if self.value.min() == self.value.max():
            return 0.5 if self.kind == "risk" else 0.0
        if self.kind == "amount":
            rest = np.sum((self.value - predicted) ** 2)
            return float(1 - rest / np.sum((self.value - self.value.mean()) ** 2))
        if fold is None:
            return auroc(self.value, predicted)
        right = n_pairs = 0.0
        for number in np.unique(fold):
            value, part = self.value[fold == number], predicted[fold == number]
            pairs = float(value.sum() * (len(value) - value.sum()))
            right += pairs * auroc(value, part) if pairs else 0.0
            n_pairs += pairs
        return right / n_pairs if n_pairs else 0.5

    def words(self, told: float) -> str:
        """The measure in plain words."""
        if self.kind == "risk":
            return f"ranks {told:.0%} of the pairs of a row with and a row without the outcome rightly"
        return f"explains {told:.0%} of how the (logged) amounts differ"


def measure(kind: Kind, told: float) -> str:
    """The measure with its name."""
    return f"{'AUROC' if kind == 'risk' else 'R²'} {told:.2f}"


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows with an outcome, as bins: `bins` holds a place for each row, the last one for what is missing.

    `rows` are their positions in the data set, `matrix` [rows, features] the numbers that trees read. A
    patient's rows share one fold.
    """

    rows: Rows
    outcome: Outcome
    features: tuple[Feature, ...]
    matrix: Values
    bins: NDArray[np.int64]
    is_missing: NDArray[np.bool_]
    fold: NDArray[np.intp]

    @staticmethod
    def of(frame: pd.DataFrame, target: Target, features: tuple[Feature, ...], *, seed: int) -> Sample:
        """At most about 20,000 labelled rows, drawn by patient.

        Raises TrainingError if no feature varies.
        """
        label = target.labels(frame)
        rows = np.flatnonzero(~np.isnan(label))
        if len(rows) > MOST_ROWS:
            place = patient_places(frame["patient_id"].iloc[rows], "leaks", seed)
            rows = rows[place < MOST_ROWS / len(rows)]
        drawn = frame.iloc[rows]
        specs, _ = choose_specs(drawn, features, np.arange(len(drawn)))
        matrix, _ = encode(drawn[[spec.name for spec in specs]], specs)
        by_name = {feature.name: feature for feature in features}
        value = label[rows] if target.kind == "risk" else np.log1p(label[rows].clip(min=0))
        columns = [
            binned(matrix[:, place], is_category=spec.type == "category") for place, spec in enumerate(specs)
        ]
        return Sample(
            rows,
            Outcome(target.kind, value),
            tuple(by_name[spec.name] for spec in specs),
            matrix,
            np.column_stack(columns),
            drawn[[spec.name for spec in specs]].isna().to_numpy(),
            patient_folds(drawn["patient_id"], seed),
        )

    @cached_property
    def alone(self) -> Values:
        """What each feature alone expects of the outcome [rows, features]; see `mean_of_others`."""
        columns = [mean_of_others(self.outcome.value, column, self.fold) for column in self.bins.T]
        return np.column_stack(columns)

    @cached_property
    def told_alone(self) -> Values:
        """How well each feature alone tells the outcome."""
        return np.array([self.outcome.told_by(column, self.fold) for column in self.alone.T])

    @cached_property
    def told_by_missing(self) -> Values:
        """How well it tells the outcome that a value is missing, for each feature, in either direction."""
        return np.array([self._told_by_flag(column) for column in self.is_missing.T])

    def _told_by_flag(self, flag: NDArray[np.bool_]) -> float:
        if flag.all() or not flag.any():
            return 0.5 if self.outcome.kind == "risk" else 0.0
        if self.outcome.kind == "amount":
            return float(np.corrcoef(flag, self.outcome.value)[0, 1] ** 2)
        told = auroc(self.outcome.value, flag.astype(np.float64))
        return max(told, 1 - told)

    @cached_property
    def likeness(self) -> Values:
        """Correlation between what any two features alone expect; 0 with one that expects the same always."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.corrcoef(self.alone, rowvar=False).reshape(2 * [len(self.features)])
        return np.asarray(np.nan_to_num(found))

    def told_without(self, left_out: Collection[int]) -> float:
        """How well all features but these tell the outcome together.

        Their single scores are added up with weights learned by ridge regression on the other patients: in
        one step, and about as good as trees are on tables of this kind.
        """
        kept = [place for place in range(len(self.features)) if place not in left_out]
        expected = np.empty(len(self.rows))
        for judged, learned in self._folds():
            scores, mean = self.alone[learned][:, kept], self.outcome.value[learned].mean()
            centre = scores.mean(axis=0)
            scores = scores - centre
            penalty = PENALTY * self.outcome.value.var() * np.eye(len(kept))
            weights = np.linalg.solve(
                scores.T @ scores + penalty, scores.T @ (self.outcome.value[learned] - mean)
            )
            expected[judged] = (self.alone[judged][:, kept] - centre) @ weights + mean
        return self.outcome.told_by(expected, self.fold)

    def _folds(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        for fold in np.unique(self.fold):
            is_judged = self.fold == fold
            yield is_judged, ~is_judged


PENALTY = 5.0
"""Of the ridge, in variances of the outcome: weights are expected to be of the size of 1 or smaller."""


def binned(column: Values, *, is_category: bool) -> NDArray[np.int64]:
    """The place of each value: its level, or one of about 20 bins of equal size; the last one is missing."""
    is_missing = np.isnan(column)
    if is_category:
        places = column
        n_places = int(np.nanmax(column, initial=-1)) + 1
    else:
        edges = np.unique(np.nanquantile(column, np.linspace(0, 1, N_BINS + 1), method="lower"))
        places, n_places = np.searchsorted(edges, column, side="left").astype(np.float64), len(edges)
    return np.where(is_missing, n_places, places).astype(np.int64)


def mean_of_others(outcome: Values, place: NDArray[np.int64], fold: NDArray[np.intp]) -> Values:
    """For each row the mean outcome of the rows at the same place in other folds, so of other patients.

    It is drawn towards the mean of all other folds as if by 20 rows more.
    """
    n_places = int(place.max()) + 1
    cell = fold * n_places + place
    shape = (N_FOLDS, n_places)
    n = np.bincount(cell, minlength=N_FOLDS * n_places).reshape(shape)
    total = np.bincount(cell, weights=outcome, minlength=N_FOLDS * n_places).reshape(shape)
    n, total = n.sum(axis=0) - n, total.sum(axis=0) - total
    everywhere = total.sum(axis=1, keepdims=True) / np.maximum(n.sum(axis=1, keepdims=True), 1)
    means = (total + PRIOR_ROWS * everywhere) / (n + PRIOR_ROWS)
    return np.asarray(means[fold, place])
