"""Simple predictions on the same rows: what a model must be better than.

Each baseline is fitted on the model's training and calibration rows. One whose input does not exist is
listed with what is missing, so that its absence is never taken for a victory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from features.points import Point
from models.calibration import logistic_line
from models.distribution import OFFSET, positive_amount
from models.encoding import FeatureSpec, encode
from training.fit import Recipe
from training.split import Rows

MOST_REGRESSION_ROWS = 100_000
"""A regression learns nothing from more rows; a seeded sample of them is taken."""
MOST_LEVELS = 40
"""Of a category in a regression; the rarer ones count as one."""
MOST_STANDARD_DEVIATIONS = 5.0
"""Beyond it a value counts as this many: a regression's line would otherwise run off with the tail."""


@dataclass(frozen=True)
class Score:
    """A published score or a count, as one feature; `missing` says what it needs."""

    name: str
    feature: str
    missing: str
    is_for_discharge: bool = False
    """Made to foretell readmissions at discharge; the others are a baseline of every risk at every point."""


SCORES = (
    Score("prior_admissions", "n_stays_prior_365d", "admissions in the year before"),
    Score("lace", "lace_index", "length of stay, urgency, diagnoses and emergency visits", True),
    Score("hospital", "hospital_score", "haemoglobin and sodium at discharge", True),
)
GROUP_FEATURE = "admitting_diagnosis_group"


@dataclass(frozen=True)
class Baselines:
    """Predictions by baseline, one for each judged row, and why the others are missing.

    A prediction is NaN where the row lacks the score: it is judged on the rows that have it.
    """

    predictions: dict[str, NDArray[np.float64]]
    missing: dict[str, str]


def predict_baselines(
    frame: pd.DataFrame, recipe: Recipe, specs: tuple[FeatureSpec, ...], fitted: Rows, judged: Rows
) -> Baselines:
    """Fit every baseline of the target on the rows `fitted`, in ascending order, and predict `judged`.

    `specs` are the model's own features, for the regression. Probabilities for risks, amounts for amounts.
    """
    label = recipe.target.labels(frame)
    found: dict[str, NDArray[np.float64] | None] = {}
    needs: dict[str, str] = {}
    if recipe.target.kind == "amount":
        found["overall_mean"] = np.full(len(judged), label[fitted].mean())
        found["group_mean"] = _group_mean(frame, label, fitted, judged)
        needs["group_mean"] = "admitting diagnoses"
        unit = recipe.target.unit
        positive = positive_amount(label, unit)
        predicted = _gamma(frame, specs, positive, _sample(fitted, recipe.seed), judged)
        found["gamma"] = predicted - OFFSET[unit]
    else:
        for score in SCORES:
            at_discharge = recipe.target.name == "readmission" and recipe.point is Point.DISCHARGE
            if at_discharge or not score.is_for_discharge:
                found[score.name] = _by_score(frame, score.feature, label, fitted, judged)
                needs[score.name] = score.missing
        found["logistic"] = _logistic(frame, specs, label, _sample(fitted, recipe.seed), judged)
    return Baselines(
        {name: values for name, values in found.items() if values is not None},
        {name: needs[name] for name, values in found.items() if values is None},
    )


def _sample(fitted: Rows, seed: int) -> Rows:
    if len(fitted) <= MOST_REGRESSION_ROWS:
        return fitted
    chosen = np.random.default_rng(seed).choice(len(fitted), MOST_REGRESSION_ROWS, replace=False)
    return fitted[np.sort(chosen)]


def _by_score(
    frame: pd.DataFrame, feature: str, label: NDArray[np.float64], fitted: Rows, judged: Rows
) -> NDArray[np.float64] | None:
    """A probability by a logistic line on the score alone; NaN where the score is missing."""
    if feature not in frame.columns:
        return None
    points: NDArray[np.float64] = frame[feature].to_numpy(dtype=np.float64, na_value=np.nan)
    scored = fitted[~np.isnan(points[fitted])]
    if not len(scored) or np.isnan(points[judged]).all():
        return None
    line = logistic_line(points[scored], label[scored])
    if line is None:
        return np.where(np.isnan(points[judged]), np.nan, label[scored].mean())
    return np.asarray(expit(line[0] + line[1] * points[judged]))


def _group_mean(
    frame: pd.DataFrame, cost: NDArray[np.float64], fitted: Rows, judged: Rows
) -> NDArray[np.float64] | None:
    """The mean cost of the admitting diagnosis group; of everyone where the group is unknown."""
    if GROUP_FEATURE not in frame.columns or not frame[GROUP_FEATURE].iloc[fitted].notna().any():
        return None
    groups = frame[GROUP_FEATURE]
    means = pd.Series(cost[fitted]).groupby(groups.iloc[fitted].to_numpy()).mean()
    expected = groups.iloc[judged].map(means).to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isnan(expected), cost[fitted].mean(), expected)


def _logistic(
    frame: pd.DataFrame,
    specs: tuple[FeatureSpec, ...],
    label: NDArray[np.float64],
    fitted: Rows,
    judged: Rows,
) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    columns = frame[[spec.name for spec in specs]]
    regression = make_pipeline(_prepared(specs), LogisticRegression(solver="newton-cholesky"))
    regression.fit(encode(columns.iloc[fitted], specs)[0], label[fitted])
    return np.asarray(regression.predict_proba(encode(columns.iloc[judged], specs)[0])[:, 1])


def _gamma(
    frame: pd.DataFrame,
    specs: tuple[FeatureSpec, ...],
    cost: NDArray[np.float64],
    fitted: Rows,
    judged: Rows,
) -> NDArray[np.float64]:
    from sklearn.linear_model import GammaRegressor
    from sklearn.pipeline import make_pipeline

    columns = frame[[spec.name for spec in specs]]
    # The penalty is per row: a small one only keeps the equations solvable.
    regressor = GammaRegressor(alpha=1e-3, solver="newton-cholesky", max_iter=200)
    regression = make_pipeline(_prepared(specs), regressor)
    regression.fit(encode(columns.iloc[fitted], specs)[0], cost[fitted])
    return np.asarray(regression.predict(encode(columns.iloc[judged], specs)[0]))


def _prepared(specs: tuple[FeatureSpec, ...]) -> Any:
    """Medians with indicators of missingness for numbers, one column a level for categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers = [place for place, spec in enumerate(specs) if spec.type != "category"]
    categories = [place for place, spec in enumerate(specs) if spec.type == "category"]
    clip = FunctionTransformer(
        np.clip, kw_args={"a_min": -MOST_STANDARD_DEVIATIONS, "a_max": MOST_STANDARD_DEVIATIONS}
    )
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MOST_LEVELS, sparse_output=False
    )
    imputed = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(imputed, StandardScaler(), clip), numbers),
            ("categories", one_hot, categories),
        ]
    )
