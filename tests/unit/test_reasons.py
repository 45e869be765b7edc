"""Reasons: the strongest contributions, with values as the model saw them, and in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.encoding import FeatureSpec
from serving.reasons import reasons, sentence


def spec(name: str, label: str, kind: str, unit: str = "", levels: tuple[str, ...] = ()) -> FeatureSpec:
    return FeatureSpec(name, label, kind, unit, "admission", False, levels)


SPECS = (
    spec("n_stays", "Admissions in the last year", "integer", "stays"),
    spec("haemoglobin", "Haemoglobin, first day", "number", "g/L"),
    spec("has_diabetes", "Diabetes", "flag"),
    spec("admission_type", "Admission type", "category", levels=("elective", "emergency")),
    spec("stay_cost", "Cost of admissions in the last year", "number", "currency"),
)
PATIENTS = pd.DataFrame(
    {
        "n_stays": [3.0, np.nan],
        "haemoglobin": [np.nan, 118.5],
        "has_diabetes": [1, 0],
        "admission_type": ["emergency", "by balloon"],
        "stay_cost": [18200.0, 0.0],
    }
)


def of(contributions: list[list[float]], **options: int | None) -> list[list[dict[str, object]]]:
    rows = reasons(PATIENTS, SPECS, np.array(contributions), currency="CNY", **options)  # type: ignore[arg-type]
    return [[dict(reason) for reason in row] for row in rows]


def test_the_strongest_contribution_comes_first_whatever_its_sign():
    first, second = of([[0.1, -0.9, 0.3, 0.2, 0.0], [0.0, 0.4, -0.5, 0.6, 0.1]], limit=2)
    assert [reason["feature"] for reason in first] == ["haemoglobin", "has_diabetes"]
    assert [reason["direction"] for reason in first] == ["lowers", "raises"]
    assert [reason["contribution"] for reason in second] == [0.6, -0.5]


def test_equal_contributions_keep_the_order_of_the_features():
    row, _ = of([[0.2, -0.2, 0.2, -0.2, 0.2]] * 2)
    assert [reason["feature"] for reason in row] == [each.name for each in SPECS]


def test_a_contribution_of_nothing_is_no_reason_but_stands_in_the_full_list():
    contributions = [[0.0, 0.3, 0.0, 0.0, 0.0]] * 2
    assert len(of(contributions)[0]) == 1
    full = of(contributions, limit=None)[0]
    assert len(full) == len(SPECS)
    assert [reason["direction"] for reason in full] == ["raises", "none", "none", "none", "none"]


def test_values_are_those_that_the_model_saw():
    first, second = ({r["feature"]: r["value"] for r in row} for row in of([[1.0] * 5] * 2, limit=None))
    assert first == {
        "n_stays": 3,
        "haemoglobin": None,
        "has_diabetes": True,
        "admission_type": "emergency",
        "stay_cost": 18200.0,
    }
    assert isinstance(first["n_stays"], int)
    # The model has never seen an admission by balloon: to it the type is missing.
    assert second["admission_type"] is None
    assert second["has_diabetes"] is False


def test_money_carries_the_currency_of_the_model():
    row, _ = of([[0.0, 0.0, 0.0, 0.0, 1.0]] * 2)
    assert row[0]["unit"] == "CNY"


@pytest.mark.parametrize(
    ("label", "value", "unit", "direction", "scale", "words"),
    [
        ("Admissions in the last year", 3, "stays", "raises", "log_odds",
         "Admissions in the last year: 3 stays (raises the risk)"),
        ("Admissions in the last year", 1, "stays", "lowers", "log_odds",
         "Admissions in the last year: 1 stay (lowers the risk)"),
        ("Coded diagnoses of this stay", 1, "diagnoses", "lowers", "log_odds",
         "Coded diagnoses of this stay: 1 diagnosis (lowers the risk)"),
        ("Haemoglobin, first day", None, "g/L", "lowers", "log_odds",
         "Haemoglobin, first day: not known (lowers the risk)"),
        ("Haemoglobin, first day", 9.04, "g/dL", "raises", "log_odds",
         "Haemoglobin, first day: 9.04 g/dL (raises the risk)"),
        ("Congestive heart failure", True, "", "raises", "log_odds",
         "Congestive heart failure: yes (raises the risk)"),
        ("Congestive heart failure", False, "", "lowers", "log_odds",
         "Congestive heart failure: no (lowers the risk)"),
        ("Admitted from", "other_hospital", "", "raises", "log_money",
         "Admitted from: other hospital (raises the expected amount)"),
        ("Cost of admissions in the last year", 18200.4, "CNY", "raises", "log_money",
         "Cost of admissions in the last year: 18,200 CNY (raises the expected amount)"),
        ("Charlson score", 0, "points", "none", "log_odds", "Charlson score: 0 points (no effect)"),
    ],
)  # fmt: skip
def test_a_reason_reads_as_a_sentence(label, value, unit, direction, scale, words):
    reason = {"label": label, "value": value, "unit": unit, "direction": direction}
    assert sentence(reason, scale=scale) == words
