"""Where the report answers the items of published checklists: data, printed in the docs and held by a "
"test."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

TRIPOD_AI = "tripod_ai_2024.csv"
CHAI_CARD = "chai_model_card_0.2.csv"


@dataclass(frozen=True)
class Item:
    """One thing that a checklist asks for.

    `anchors` are the places that answer it. `by` says who answers: `report`, `hospital` (a place that only
    people can fill) or `both`.
    """

    number: str
    part: str
    topic: str
    by: str
    anchors: tuple[str, ...]


@cache
def read_items(name: str) -> tuple[Item, ...]:
    """The items of a checklist in their order."""
    text = (files("training.report") / name).read_text("utf-8")
    return tuple(
        Item(row["item"], row["part"], row["topic"], row["by"], tuple(row["anchors"].split()))
        for row in csv.DictReader(text.splitlines())
    )
