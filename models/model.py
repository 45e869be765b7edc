"""A model that predicts: its artefact and its boosters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.artefact import Artefact, ArtefactError
from models.bands import bands_of, percentiles_of
from models.columns import Table
from models.distribution import Amounts
from models.encoding import booster_names, encode_rows, levels_of
from models.storage import read_artefact


@dataclass(frozen=True)
class Prediction:
    """Predictions of n rows.

    `raw_output` is the booster's own output on `Artefact.scale`; `value` the calibrated probability or
    the expected amount. `low` and `high` are the ends of an amount's interval (infinity: no finite bound) and
    `amounts` its distributions; all three are None for a risk. `percentile` is the place in the
    calibration slice, 0 to 1. `contributions` [n, features] plus `base_value` add up to `raw_output`, and
    `inputs` [n, features] are the numbers that they explain, as the boosters saw them; both are None unless
    asked for. `warnings` lists each row's own.
    """

    raw_output: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None
    amounts: Amounts | None
    percentile: NDArray[np.float64]
    band: list[str]
    base_value: float
    contributions: NDArray[np.float64] | None
    inputs: NDArray[np.float64] | None
    warnings: list[list[str]]


@dataclass(frozen=True)
class Model:
    """An artefact with its boosters, keyed model (and spread for an amount)."""

    artefact: Artefact
    boosters: dict[str, lgb.Booster]

    def predict(self, table: Table, *, contributions: bool = True, threads: int = 1) -> Prediction:
        """Predict the rows of `table`, which holds the model's features by name.

        A row's prediction does not depend on the other rows, the order of columns or the threads.
        Contributions are exact path-dependent TreeSHAP values. Raises EncodingError if a column is
        absent.
        """
        matrix, oddities = encode_rows(table, self.artefact.features)
        raw = self._raw("model", matrix, threads)
        amounts = self._amounts(matrix, raw, threads)
        low, high = (None, None) if amounts is None else amounts.interval
        value = self._probability(raw) if amounts is None else amounts.expected
        warnings: list[list[str]] = [[] for _ in range(len(table))]
        for oddity in oddities:
            text = str(oddity)
            for row in np.flatnonzero(oddity.is_odd):
                warnings[row].append(text)
        return Prediction(
            raw_output=raw,
            value=value,
            low=low,
            high=high,
            amounts=amounts,
            percentile=percentiles_of(value, self.artefact.percentiles),
            band=bands_of(value, self.artefact.bands),
            base_value=self.artefact.base_value,
            contributions=self._contributions(matrix, threads) if contributions else None,
            inputs=matrix if contributions else None,
            warnings=warnings,
        )

    def value_at(self, prediction: Prediction, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the predicted rows would get at other raw outputs [n, k]: probabilities or expected amounts.

        At `raw_output` less a contribution it is the prediction without that contribution. An amount keeps
        the spread of its row, which contributions do not explain.
        """
        amounts = prediction.amounts
        return self._probability(raw) if amounts is None else amounts.expected_at(raw)

    def _raw(self, name: str, matrix: NDArray[np.float64], threads: int) -> NDArray[np.float64]:
        if not len(matrix):
            return np.zeros(0)
        booster = self.boosters[name]
        return np.asarray(booster.predict(matrix, raw_score=True, num_threads=threads), dtype=np.float64)

    def _probability(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        calibration = self.artefact.calibration
        assert calibration is not None, "held by the artefact"
        return calibration.probability(raw)

    def _amounts(self, matrix: NDArray[np.float64], raw: NDArray[np.float64], threads: int) -> Amounts | None:
        distribution = self.artefact.distribution
        if distribution is None:
            return None
        spread = np.exp(self._raw("spread", matrix, threads))
        group = levels_of(matrix, self.artefact.features, distribution.group_feature)
        return distribution.of(raw, spread, group, self.artefact.unit)

    def _contributions(self, matrix: NDArray[np.float64], threads: int) -> NDArray[np.float64]:
        if not len(matrix):
            return np.zeros(matrix.shape)
        parts = self.boosters["model"].predict(matrix, pred_contrib=True, num_threads=threads)
        # The last column is the base value, the same in every row.
        return np.asarray(parts, dtype=np.float64)[:, :-1]


def model_from_text(artefact: Artefact, boosters: dict[str, str]) -> Model:
    """Bring an artefact and its boosters' text to life.

    Raises ArtefactError if LightGBM cannot read a booster or it reads other features.
    """
    alive: dict[str, lgb.Booster] = {}
    for name, text in boosters.items():
        try:
            alive[name] = lgb.Booster(model_str=text)
        except lgb.basic.LightGBMError as error:
            raise ArtefactError(
                f"{artefact.name}: {name}.txt is no model. Train or promote it again."
            ) from error
        if alive[name].feature_name() != booster_names(artefact.features):
            raise ArtefactError(
                f"{artefact.name}: {name}.txt reads other features than artefact.json lists. "
                "Train or promote the model again."
            )
    return Model(artefact, alive)


def load_model(folder: Path, expected_digest: str | None = None) -> Model:
    """Load a model from its folder; its digest is checked first, if one is given."""
    return model_from_text(*read_artefact(folder, expected_digest))
