"""An HTML page that stands by itself: no script, no file beside it, fit for print on A4.

The quality report and the reports of models share this frame, so that they look like one product. Every
function escapes what it is given; only `body` and `svg` are HTML already. What stands between backticks is
shown as code. On a narrow screen wide tables and pictures scroll in boxes of their own, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from features.pictures import html_text

WIDE = 4
"""Columns of a table from which on a narrow screen is too narrow for it."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; color: #1a1a1a;
  background: #fff; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; overflow-wrap: break-word;
  border-bottom: 1px solid #d0d0d0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number, td.estimate { white-space: nowrap; } code { font-size: .93em; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #444; }
.scroll { overflow-x: auto; background: linear-gradient(to right, #fff 2rem, #fff0) left / 3rem 100% local,
  linear-gradient(to left, #fff 2rem, #fff0) right / 3rem 100% local,
  linear-gradient(to right, #0004, #0000) left / .7rem 100%,
  linear-gradient(to left, #0004, #0000) right / .7rem 100%; background-repeat: no-repeat; }
.banner { border: 3px solid #9b1c1c; background: #fdf0ef; color: #7a1414; font-size: 1.15em; font-weight: 700;
  padding: .6rem .9rem; print-color-adjust: exact; }
.good { color: #14602b; font-weight: 600; } .bad { color: #9b1c1c; font-weight: 600; }
@media screen and (max-width: 600px) { .wide table { min-width: 42rem; }
  .scroll svg { max-width: none !important; } .scroll:not(.wide) td:last-child { overflow-wrap: anywhere; }
  caption span { display: block; max-width: calc(100vw - 2.4rem); }
  .wide::before { content: "Wider than the screen: scroll sideways \\2192"; display: block; color: #444;
  font-size: .85em; font-style: italic; } }
@media print { .scroll { overflow: visible; background: none; } td.estimate { white-space: normal; }
  body { margin: 0; max-width: none; font-size: 10pt; } a { color: inherit; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } thead { display: table-header-group; } }
"""


def page(title: str, body: Iterable[str], *, style: str = "") -> str:
    """The whole page with its title; `body` are pieces of HTML, `style` more rules of its own."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{html_text(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def prose(value: object) -> str:
    """A text as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html_text(value))


def banner(text: str) -> str:
    """A warning that nobody who opens the page can miss; nothing for an empty text."""
    return f'<p class="banner" role="note">{prose(text)}</p>' if text else ""


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; columns whose cells are all numbers, or texts of one, stand to the right."""
    numeric = [bool(rows) and all(_is_number(row[place]) for row in rows) for place in range(len(columns))]
    head = "".join(
        f'<th scope="col"{_kind("", is_number)}>{prose(name)}</th>'
        for name, is_number in zip(columns, numeric, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{_kind(cell, is_number)}>{prose(cell)}</td>"
            for cell, is_number in zip(row, numeric, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return scrolling(
        f"<table><caption><span>{prose(caption)}</span></caption><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table>",
        caption,
        is_wide=len(columns) >= WIDE,
    )


def scrolling(html: str, words: str, *, is_wide: bool) -> str:
    """A box that scrolls sideways; who has no mouse reaches it by the tabulator."""
    kind = "scroll wide" if is_wide else "scroll"
    label = html_text(words.replace("`", ""))
    return f'<div class="{kind}" role="group" aria-label="{label}" tabindex="0">{html}</div>'


def listed(texts: Iterable[str]) -> str:
    """A list of sentences."""
    items = "\n".join(f"<li>{prose(text)}</li>" for text in texts)
    return f"<ul>\n{items}\n</ul>"


def picture(svg: str, caption: str) -> str:
    """An `svg` element with its caption."""
    box = scrolling(svg, caption, is_wide=True)
    return f"<figure>\n{box}<figcaption>{prose(caption)}</figcaption>\n</figure>"


def _is_number(cell: object) -> bool:
    return re.fullmatch(r"[-+]?[\d,]+(\.\d+)?( ?%)?", str(cell)) is not None


def _kind(cell: object, is_number: bool) -> str:
    if is_number:
        return ' class="number"'
    # A value and its interval are read as one.
    is_estimate = re.fullmatch(r"[-+]?\d[\d,.]*(%| \w+)? \([^()]+ to [^()]+\)", str(cell)) is not None
    return ' class="estimate"' if is_estimate else ""
