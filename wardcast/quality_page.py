"""The quality report as one HTML page that stands by itself: no script, no file beside it, fit for print."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from features.atomic import written_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from features.quality import Quality
    from features.shape import Mix, Shape, TableShape

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MOST_COLUMNS, _MOST_GROUPS, _MOST_TICKS = 40, 8, 8
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#994f00", "#44aa99", "#bbbbbb")
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
        f"<h1>{_text(title)}</h1>",
        f"<p>Source: {_text(declared.source)}; {observed}; complete by {declared.complete_by}; "
        f"dates {declared.timeline}; {_text(_identifiers(declared.hashed_ids))}.</p>",
        verdict,
        *_rows(quality),
        *_rules(quality),
        *_listed("Warnings", quality.warnings, "No warning."),
        *_findings(quality),
        *_pictures(quality.shape),
        *_missing(quality.shape),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _identifiers(key_id: str | None) -> str:
    return f"identifiers are pseudonyms (key {key_id})" if key_id else "identifiers as the extract has them"


def _text(value: object) -> str:
    return escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value)))


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Cells that are numbers, or texts of one, stand to the right."""
    numeric = [bool(rows) and all(_is_number(row[place]) for row in rows) for place in range(len(columns))]
    kinds = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{_text(name)}</th>' for name, kind in zip(columns, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{_text(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{_text(caption)}</caption><thead><tr>{head}</tr></thead>"
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
    items = "\n".join(f"<li>{_text(text)}</li>" for text in texts)
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
        if table.n_rows and described.missing > 0 and column in _declared(name)
    ]
    yield "<h2>Missing values</h2>"
    if rows:
        yield _table("Share of the kept rows without a value", ["table", "column", "missing"], rows)
    else:
        yield "<p>Every column of every row holds a value.</p>"


def _declared(table: str) -> frozenset[str]:
    """The columns of the data contract: the shape describes others too, such as beginnings of codes."""
    from features.tables import TABLES

    return frozenset(TABLES[table].by_name)


def _pictures(shape: Shape) -> Iterator[str]:
    dated = {name: table for name, table in shape.tables.items() if len(table.rows_by_month) > 1}
    if not dated:
        return
    from matplotlib import rc_context

    # Text stays text: the reader's fonts know more scripts, and can be searched.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "wardcast", "text.parse_math": False, "font.size": 9}
    with rc_context(settings):
        yield "<h2>Rows by month</h2>"
        yield _figure(_rows_figure(dated), _rows_words(dated))
        full = _partly_missing(dated)
        if full:
            yield "<h2>Missing values by month</h2>"
            words = ", ".join(full)
            yield _figure(
                _missing_figure(full), f"Share of rows without a value by month, darker is more: {words}."
            )
        for name in ("diagnoses", "procedures"):
            mixes = dated[name].columns["code_1"].mix_by_month if name in dated else {}
            if any(mix.total for mix in mixes.values()):
                yield f"<h2>Mix of {name} by month</h2>"
                groups = _groups(mixes)
                words = f"Share of the rows of {name} by month and first character of the code"
                yield _figure(_mix_figure(mixes, groups), f"{words}: {', '.join(groups)}, and the rest.")


