"""A stored prediction with all that its picture needs, every number written by hand."""

from __future__ import annotations

import copy
from typing import Any


def _reason(
    feature: str, label: str, value: object, unit: str, contribution: float, without: float
) -> dict[str, Any]:
    direction = "raises" if contribution > 0 else "lowers"
    return {
        "feature": feature, "label": label, "value": value, "unit": unit, "contribution": contribution,
        "direction": direction, "prediction_without": without,
        "missing": None if value is not None else "not_sent",
    }  # fmt: skip


LONG = (
    "Peri-; endo-; and myocarditis; cardiomyopathy (except that caused by tuberculosis or sexually "
    "transmitted disease)"
)
REASONS = [
    _reason("n_stays_prior_365d", "Admissions in the last year", 3, "stays", 0.6, 0.142),
    _reason("admitting_diagnosis_group", "Admitting diagnosis", LONG, "", 0.4, 0.168),
    _reason("haemoglobin_first_day", "Haemoglobin, first day", None, "g/dL", -0.3, 0.29),
    _reason("ward_score", "跌倒 <script>alert('1')</script> & \"score\"", 4.5, "points", 0.2, 0.197),
    _reason("takes_insulin", "Takes insulins", False, "", -0.1, 0.25),
]
# -2.0 and these, 0.6 + 0.4 - 0.3 + 0.2 - 0.1 = 0.8, are -1.2; the raw output is -1.15: 0.05 of 37 others.
RISK: dict[str, Any] = {
    "target": "readmission",
    "probability": 0.231,
    "band": "high",
    "percentile": 0.94,
    "reasons": REASONS,
    "n_contributing": 42,
    "base_prediction": 0.119,
    "marks": [
        {"raw_output": -2.2, "prediction": 0.1},
        {"raw_output": -1.39, "prediction": 0.2},
        {"raw_output": -0.85, "prediction": 0.3},
    ],
    "base_value": -2.0,
    "raw_output": -1.15,
    "scale": "log_odds",
    "model": "readmission-admission/7",
}
COST: dict[str, Any] = {
    **{name: value for name, value in RISK.items() if name != "probability"},
    "target": "cost",
    "expected": 41_823.0,
    "interval": {"level": 0.8, "low": 26_100.0, "high": 66_900.0},
    "unit": "money",
    "currency": "CNY",
    "scale": "log_money",
    "base_prediction": 17_876.0,
    "marks": [{"raw_output": -1.89, "prediction": 20_000.0}, {"raw_output": -1.48, "prediction": 30_000.0}],
    "reasons": [{**reason, "prediction_without": 30_000.0} for reason in REASONS],
    "model": "cost-admission/2",
}


def pictured() -> dict[str, Any]:
    """The stored answer: a risk and a cost of stay S9 at admission."""
    return copy.deepcopy(
        {
            "stay_id": "S9",
            "prediction_point": "admission",
            "prediction_time": "2026-01-08T10:00:00",
            "predictions": [RISK, COST],
            "provisional": False,
            "warnings": [],
            "scored_at": "2026-01-08T02:00:03Z",
        }
    )
