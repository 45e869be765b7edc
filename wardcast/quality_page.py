"""The quality report as one HTML page that stands by itself: no script, no file beside it, fit for print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.atomic import written_aside
from features.page import listed, page, table
from features.pictures import html_text
from wardcast.quality_figures import declared_columns, pictures

if TYPE_CHECKING:
    from features.quality.report import Quality
    from features.quality.shape import Shape


def write_quality_page(quality: Quality, file: Path) -> None:
    """Write the page in one step."""
    with written_aside(file) as fresh:
        fresh.write_text(quality_page(quality), "utf-8")


def quality_page(quality: Quality) -> str:
    """The page's text; the same report gives the same text with the same version of matplotlib."""
    declared = quality.declaration
    title = f"Quality of {declared.name}"
    observed = (
        f"observed from {declared.observed_from} until {declared.observed_until}"
        if declared.has_timeline
        else "without dates"
    )
    n_bad = sum(count.n_quarantined for count in quality.counts.values())
    verdict = (
        f'<p class="bad">{n_bad:,} rows ({quality.quarantined_share:.2%}) break a rule.</p>'
        if n_bad
        else '<p class="good">Every row keeps every rule.</p>'
    )
    parts = [
        f"<h1>{html_text(title)}</h1>",
        f"<p>Source: {html_text(declared.source)}; {observed}; complete by {declared.complete_by}; "
        f"dates {declared.timeline}; {html_text(_identifiers(declared.hashed_ids))}.</p>",
        verdict,
        *_rows(quality),
        *_rules(quality),
        *_listed("Warnings", quality.warnings, "No warning."),
        *_findings(quality),
        *pictures(quality.shape),
        *_missing(quality.shape),
    ]
    return page(title, parts)


def _identifiers(key_id: str | None) -> str:
    return f"identifiers are pseudonyms (key {key_id})" if key_id else "identifiers as the extract has them"


def _rows(quality: Quality) -> Iterator[str]:
    yield "<h2>Rows</h2>"
    yield table(
        "Rows in the extract, kept, and set aside in quarantine",
        ["table", "in", "kept", "quarantined", "share"],
        [
            [
                name,
                f"{n.n_in:,}",
                f"{n.n_out:,}",
                f"{n.n_quarantined:,}",
                f"{n.n_quarantined / max(n.n_in, 1):.2%}",
            ]
            for name, n in quality.counts.items()
        ],
    )


def _rules(quality: Quality) -> Iterator[str]:
    yield "<h2>Rules broken</h2>"
    if not quality.rules:
        yield "<p>None.</p>"
        return
    yield table(
        "Rows that break a rule, with the first of them",
        ["table", "rule", "columns", "rows", "share", "first row", "what to do"],
        [
            [
                r.table,
                r.rule,
                ", ".join(r.columns),
                f"{r.n_rows:,}",
                f"{r.share:.2%}",
                f"{r.first_row:,}",
                r.what_to_do,
            ]
            for r in quality.rules
        ],
    )


def _listed(title: str, texts: Sequence[str], none: str) -> Iterator[str]:
    yield f"<h2>{title}</h2>"
    yield listed(texts) if texts else f"<p>{none}</p>"


def _findings(quality: Quality) -> Iterator[str]:
    yield "<h2>What changed</h2>"
    if not quality.findings:
        yield "<p>Nothing beyond the thresholds, from month to month or against an earlier extract.</p>"
        return
    yield table(
        "Differences from month to month, and from an earlier extract where one was named",
        ["what", "what to do"],
        [[finding.text, finding.what_to_do] for finding in quality.findings],
    )


def _missing(shape: Shape) -> Iterator[str]:
    rows = [
        [name, column, f"{described.missing:.1%}"]
        for name, table in shape.tables.items()
        for column, described in table.columns.items()
        if table.n_rows and described.missing > 0 and column in declared_columns(name)
    ]
    yield "<h2>Missing values</h2>"
    if rows:
        yield table("Share of the kept rows without a value", ["table", "column", "missing"], rows)
    else:
        yield "<p>Every column of every row holds a value.</p>"
