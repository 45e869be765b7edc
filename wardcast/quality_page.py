"""The quality report as one HTML page that stands by itself: no script, no file beside it, fit for print."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.atomic import written_aside
from wardcast.quality_figures import declared_columns, html_text, pictures

if TYPE_CHECKING:
    from features.quality.report import Quality
    from features.quality.shape import Shape

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; color: #1a1a1a;
  background: #fff; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; overflow-wrap: anywhere;
  border-bottom: 1px solid #d0d0d0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #444; }
.good { color: #14602b; font-weight: 600; } .bad { color: #9b1c1c; font-weight: 600; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } a { color: inherit; }
  figure, tr { break-inside: avoid; } h2 { break-after: avoid; } thead { display: table-header-group; } }
"""


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
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{html_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _identifiers(key_id: str | None) -> str:
    return f"identifiers are pseudonyms (key {key_id})" if key_id else "identifiers as the extract has them"


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Cells that are numbers, or texts of one, stand to the right."""
    numeric = [bool(rows) and all(_is_number(row[place]) for row in rows) for place in range(len(columns))]
    kinds = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{html_text(name)}</th>' for name, kind in zip(columns, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{html_text(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{html_text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table>"
    )


def _is_number(cell: object) -> bool:
    return re.fullmatch(r"[-+]?[\d,]+(\.\d+)?( ?%)?", str(cell)) is not None


def _rows(quality: Quality) -> Iterator[str]:
    yield "<h2>Rows</h2>"
    yield _table(
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
    yield _table(
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
    items = "\n".join(f"<li>{html_text(text)}</li>" for text in texts)
    yield f"<ul>\n{items}\n</ul>" if texts else f"<p>{none}</p>"


def _findings(quality: Quality) -> Iterator[str]:
    yield "<h2>What changed</h2>"
    if not quality.findings:
        yield "<p>Nothing beyond the thresholds, from month to month or against an earlier extract.</p>"
        return
    yield _table(
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
        yield _table("Share of the kept rows without a value", ["table", "column", "missing"], rows)
    else:
        yield "<p>Every column of every row holds a value.</p>"
