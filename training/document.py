"""What is written down of a training: facts in the artefact, the rule of the label, the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from features.build import PatientLevelData
from models.artefact import Artefact
from models.card_metrics import spread_of_groups
from training.counts import told_patients, told_split
from training.fit import Fitted
from training.made import Made
from training.report.findings import to_watch
from training.targets import Target

VERSIONED = ("wardcast", "lightgbm", "numpy", "pandas")


def facts_of(made: Made, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What the artefact tells people of its training, with what its card must say of groups and limits."""
    declaration, split = made.data.declaration, made.split
    dates = ("training_from", "calibration_from", "test_until")
    return {
        "data_set": declaration.name,
        "source": declaration.source,
        "data_hash": made.data.data_hash,
        "window": {name: split.facts[name] for name in dates if name in split.facts},
        **({"observed_until": until.isoformat()} if (until := declaration.observed_until) else {}),
        "rows": made.n_rows,
        "estimate": made.estimate,
        "seed": made.recipe.seed,
        "parameters": made.fitted.parameters,
        "versions": {name: version(name) for name in VERSIONED},
        "groups": spread_of_groups(evidence["groups"], made.recipe.target.kind),
        "findings": to_watch(evidence),
    }


def label_rule(data: PatientLevelData, target: Target) -> dict[str, Any]:
    """The rule by which the data set's labels of this target came about."""
    if target.name == "readmission":
        rule = data.declaration.labels.readmission.model_dump(exclude_none=True)
        return rule | {"window_days": data.settings.readmission_window_days}
    if target.name == "complication":
        return {"rests_on": data.complication_by}
    if target.name == "stay_days":
        return {"counts": "midnights"}
    basis = {"currency": data.declaration.currency, "cost_basis": data.declaration.cost_basis}
    if target.name == "charges":
        return basis
    # What costs an extract without dates counts in is for the extract to say.
    window: dict[str, Any] = {"kind": "given"}
    if data.declaration.has_timeline:
        window = {"window_days": data.settings.cost_window_days}
    prices = {} if data.settings.price_year is None else {"prices_of": data.settings.price_year}
    return basis | window | prices


def results_of(made: Made, artefact: Artefact, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The document of results, without version and gate."""
    fitted = made.fitted
    return {
        "target": artefact.target,
        "prediction_point": artefact.point,
        "model": artefact.name,
        "n": made.n_rows,
        "n_patients": told_patients(made.n_rows, made.n_patients),
        "estimate": made.estimate,
        **evidence,
        "split": told_split(made.split.facts),
        **_calibration(artefact, fitted),
        "features": {"used": len(artefact.features), "left_out": fitted.left_out},
        "trees": {name: booster.num_trees() for name, booster in fitted.model.boosters.items()},
    }


def _calibration(artefact: Artefact, fitted: Fitted) -> dict[str, Any]:
    """The map of a risk, beside the methods that were compared; an amount has none."""
    if artefact.calibration is None:
        return {}
    numbers = {name: value for name, value in asdict(artefact.calibration).items() if value != ""}
    return {"calibration": {**numbers, "compared": [each.document() for each in fitted.calibrations]}}
