"""Where the report answers the items of published checklists: data, printed in the docs, held by a test."""

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


ANSWERED_BY = {"report": "made from the results", "hospital": "people", "both": "the results, and people"}


@cache
def read_items(name: str) -> tuple[Item, ...]:
    """The items of a checklist in their order."""
    text = (files("training.report") / name).read_text("utf-8")
    return tuple(
        Item(row["item"], row["part"], row["topic"], row["by"], tuple(row["anchors"].split()))
        for row in csv.DictReader(text.splitlines())
    )


def reporting_markdown() -> str:
    """The page of the documentation that says what report and card answer."""
    return "\n".join(
        (
            "# Reporting",
            "",
            "Made by `make docs` from `training/report/`. Every training leaves two pages beside its",
            "results: `report.html`, the whole evidence, and `card.html`, the model card on two sheets,",
            "which travels in the model's folder too; a promotion puts one with version and day beside",
            "`champion.json`. Both stand by themselves, run no script and print on",
            "A4. Single patients are in neither: marks and lines are of at least 10 rows, groups of at",
            "least 50 with 10 outcomes.",
            "",
            "What only people can answer has a marked place, *for the hospital to write*. What was not done",
            "is told as such. A test looks every place up in reports and cards that it makes.",
            "",
            "## TRIPOD+AI",
            "",
            "The 27 items (Collins et al., BMJ 2024;385:e078378), in short words of our own.",
            "",
            *_markdown(TRIPOD_AI),
            "",
            "## CHAI applied model card",
            "",
            "The elements of the card's schema, version 0.2 (mc.chai.org).",
            "",
            *_markdown(CHAI_CARD),
            "",
        )
    )


def _markdown(name: str) -> list[str]:
    rows = [
        f"| {item.number} | {item.part} | {item.topic} | {', '.join(item.anchors)} | {ANSWERED_BY[item.by]} |"
        for item in read_items(name)
    ]
    return ["| item | part | what it asks | place | answered by |", "|---|---|---|---|---|", *rows]


if __name__ == "__main__":
    print(reporting_markdown(), end="")
