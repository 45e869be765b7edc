"""Two small models and their documents of results, by hand: every key that a report can tell of."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from models.artefact import Artefact, Context, Training
from models.calibration import LineCalibration
from models.distribution import LEVELS, Distribution, MeanFactor, Shape, Shapes
from models.encoding import FeatureSpec

SPECS = (
    FeatureSpec("age_years", "Age", "integer", "years", "preadmission", False),
    FeatureSpec("sex", "Sex", "category", "", "preadmission", False, ("female", "male")),
    FeatureSpec(
        "n_stays_prior_365d", "Admissions in the last year", "integer", "stays", "preadmission", False
    ),
)
FACTS = {
    "data_set": "county hospital",
    "data_hash": "ab" * 32,
    "window": {
        "training_from": "2022-01-01",
        "calibration_from": "2024-01-01",
        "test_until": "2024-12-31",
    },
    "rows": {"train": 6000, "calibration": 1500, "test": 2000},
    "estimate": "later-in-time test",
    "seed": 0,
    "versions": {"wardcast": "0.1.0", "lightgbm": "4.7.0"},
}
PARAMETERS = {"learning_rate": 0.05, "max_depth": 3, "monotone_constraints": [1, 0, 1]}


def metric(value: float, reach: float = 0.02) -> dict[str, Any]:
    """A measure with an interval around it."""
    return {"value": value, "low": round(value - reach, 6), "high": round(value + reach, 6)}


def _artefact(target: str, objective: str, **own: Any) -> Artefact:
    label = {"kind": "derived", "variant": "cms", "window_days": 30}
    facts = FACTS | {"parameters": PARAMETERS | {"objective": objective}}
    return Artefact(
        name=f"{target}-admission",
        target=target,
        point="admission",
        context=Context("Asia/Shanghai", "CNY", {"diagnosis": "icd10"}, "billed"),
        landmark_hours=24.0,
        coding_lag_hours=48.0,
        cost_lag_hours=72.0,
        features=SPECS,
        fingerprint="cd" * 32,
        percentiles=tuple(np.linspace(0.0, 1.0, 101).tolist()),
        training=Training("real", label, dt.date(2024, 6, 1), facts),
        metrics={},
        intended_use=f"Estimates {target}, to help clinicians and planners set priorities.",
        **own,
    )


RISK = _artefact(
    "readmission",
    "binary",
    unit="probability",
    calibration=LineCalibration("platt", 0.1, 1.05),
    distribution=None,
    bands=(0.12, 0.3),
    base_value=-2.0,
)
AMOUNT = _artefact(
    "cost",
    "log",
    unit="money",
    calibration=None,
    distribution=Distribution(
        0.8,
        MeanFactor(0.0),
        Shapes((), (Shape(-1.0, 1.0, tuple(np.linspace(-2, 2, len(LEVELS)).tolist())),)),
    ),
    bands=(20_000.0, 45_000.0),
    base_value=9.5,
)

_COMMON: dict[str, Any] = {
    "prediction_point": "admission",
    "version": 3,
    "n": {"train": 6000, "calibration": 1500, "test": 2000},
    "n_patients": {"train": 4700, "calibration": 1320, "test": 1790},
    "estimate": "later-in-time test",
    "split": {
        "by": "time and patient",
        "calibration_from": "2024-01-01",
        "test_from": "2024-06-01",
        "unlabelled": 250,
        "calibration_rows_of_test_patients": 160,
        "removed": {
            "training": {
                "label_window_open": {"rows": 40, "events": 12, "prevalence": 0.3},
                "patient_in_later_slice": {"rows": 300, "events": 60, "prevalence": 0.2},
            }
        },
    },
    "explanation": {"n": 1000, "largest_gap": 4e-15, "rows_per_second": 3000.0},
    "features": {"used": 3, "left_out": {"has_hiv": "the same in every training row"}},
    "trees": {"model": 120},
    "flow": [
        {"step": "stays", "meaning": "stays in the extract", "n": 12_000},
        {"step": "newborns", "meaning": "newborns", "n": -500},
        {"step": "rows", "meaning": "index admissions at admission", "n": 11_500},
    ],
    "missingness": [
        {
            "feature": "n_stays_prior_365d",
            "label": "Admissions in the last year",
            "training": 0.3,
            "test": 0.0,
        }
    ],
    "importance": [
        {"feature": spec.name, "label": spec.label, "mean_abs_contribution": 0.4 - 0.1 * place}
        for place, spec in enumerate(SPECS)
    ],
    "asked_earlier": [{"hours_after_admission": 6.0, "missing": "fewer than 50 rows"}],
    "leaks": [
        {
            "feature": "ward_score",
            "check": "alone",
            "text": "ward_score alone has an AUROC of 0.99.",
            "value": 0.99,
            "limit": 0.9,
        }
    ],
    "tuning": {
        "n_trials": 3,
        "n_pruned": 1,
        "seconds": 12.5,
        "stopped_by": "trials",
        "score_name": "log_loss",
        "best": {"max_depth": 4},
        "trials": [
            {
                "number": n,
                "state": state,
                "score": score,
                "seconds": 4.0,
                "hyperparameters": {"max_depth": 3 + n},
            }
            for n, (state, score) in enumerate([("complete", 0.35), ("complete", 0.34), ("pruned", None)])
        ],
    },
    "gate": {"passed": False, "reasons": ["Failed: too flat.", "Passed: better."], "checks": []},
}


def _table_one(events: list[int] | None) -> dict[str, Any]:
    columns = [
        {"name": name, "label": name.title(), "n": n, **({"n_events": events[place]} if events else {})}
        for place, (name, n) in enumerate((("training", 6000), ("test", 2000)))
    ]
    sex = {"feature": "sex", "label": "Sex", "unit": "", "statistic": "share"}
    return {
        "columns": columns,
        "rows": [
            {
                "feature": "age_years",
                "label": "Age",
                "unit": "years",
                "level": None,
                "statistic": "mean (sd)",
                "cells": [{"mean": 61.2, "sd": 15.1}, {"mean": 62.0, "sd": 15.3}],
                "missing": [0.0, None],
                "difference": 0.0526,
            },
            {**sex, "level": None, "cells": [None, None], "missing": [0.0, 0.0], "difference": 0.12},
            {**sex, "level": "male", "cells": [{"n": 3000, "share": 0.5}, {"n": 1120, "share": 0.56}]},
            {**sex, "level": "female", "cells": [{"n": 3000, "share": 0.5}, {"n": 880, "share": 0.44}]},
            {
                "feature": "n_stays_prior_365d",
                "label": "Admissions in the last year",
                "unit": "stays",
                "level": None,
                "statistic": "median (quartiles)",
                "withheld": "fewer than 10 rows",
                "cells": [None, None],
                "missing": [0.3, 0.0],
            },
        ],
    }


def _months(values: list[float]) -> list[dict[str, Any]]:
    slices = ["training"] * 8 + ["calibration"] * 2 + ["test"] * 2
    months = [
        {"month": f"2024-{place + 1:02}", "slice": part, "n": 250, "value": value}
        for place, (part, value) in enumerate(zip(slices, values, strict=True))
    ]
    months[3] = {"month": "2024-04", "slice": "training", "reason": "fewer than 50 rows"}
    return months


def _groups(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    shown = {"suppressed": False, "n": 1000, "n_events": 120, "metrics": metrics}
    return [
        {"group": "sex", "level": "female", **shown},
        {"group": "sex", "level": "male", **shown},
        {"group": "payer", "level": "other", "suppressed": True, "reason": "fewer than 50 rows"},
    ]


RISK_METRICS = {
    "auroc": metric(0.72),
    "auprc": metric(0.3),
    "prevalence": metric(0.12),
    "brier": metric(0.09),
    "scaled_brier": metric(0.1),
    "calibration_in_the_large": metric(0.01),
    "calibration_slope": metric(1.02, 0.1),
    "ici": metric(0.01, 0.005),
    "sensitivity_at_capacity": metric(0.3),
    "net_benefit_at_0.1": metric(0.03),
}
AMOUNT_METRICS = {
    "wape": metric(0.4),
    "d2": metric(0.6),
    "mae": metric(8000.0, 300.0),
    "r2": metric(0.5),
    "bias": metric(1.01),
    "crps": metric(5600.0, 200.0),
    "interval_coverage": metric(0.8),
    "interval_width": metric(30_000.0, 900.0),
}
RISK_RESULTS: dict[str, Any] = _COMMON | {
    "target": "readmission",
    "model": "readmission-admission",
    "kind": "risk",
    "metrics": RISK_METRICS,
    "capacity_per_week": 4,
    "baselines": {
        "lace": {"n": 1800, "share_scored": 0.9, "auroc": metric(0.66), "difference": metric(0.06)},
        "hospital": {"missing": "haemoglobin and sodium at discharge"},
    },
    "groups": _groups({name: RISK_METRICS[name] for name in ("auroc", "calibration_in_the_large", "ici")}),
    "calibration": {
        "method": "platt",
        "intercept": 0.1,
        "slope": 1.05,
        "compared": [
            {"method": "none", "log_loss": 0.36, "brier": 0.091, "chosen": False},
            {"method": "platt", "log_loss": 0.35, "brier": 0.09, "chosen": True},
            {"method": "isotonic", "chosen": False, "reason": "too few events"},
        ],
    },
    "table_one": _table_one([700, 240]),
    "base_rate": _months([0.1, 0.12, 0.11, 0.1, 0.13, 0.12, 0.1, 0.11, 0.12, 0.13, 0.12, 0.11]),
    "optimism": [
        {"step": step, "n": n, "metric": "auroc", "value": value}
        for step, n, value in (("training", 5100, 0.78), ("stopping", 900, 0.73), ("test", 2000, 0.72))
    ],
    "learning_curve": [
        {"n_rows": n, "n_patients": n, "metric": "auroc", "value": value, "low": value - 0.02, "high": 0.75}
        for n, value in ((1000, 0.66), (3000, 0.7), (6000, 0.72))
    ],
    "back_test": [
        {"from": "2023-07-01", "until": "2023-12-31", "n": 1000, "metrics": {"auroc": metric(0.71)}}
    ],
    "by_hospital": [
        {"hospital": "H1", "n": 900, "metrics": {"auroc": metric(0.7)}},
        {"hospital": "H2", "reason": "fewer than 50 rows"},
    ],
    "deaths_as_not_readmitted": {"n_deaths": 40, "n": 2040, "metrics": {"auroc": metric(0.71)}},
    "exposed": {
        "from": "2024-09-01",
        "n": 500,
        "n_learned": 120,
        "metrics": {"auroc": metric(0.69)},
        "metrics_unexposed": {"auroc": metric(0.73)},
    },
}
AMOUNT_RESULTS: dict[str, Any] = _COMMON | {
    "target": "cost",
    "model": "cost-admission",
    "kind": "amount",
    "metrics": AMOUNT_METRICS,
    "metrics_truncated": AMOUNT_METRICS,
    "truncated_at": 210_000.0,
    "baselines": {
        "gamma": {"n": 2000, "share_scored": 1.0, "d2": metric(0.57), "difference": metric(0.03, 0.01)}
    },
    "groups": _groups({name: AMOUNT_METRICS[name] for name in ("wape", "bias", "interval_coverage")}),
    "table_one": _table_one(None),
    "base_rate": _months([21_000.0 + 500 * (place % 4) for place in range(12)]),
    "distribution": {
        "pit": [0.11, 0.1, 0.1, 0.09, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
        "coverage_apart": [
            {
                "group": "sex",
                "level": "male",
                "n": 1000,
                "interval_coverage": metric(0.87),
                "distance": 0.07,
                "is_sure": True,
            }
        ],
    },
    "models_compared": [
        {"objective": "gamma", "score": 5600.0, "chosen": True},
        {"objective": "tweedie", "score": 5650.0, "chosen": False},
    ],
}
