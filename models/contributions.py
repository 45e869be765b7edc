"""Contributions: what moved a prediction on the model's own scale.

They are associations that describe the model, not the patient's biology.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.model import Model

if TYPE_CHECKING:
    import shap


def explanation(model: Model, frame: pd.DataFrame, *, threads: int = 1) -> shap.Explanation:
    """The rows' contributions as `shap.Explanation`, for its plots; categories are shown in words.

    `values` and `base_values` add up to the raw output, on `Artefact.scale`; `data` are the numbers that the
    model saw. Raises EncodingError if a column is absent.
    """
    import shap

    prediction = model.predict(frame, contributions=True, threads=threads)
    assert prediction.inputs is not None, "predicted with contributions"
    return shap.Explanation(
        values=prediction.contributions,
        base_values=np.full(len(frame), prediction.base_value),
        data=prediction.inputs,
        display_data=_in_words(model, prediction.inputs),
        feature_names=[spec.label for spec in model.artefact.features],
    )


def _in_words(model: Model, matrix: NDArray[np.float64]) -> NDArray[Any]:
    words = matrix.astype(object)
    for place, spec in enumerate(model.artefact.features):
        if spec.type == "category":
            words[:, place] = [
                None if np.isnan(code) else spec.levels[int(code)] for code in matrix[:, place]
            ]
    return words
