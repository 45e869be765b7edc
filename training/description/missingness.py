"""Which features lack values, and in how many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from models.encoding import FeatureSpec
from training.counts import told_shares
from training.split import Split


def missingness(frame: pd.DataFrame, split: Split, specs: Sequence[FeatureSpec]) -> list[dict[str, Any]]:
    """Share of rows without a value, in training and (where there is one) test, the largest first.

    None for 1 to 9 rows without a value, or with one; the other share is then of a rounded count. Features
    that every row of both slices has are left out.
    """
    slices = {"training": split.training, "test": split.test}
    slices = {name: rows for name, rows in slices.items() if len(rows)}
    n_rows = [len(rows) for rows in slices.values()]
    found: list[dict[str, Any]] = []
    for spec in specs:
        is_missing = frame[spec.name].isna().to_numpy()
        counts = [int(is_missing[rows].sum()) for rows in slices.values()]
        if any(counts):
            shares = dict(zip(slices, told_shares(counts, n_rows), strict=True))
            found.append({"feature": spec.name, "label": spec.label, **shares})
    return sorted(found, key=lambda entry: -max(entry[name] or 0.0 for name in slices))
