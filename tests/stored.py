"""Answers to store, and databases to store them in, for the tests of the store."""

from __future__ import annotations

import copy
from typing import Any

from serving.predictions.documents import EXAMPLE_ANSWER
from serving.store.predictions import Stored


def answer(
    stay_id: str,
    probability: float = 0.2,
    *,
    department: str | None = "cardiology",
    point: str = "admission",
    time: str | None = "2026-01-08T10:00:00",
    scored_at: str = "2026-01-08T02:00:03Z",
    band: str = "high",
    percentile: float = 0.9,
    cost: float | None = None,
    model: str = "readmission-admission/7",
    in_words: bool = False,
) -> Stored:
    """The API's example answer with these facts; with `cost` it holds that target too.

    Its reasons are without words, as they are stored, unless it is to be `in_words`.
    """
    document: dict[str, Any] = copy.deepcopy(EXAMPLE_ANSWER)
    document |= {
        "stay_id": stay_id,
        "prediction_point": point,
        "prediction_time": time,
        "scored_at": scored_at,
    }
    risk = document["predictions"][0]
    risk |= {"probability": probability, "band": band, "percentile": percentile, "model": model}
    if cost is not None:
        amount = {name: value for name, value in risk.items() if name != "probability"}
        amount |= {"target": "cost", "expected": cost, "interval": None, "unit": "money", "currency": "CNY"}
        amount["scale"] = "log_money"
        document["predictions"].append(amount | {"model": "cost-admission/2"})
    return Stored(document if in_words else Stored(document).kept, department)
