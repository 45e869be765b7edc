"""The payment groups of the made-up insurer, with their standards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.sources.synthetic.codes import cases
from features.sources.synthetic.records import HOSPITALS
from features.sources.synthetic.writing import dates, money, texts

_BASE_RATE = 12_000.0
"""CNY of a weight of 1."""

_SEVERE = 1.35
"""How much dearer than its plain form the form of a group with complications or comorbidities is."""


def payment_groups_table() -> dict[str, Any]:
    """The columns of `payment_groups`: codes of CHS-DRG 1.1, made-up weights and reference means."""
    listed = cases()
    members: dict[str, list[tuple[float, float]]] = {}
    titles: dict[str, str] = {}
    for place, title in enumerate(listed.title):
        plain, severe = listed.group_without[place], listed.group_with[place]
        for group in {plain, severe}:
            factor = _SEVERE if group == severe and plain != severe else 1.0
            members.setdefault(group, []).append(
                (listed.cost[place] * factor, listed.stay_days[place] * factor**0.5)
            )
            ending = {"1": ", serious complication", "3": ", with complication", "5": ", plain"}
            titles[group] = title + ending.get(group[-1], "")
    groups = sorted(members)
    means = np.array([np.mean(members[group], axis=0) for group in groups])
    n, hospitals = len(groups), len(HOSPITALS)
    everywhere = np.tile(np.arange(n), hospitals)
    rows = n * hospitals
    return {
        "payment_group": texts(np.array(groups, dtype=object)[everywhere]),
        "scheme_version": texts(["CHS-DRG 1.1"] * rows),
        "insurer": texts(["basic_medical_insurance"] * rows),
        "hospital_id": texts(np.repeat(HOSPITALS, n)),
        "valid_from": dates(np.full(rows, float(np.datetime64("2021-01-01", "D").astype(int)))),
        "scheme": texts(["drg"] * rows),
        "title": texts(np.array([titles[group] for group in groups], dtype=object)[everywhere]),
        "weight": pa.array(np.round(means[everywhere, 0] / _BASE_RATE, 4)),
        "reference_mean_charges": money(means[everywhere, 0]),
        "reference_mean_stay_days": pa.array(np.round(means[everywhere, 1], 2)),
        "coefficients": texts([f'{{"base_rate": {_BASE_RATE:.0f}}}'] * rows),
    }