def _figure(figure: Figure, words: str) -> str:
    """The picture as inline SVG, with a description for whoever does not see it."""
    words, text = _plain(words), StringIO()
    with warnings.catch_warnings():
        # The reader's fonts have the letters that the one here lacks.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(
            text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    svg = text.getvalue()
    # Every picture counts its parts from 1; on one page each name may stand once.
    own = f"p{hashlib.sha256(words.encode()).hexdigest()[:8]}-"
    svg = re.sub(r'( id="|"#|url\(#)', rf"\g<1>{own}", svg[svg.index("<svg") :])
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{_text(words)}" ', 1)
    return f"<figure>\n{svg}<figcaption>{_text(words)}</figcaption>\n</figure>"


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def _rows_figure(tables: Mapping[str, TableShape]) -> Figure:
    n_rows = -(-len(tables) // 2)
    figure = _new_figure(9, 1.6 * n_rows + 0.3)
    axes = figure.subplots(n_rows, 2, squeeze=False)
    for place, (name, table) in enumerate(tables.items()):
        axis = axes[place // 2][place % 2]
        months = list(table.rows_by_month)
        axis.bar(range(len(months)), list(table.rows_by_month.values()), color=_COLOURS[0], width=0.9)
        axis.set_title(name, loc="left", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        _month_ticks(axis, months, most=6)
    for place in range(len(tables), 2 * n_rows):
        axes[place // 2][place % 2].set_visible(False)
    return figure


def _rows_words(tables: Mapping[str, TableShape]) -> str:
    words = [
        f"{name} from {min(table.rows_by_month.values()):,} to {max(table.rows_by_month.values()):,}"
        for name, table in tables.items()
    ]
    return f"Kept rows of each table by month of what they tell of: {'; '.join(words)} rows a month."


def _partly_missing(tables: Mapping[str, TableShape]) -> dict[str, Mapping[str, float]]:
    """The columns that vary most between months, in the order of the tables."""
    found: dict[str, Mapping[str, float]] = {
        f"{name}.{column}": described.missing_by_month
        for name, table in tables.items()
        for column, described in table.columns.items()
        if 0 < described.missing < 1 and described.missing_by_month and column in _declared(name)
    }
    spread = {name: max(shares.values()) - min(shares.values()) for name, shares in found.items()}
    kept = sorted(found, key=lambda name: (-spread[name], name))[:_MOST_COLUMNS]
    return {name: shares for name, shares in found.items() if name in kept}


def _missing_figure(columns: Mapping[str, Mapping[str, float]]) -> Figure:
    from matplotlib import colormaps

    months = sorted({month for shares in columns.values() for month in shares})
    figure = _new_figure(9, 0.22 * len(columns) + 1.2)
    axis = figure.subplots()
    # Ten steps: more would be drawn as an image of points.
    shades = colormaps["Blues"].resampled(10)
    values = [[shares.get(month, float("nan")) for month in months] for shares in columns.values()]
    mesh = axis.pcolormesh(values, cmap=shades, vmin=0, vmax=1)
    axis.set_yticks([place + 0.5 for place in range(len(columns))], list(columns))
    axis.invert_yaxis()
    _month_ticks(axis, months, most=_MOST_TICKS, offset=0.5)
    figure.colorbar(mesh, ax=axis, label="share missing")
    return figure


def _groups(mixes: Mapping[str, Mix]) -> list[str]:
    """The most frequent groups of all months, the first ones first."""
    totals: dict[str, int] = {}
    for mix in mixes.values():
        for value, n in mix.values.items():
            totals[value] = totals.get(value, 0) + n
    return sorted(totals, key=lambda value: (-totals[value], value))[:_MOST_GROUPS]


def _mix_figure(mixes: Mapping[str, Mix], groups: Sequence[str]) -> Figure:
    figure = _new_figure(9, 3.2)
    axis = figure.subplots()
    months = [month for month, mix in mixes.items() if mix.total]
    lower = [0.0] * len(months)
    for name, colour in zip([*groups, ""], _COLOURS[: len(groups)] + _COLOURS[-1:], strict=True):
        shares = []
        for month in months:
            mix = mixes[month]
            named = sum(mix.values.get(group, 0) for group in groups)
            shares.append((mix.values.get(name, 0) if name else mix.total - named) / mix.total)
        axis.bar(
            range(len(months)), shares, bottom=lower, color=colour, width=1, label=_plain(name) or "the rest"
        )
        lower = [low + share for low, share in zip(lower, shares, strict=True)]
    axis.set_ylim(0, 1)
    axis.set_ylabel("share of rows")
    _month_ticks(axis, months, most=_MOST_TICKS)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _plain(name: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", name)


def _month_ticks(axis: object, months: Sequence[str], *, most: int, offset: float = 0.0) -> None:
    step = -(-len(months) // most) or 1
    places = range(0, len(months), step)
    axis.set_xticks([place + offset for place in places], [months[place] for place in places])  # type: ignore[attr-defined]
