"""The shapes of a picture as SVG: arrows, words, and the paper behind words."""

from __future__ import annotations

from features.pictures import html_text

RAISES, LOWERS = "#8c2d04", "#08519c"
"""Both at least 7 : 1 against white, and told apart by colour-blind readers."""
BAR, HEAD = 16, 8
"""The height of an arrow, and the length of its point, in pixels."""


def arrow(start: float, neck: float, end: float, top: float, own: str, *, is_raising: bool) -> str:
    """An arrow from `start` over its `neck` to the point at `end`."""
    outline = f"M{start} {top:.1f}H{neck}L{end} {top + BAR / 2:.1f}L{neck} {top + BAR:.1f}H{start}z"
    fill, edge = (RAISES, RAISES) if is_raising else (f"url(#{own}-stripes)", LOWERS)
    return f'<path d="{outline}" fill="{fill}" stroke="{edge}"/>'


def paper(left: float, top: float, width: float, height: float) -> str:
    """What hides the lines behind words."""
    return f'<rect x="{left}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="#fff"/>'


def words_at(
    x: float, y: float, text: str, size: int, *, anchor: str = "start", weight: str = "normal"
) -> str:
    """One line of words; `y` is that of its base line."""
    return (
        f'<text x="{x}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">'
        f"{html_text(text)}</text>"
    )
