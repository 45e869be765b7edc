"""What sections of the report are built from: headings with an anchor, tables of measures, open questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.page import picture, prose, table
from features.pictures import html_text, inline_svg
from models.artefact import Artefact
from models.measures import estimate, measure_name, short_name
from models.words import group_name, plain_words, unit_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ABSENT, _NOT_DONE, _END = '<p class="absent">', "Not done: ", "</p>"


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a report is made from.

    `results` is the document of results; any of its keys may be absent. `figures` are the pictures by name.
    """

    artefact: Artefact
    results: Mapping[str, Any]
    figures: Mapping[str, Figure]

    @property
    def is_risk(self) -> bool:
        """Whether a probability is predicted, not an amount."""
        return self.artefact.kind == "risk"

    @property
    def currency(self) -> str:
        """What money is counted in."""
        return self.artefact.context.currency

    @property
    def unit(self) -> str:
        """What the predicted amount is counted in: the currency or days; empty for a risk."""
        return unit_words(self.artefact.unit, self.currency)

    @property
    def level(self) -> float | None:
        """The share of actual amounts that intervals promise to hold; None for a risk."""
        distribution = self.artefact.distribution
        return None if distribution is None else distribution.level

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the artefact tells people of its training."""
        return self.artefact.training.facts


@dataclass(frozen=True)
class Section:
    """A part of the report: the anchor that others point to, its heading, and pieces of HTML."""

    anchor: str
    title: str
    body: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Why there is nothing in it, as HTML; empty where there is something."""
        if not all(piece.startswith(_ABSENT) for piece in self.body):
            return ()
        return tuple(piece.removeprefix(f"{_ABSENT}{_NOT_DONE}").removesuffix(_END) for piece in self.body)

    def html(self) -> str:
        """The section as HTML."""
        heading = f"<h2>{html_text(self.title)}</h2>"
        return (
            f'<section id="{html_text(self.anchor)}">\n' + "\n".join((heading, *self.body)) + "\n</section>"
        )


def section(anchor: str, title: str, *body: str | Iterable[str]) -> Section:
    """A section of pieces, or iterables of pieces; one that is empty says that it was not done."""
    pieces: list[str] = []
    for piece in body:
        pieces += [piece] if isinstance(piece, str) else list(piece)
    return Section(anchor, title, tuple(filter(None, pieces)) or (not_done("nothing was recorded"),))


def text(*sentences: str) -> str:
    """A paragraph; sentences that are empty are left out."""
    told = " ".join(filter(None, sentences))
    return f"<p>{prose(told)}</p>" if told else ""


def not_done(why: str) -> str:
    """A note that something is absent: what is missing is told, never left out."""
    return f"{_ABSENT}{_NOT_DONE}{prose(why)}.{_END}"


def for_the_hospital(anchor: str, title: str, question: str) -> str:
    """A place that only people can fill, with the question they answer there."""
    return (
        f'<div class="open" id="{html_text(anchor)}"><h3>{html_text(title)}</h3>'
        f"<p>For the hospital to write: {html_text(question)}</p></div>"
    )


def shown(evidence: Evidence, name: str, caption: str) -> str:
    """A picture by its name, or the note that there is none."""
    figure = evidence.figures.get(name)
    if figure is None:
        return not_done(f"no picture of {name.replace('_', ' ')}")
    return picture(inline_svg(figure, caption), caption)


def facts_table(caption: str, facts: Mapping[str, object]) -> str:
    """Names and what they are, line by line."""
    return table(caption, ["", ""], list(facts.items()))


def metrics_table(
    caption: str, metrics: Mapping[str, Any], names: Iterable[str] | None = None, *, unit: str = ""
) -> str:
    """Measures with their 95 % intervals; `names` chooses some, `unit` is that of amounts."""
    chosen = [name for name in (names or metrics) if name in metrics]
    rows = [[measure_name(name), estimate(name, metrics[name], unit)] for name in chosen]
    return table(caption, ["measure", "value (95 % interval)"], rows)


def entries_table(
    caption: str,
    first: Mapping[str, str],
    entries: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    *,
    unit: str = "",
) -> str:
    """One line for each entry with `metrics` or the `reason` it lacks them; `first` maps keys to headings."""
    there = [name for name in metrics if any(name in (entry.get("metrics") or {}) for entry in entries)]
    # Where all are withheld, their reasons need a column too.
    there = there or list(metrics[:1])
    rows = []
    for entry in entries:
        reason = entry.get("reason") or entry.get("missing")
        cells = [estimate(name, (entry.get("metrics") or {}).get(name), unit) for name in there]
        if reason:
            cells = [f"withheld: {reason}", *[""] * (len(there) - 1)]
        rows.append([*(_cell(entry.get(key)) for key in first), *cells])
    return table(caption, [*first.values(), *map(short_name, there)], rows)


def groups_table(caption: str, groups: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> str:
    """The groups of patients with some measures; those that are too small say so."""
    entries = [
        {**group, "group": group_name(group["group"]), "level": plain_words(str(group["level"]))}
        for group in groups
    ]
    first = {"group": "group", "level": "level", "n": "rows"}
    if any("n_events" in group for group in groups):
        first["n_events"] = "with the outcome"
    return entries_table(caption, first, entries, metrics)


def groups_note(groups: Sequence[Mapping[str, Any]]) -> str:
    """Which groups are not told, and why the sizes of others are round."""
    rounded = any(group.get("counts_rounded") for group in groups)
    return "Groups of fewer than 50 rows, or of 10 with or without the outcome, are withheld." + (
        " Sizes beside a withheld level are rounded down to full 50 rows (and 10 with the outcome), so that "
        "the withheld one cannot be had by subtraction."
        if rounded
        else ""
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else str(value)
