"""The report of a model as one HTML page that stands by itself and prints on A4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from features.page import banner, page, prose, scrolling
from features.pictures import html_text
from models.artefact import Artefact
from models.words import made_up_warning, model_title
from training.report import apart, cohort, making, performance, purpose, slices, using
from training.report.checklist import TRIPOD_AI, Item, read_items
from training.report.parts import Evidence, Section, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
nav ol { columns: 3 15rem; column-gap: 2rem; padding-left: 1.8rem; font-size: .92em; }
.plain { display: grid; grid-template-columns: 9.5rem 1fr; gap: .5rem 1rem; }
.plain dt { font-weight: 600; } .plain dd { margin: 0; } .plain ul { margin: 0; padding-left: 1.1rem; }
@media screen and (max-width: 600px) { .plain { grid-template-columns: 1fr; gap: .2rem; }
  .plain dd { margin-bottom: .6rem; } }
section { border-top: 1px solid #d0d0d0; margin-top: 1.6rem; } section h2 { margin-top: 1rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .6rem; }
.facts div { border: 1px solid #d0d0d0; border-radius: 4px; padding: .5rem .7rem; }
.facts dt { color: #444; font-size: .85em; } .facts dd { margin: .2rem 0 0; font-weight: 600; }
.facts dd.against { color: #444; font-size: .85em; font-weight: 400; } summary { cursor: pointer; }
.absent { color: #444; border-left: 3px solid #888; padding-left: .6rem; }
.open { border: 1px dashed #888; border-radius: 4px; padding: .1rem .8rem; margin: .6rem 0; }
.open h3 { margin: .5rem 0 0; } #table-one table, #predictor-list table { font-size: .86em; }
@page { size: A4; margin: 16mm 14mm; }
@media print { caption { break-after: avoid; } table { font-size: 8.5pt; } nav { break-after: page; }
  section { border-top: none; } .open { min-height: 3.2rem; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""

CHECKLIST = "checklist"
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
    title = f"{model_title(artefact.target, artefact.point)} (report of {name})"
    parts = list(told_and_not_done(sections(evidence)))
    body = [
        f"<h1>{html_text(title)}</h1>",
        banner(made_up_warning(artefact.training.facts.get("source"))),
        _contents(parts),
        *(part.html() for part in parts),
    ]
    return page(title, filter(None, body), style=_STYLE)


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


def told_and_not_done(parts: Iterable[Section]) -> Iterator[Section]:
    """The sections that tell something, and before the checklist one short list of those that do not."""
    empty: list[Section] = []
    for part in parts:
        if part.anchor == CHECKLIST and empty:
            items = "\n".join(
                f'<li id="{html_text(gone.anchor)}">{html_text(gone.title)}: {" ".join(gone.missing)}</li>'
                for gone in empty
            )
            yield Section("not-done", "Not done", (f'<ul class="absent">\n{items}\n</ul>',))
        if part.missing:
            empty.append(part)
        else:
            yield part


def _contents(parts: list[Section]) -> str:
    items = "\n".join(
        f'<li><a href="#{html_text(part.anchor)}">{html_text(part.title)}</a></li>' for part in parts
    )
    return f'<nav aria-label="Contents"><ol>\n{items}\n</ol></nav>'


def _checklist() -> Section:
    rows = [
        f"<tr><td>{html_text(item.number)}</td><td>{prose(item.topic)}</td><td>{_where(item)}</td></tr>"
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
        CHECKLIST,
        "TRIPOD+AI, item by item",
        (words, scrolling(f"<table>{head}<tbody>\n{body}\n</tbody></table>", "TRIPOD+AI", is_wide=False)),
    )


def _where(item: Item) -> str:
    return ", ".join(
        f'<a href="#{html_text(anchor)}">{html_text(anchor.replace("-", " "))}</a>' for anchor in item.anchors
    ) + LEFT_TO_PEOPLE.get(item.by, "")
