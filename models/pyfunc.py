"""The model as MLflow's generic Python model: `mlflow models serve` and `mlflow.models.evaluate` work on it.

MLflow calls `_load_pyfunc` of this module in the installed package with the folder of the artefact.
Nothing is pickled and no code travels with the model. MLflow itself is not imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.model import Model, load_model


class FeatureTableModel:
    """Features by name in, predictions out, one row each in the same order."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `value` (a probability, or the expected amount) and, for an amount, `low` and `high`.

        A missing `high` means that the interval has no finite upper end. `params` belongs to MLflow's
        interface and has no use here. Raises EncodingError if a feature's column is absent.
        """
        del params
        found = self._model.predict(model_input, contributions=False)
        columns = {"value": found.value}
        if found.low is not None and found.high is not None:
            columns["low"] = found.low
            columns["high"] = np.where(np.isfinite(found.high), found.high, np.nan)
        return pd.DataFrame(columns, index=model_input.index)


def _load_pyfunc(path: str) -> FeatureTableModel:
    """Load the artefact in the folder `path`; the name is MLflow's."""
    return FeatureTableModel(load_model(Path(path)))
