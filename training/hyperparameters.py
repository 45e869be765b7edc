"""What the trees of a model are grown by, and LightGBM's settings made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.encoding import FeatureSpec
from models.units import Kind

DEEPEST = 6
MOST_LEAVES = 31
"""An exact explanation of a row takes time in proportion to trees × leaves × depth²: 1,700 rows a second
with 400 trees of 31 leaves and 6 levels, 250 with 63 leaves of any depth. No search goes beyond."""
MOST_TREES = 600

Objective = Literal["binary", "gamma", "tweedie", "log"]


@dataclass(frozen=True)
class Hyperparameters:
    """How trees grow. The names are LightGBM's, but for `objective`.

    `objective` of an amount: `gamma`, `tweedie` (power 1.5) or `log`, which is least squares of the
    logarithm, its mean given back by calibration (smearing). A risk has `binary` alone.
    """

    objective: Objective
    max_depth: int
    num_leaves: int
    min_data_in_leaf: int
    learning_rate: float = 0.05
    lambda_l2: float = 5.0
    feature_fraction: float = 0.5
    bagging_fraction: float = 0.8
    cat_smooth: float = 20.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_depth <= DEEPEST or not 2 <= self.num_leaves <= MOST_LEAVES:
            raise ValueError(
                f"trees: at most {DEEPEST} levels and {MOST_LEAVES} leaves can be explained in time."
            )


USUAL_OBJECTIVE: dict[Kind, Objective] = {"risk": "binary", "amount": "log"}


def default_hyperparameters(n_rows: int, objective: Objective) -> Hyperparameters:
    """Moderate trees for as many rows, cautious with rare categories.

    Trees are as deep as the rows that they grow on can bear: 3 levels up to 16,000 rows, one more for each
    doubling, 6 from 64,000 rows on.
    """
    depth = int(np.clip(np.floor(np.log2(n_rows / 1000)), 3, DEEPEST))
    return Hyperparameters(
        objective=objective,
        max_depth=depth,
        num_leaves=min(MOST_LEAVES, 2**depth),
        min_data_in_leaf=int(np.clip(n_rows // 500, 20, 200)),
    )


def monotone_of(specs: Sequence[FeatureSpec], directions: Mapping[str, int]) -> list[int]:
    """1, 0 or -1 for each feature in the order of the matrix. A category has no direction."""
    return [0 if spec.type == "category" else directions.get(spec.name, 0) for spec in specs]


def lightgbm_settings(
    chosen: Hyperparameters, *, seed: int, threads: int, monotone: Sequence[int] = ()
) -> dict[str, Any]:
    """LightGBM's settings but for the objective: the same trees every time.

    `monotone` holds 1, 0 or -1 for each feature in the order of the matrix; empty for no constraint.
    """
    constraints: Mapping[str, Any] = {"monotone_constraints": list(monotone)} if any(monotone) else {}
    return {
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.num_leaves,
        "max_depth": chosen.max_depth,
        "min_data_in_leaf": chosen.min_data_in_leaf,
        "lambda_l2": chosen.lambda_l2,
        "feature_fraction": chosen.feature_fraction,
        "bagging_fraction": chosen.bagging_fraction,
        "bagging_freq": 1,
        "cat_smooth": chosen.cat_smooth,
        "cat_l2": 5.0,
        "max_cat_threshold": 16,
        "min_data_per_group": 100,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "num_threads": threads,
        "verbosity": -1,
        **constraints,
    }


LEARNING_TASKS: dict[Objective, dict[str, Any]] = {
    "binary": {"objective": "binary"},
    "gamma": {"objective": "gamma"},
    "tweedie": {"objective": "tweedie", "tweedie_variance_power": 1.5},
    "log": {"objective": "regression"},
}
"""LightGBM's own name of each objective."""


def learned_label(label: NDArray[np.float64], objective: Objective) -> NDArray[np.float64]:
    """What trees of this objective learn of a label: of an amount above 0 its logarithm, or itself."""
    return np.log(label) if objective == "log" else label


DATASET_SETTINGS: dict[str, Any] = {"feature_pre_filter": False, "force_row_wise": True, "verbosity": -1}
"""What rows are binned by where several choices are tried on them: no choice moves a bin."""
