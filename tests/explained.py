"""Models and predictions written by hand, where every number of a reason can be derived."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.artefact import Artefact
from models.calibration import Calibration, LineCalibration
from models.distribution import Distribution, MeanFactor, Shapes
from models.encoding import FeatureSpec
from models.model import Model, Prediction
from tests.admission_rows import DISTRIBUTION
from tests.small_models import trained_cost, trained_risk


def spec(name: str, label: str, kind: str, unit: str = "", levels: tuple[str, ...] = ()) -> FeatureSpec:
    return FeatureSpec(name, label, kind, unit, "admission", name == "ward_score", levels)


SPECS = (
    spec("n_stays_prior_365d", "Admissions in the last year", "integer", "stays"),
    spec("haemoglobin_first_day", "Haemoglobin, first day", "number", "g/dL"),
    spec("had_renal_disease", "Renal disease (earlier stays)", "flag"),
    spec("admission_type", "Admission type", "category", levels=("elective", "emergency")),
    spec("stay_cost_prior_365d", "Cost of admissions in the last year", "number", "currency"),
)
FIRST = (3.0, np.nan, 1.0, 1.0, 18200.0)
"""Three earlier stays for 18,200, no haemoglobin, renal disease, an emergency."""
SECOND = (np.nan, 11.85, 0.0, np.nan, 0.0)


def risk_model(specs: tuple[FeatureSpec, ...] = SPECS, calibration: Calibration | None = None) -> Model:
    """A risk of which only what it remembers is used; uncalibrated unless told otherwise."""
    artefact = replace(trained_risk().artefact, features=specs, calibration=calibration or LineCalibration())
    return Model(artefact, {})


def amount_model(artefact: Artefact | None = None, *, least: float = 0.0) -> Model:
    """An amount of money whose mean is exp(raw) times 2 at every spread."""
    shape = DISTRIBUTION.shapes[0]
    distribution = Distribution(0.8, MeanFactor(float(np.log(2.0))), Shapes((), (shape,)), least=least)
    made = replace(artefact or trained_cost().artefact, features=SPECS, distribution=distribution)
    return Model(made, {})


def predicted(
    model: Model,
    contributions: list[list[float]],
    inputs: list[tuple[float, ...]],
    *,
    base_value: float = 0.0,
    spread: float = 1.0,
) -> Prediction:
    """The prediction that adds up from these contributions."""
    parts = np.array(contributions)
    raw = base_value + parts.sum(axis=1)
    distribution = model.artefact.distribution
    amounts = None
    if distribution is not None:
        nobody = np.full(len(raw), None, dtype=object)
        amounts = distribution.of(raw, np.full(len(raw), spread), nobody, model.artefact.unit)
    value = model.artefact.calibration.probability(raw) if amounts is None else amounts.expected  # type: ignore[union-attr]
    return Prediction(
        raw_output=raw, value=value, low=None, high=None, amounts=amounts, percentile=value * 0 + 0.5,
        band=["low"] * len(raw), base_value=base_value, contributions=parts, inputs=np.array(inputs),
        warnings=[[]] * len(raw),
    )  # fmt: skip
