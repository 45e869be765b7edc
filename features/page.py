"""An HTML page that stands by itself: no script, no file beside it, fit for print on A4.

The quality report and the reports of models share this frame, so that they look like one product. Every
function escapes what it is given; only `body` and `svg` are HTML already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from features.pictures import html_text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; color: #1a1a1a;
  background: #fff; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; overflow-wrap: anywhere;
  border-bottom: 1px solid #d0d0d0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #444; }
.good { color: #14602b; font-weight: 600; } .bad { color: #9b1c1c; font-weight: 600; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } a { color: inherit; }
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


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; columns whose cells are all numbers, or texts of one, stand to the right."""
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


def listed(texts: Iterable[str]) -> str:
    """A list of sentences."""
    items = "\n".join(f"<li>{html_text(text)}</li>" for text in texts)
    return f"<ul>\n{items}\n</ul>"


def picture(svg: str, caption: str) -> str:
    """An `svg` element with its caption."""
    return f"<figure>\n{svg}<figcaption>{html_text(caption)}</figcaption>\n</figure>"


def _is_number(cell: object) -> bool:
    return re.fullmatch(r"[-+]?[\d,]+(\.\d+)?( ?%)?", str(cell)) is not None
