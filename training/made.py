"""A model as it was made, with all that is needed to find out how good it is and to write it down."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from evaluation.bootstrap import Resampling
from features.build import PatientLevelData
from training.fit import Fitted, Recipe
from training.split import Split
from training.tuning import Tuned
from training.validation.results import Judged


@dataclass(frozen=True, eq=False)
class Made:
    """The rows of a data set, what a model was made of them, and which rows it is judged by.

    `estimate` says in words what these are; `tuned` is None without a search for hyperparameters.
    """

    data: PatientLevelData
    frame: pd.DataFrame
    recipe: Recipe
    split: Split
    estimate: str
    tuned: Tuned | None
    fitted: Fitted
    judged: Judged
    resampling: Resampling

    @property
    def n_patients(self) -> dict[str, int]:
        """Patients of training, calibration and test, each with at least one row there."""
        slices = {
            "train": self.split.training,
            "calibration": self.split.calibration,
            "test": self.judged.rows,
        }
        patients = self.frame["patient_id"]
        return {name: int(patients.iloc[rows].nunique()) for name, rows in slices.items()}

    @property
    def n_rows(self) -> dict[str, int]:
        """Rows of training, calibration and test."""
        return {**self.split.n, "test": len(self.judged.rows)}
