"""What every picture of the product shares: colours that all eyes tell apart, and inline SVG for a page."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#994f00", "#44aa99", "#bbbbbb")
"""Paul Tol's bright scheme with two more: told apart by colour-blind readers, most in grey print."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and save in the house's way; also a decorator of a function that draws.

    Text stays text (the reader's fonts know more scripts, and it can be searched), names of parts do not
    change from run to run, and nothing in a label is read as a formula.
    """
    from matplotlib import rc_context

    settings = {"svg.fonttype": "none", "svg.hashsalt": "wardcast", "text.parse_math": False, "font.size": 9}
    with rc_context(settings):
        yield


def plain(text: str) -> str:
    """The text without what no page may hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def html_text(value: object) -> str:
    """A value as text of HTML, also within an attribute; what no page may hold is replaced."""
    return escape(plain(str(value)))


def inline_svg(figure: Figure, words: str) -> str:
    """The picture as an `svg` element, with a description for whoever does not see it."""
    words, text = plain(words), StringIO()
    with drawing(), warnings.catch_warnings():
        # The reader's fonts have the letters that the one here lacks.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(
            text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    svg = text.getvalue()
    # Every picture counts its parts from 1; on one page each name may stand once.
    own = f"p{hashlib.sha256(words.encode()).hexdigest()[:8]}-"
    svg = re.sub(r'( id="|"#|url\(#)', rf"\g<1>{own}", svg[svg.index("<svg") :])
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html_text(words)}" ', 1)
