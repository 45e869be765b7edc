"""The report of a model as one HTML page that stands by itself and prints on A4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from features.page import page
from features.pictures import html_text
from models.artefact import Artefact
from training.report import apart, cohort, making, performance, purpose, slices, using
from training.report.checklist import TRIPOD_AI, Item, read_items
from training.report.parts import Evidence, Section, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
th, td { overflow-wrap: break-word; } th.number { white-space: normal; }
nav ol { columns: 3; column-gap: 2rem; padding-left: 1.4rem; font-size: .92em; }
section { border-top: 1px solid #d0d0d0; margin-top: 1.6rem; } section h2 { margin-top: 1rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .6rem; }
.facts div { border: 1px solid #d0d0d0; border-radius: 4px; padding: .5rem .7rem; }
.facts dt { color: #444; font-size: .85em; } .facts dd { margin: .2rem 0 0; font-weight: 600; }
.absent { color: #444; border-left: 3px solid #888; padding-left: .6rem; }
.open { border: 1px dashed #888; border-radius: 4px; padding: .1rem .8rem; margin: .6rem 0; }
.open h3 { margin: .5rem 0 0; } #table-one table, #predictor-list table { font-size: .86em; }
@page { size: A4; margin: 16mm 14mm; }
@media print { caption { break-after: avoid; } table { font-size: 8.5pt; } nav { break-after: page; }
  section { border-top: none; } .open { min-height: 3.2rem; } }
"""

LEFT_TO_PEOPLE = {
    "hospital": " (for the hospital to write)",
    "both": " (in part for the hospital to write)",
}
"""Of an item of a checklist, by who answers it."""


def report_page(artefact: Artefact, results: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """The page's text; the same arguments give the same text with the same version of matplotlib.

    `results` is the document of results of training, any key of which may be absent: the page says so.
    """
    evidence = Evidence(artefact, results, figures)
    version = results.get("version")
    name = artefact.name if version is None else f"{artefact.name}, version {version}"
    title = f"Report of {name}"
    parts = list(sections(evidence))
    return page(
        title,
        [f"<h1>{html_text(title)}</h1>", _contents(parts), *(part.html() for part in parts)],
        style=_STYLE,
    )


def sections(evidence: Evidence) -> Iterator[Section]:
    """All sections in the order of the page."""
    yield from purpose.sections(evidence)
    yield from cohort.sections(evidence)
    yield from slices.sections(evidence)
    yield from making.sections(evidence)
    yield from performance.sections(evidence)
    yield from apart.sections(evidence)
    yield from using.sections(evidence)
    yield making.predictor_list(evidence)
    yield _checklist()


def _contents(parts: list[Section]) -> str:
    items = "\n".join(
        f'<li><a href="#{html_text(part.anchor)}">{html_text(part.title)}</a></li>' for part in parts
    )
    return f'<nav aria-label="Contents"><ol>\n{items}\n</ol></nav>'


def _checklist() -> Section:
    rows = [
        f"<tr><td>{html_text(item.number)}</td><td>{html_text(item.topic)}</td><td>{_where(item)}</td></tr>"
        for item in read_items(TRIPOD_AI)
    ]
    names = ("item", "what it asks", "where")
    cells = "".join(f'<th scope="col">{name}</th>' for name in names)
    head = f"<thead><tr>{cells}</tr></thead>"
    body = "\n".join(rows)
    words = text(
        "Where this page answers the items of TRIPOD+AI (BMJ 2024;385:e078378), and what it leaves to people."
    )
    return Section(
        "checklist",
        "TRIPOD+AI, item by item",
        (words, f"<table>{head}<tbody>\n{body}\n</tbody></table>"),
    )


def _where(item: Item) -> str:
    return ", ".join(
        f'<a href="#{html_text(anchor)}">{html_text(anchor.replace("-", " "))}</a>' for anchor in item.anchors
    ) + LEFT_TO_PEOPLE.get(item.by, "")
