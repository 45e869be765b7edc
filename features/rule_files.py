"""Rules as data: the dated CSV files that stand beside the code that follows them."""

from __future__ import annotations

import csv
from pathlib import Path


def rule_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a rule file, every value a text, in their order."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
