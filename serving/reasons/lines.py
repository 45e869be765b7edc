"""Text broken into lines of a width, for pictures, in scripts with and without spaces."""

from __future__ import annotations

import re
from unicodedata import east_asian_width

_WIDE, _NARROW, _CAPITAL, _OTHER = 1.0, 0.37, 0.76, 0.63
"""Widths of letters in parts of the font's size: those of wide common fonts, so that no line is too long."""
NO_BREAK = "\N{NO-BREAK SPACE}"
_NARROW_LETTERS = frozenset(f"{NO_BREAK} .,:;'|!ijl()[]/-·")
_CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZmw%@")
_MAY_NOT_BEGIN = frozenset("，。：；、）！？%.,:;)!?")
# A letter of a script without spaces by itself, anything else up to the next space.
_LETTERS = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_PART = re.compile(rf"[ \t\r\n]+|[{_LETTERS}]|[^ \t\r\n{_LETTERS}]+")


def width_of(text: str) -> float:
    """How wide a text is at most in common fonts, in parts of the font's size."""
    return sum(_width(letter) for letter in text)


def lines_of(text: str, width: float) -> list[str]:
    """The text in lines that are no wider, in parts of the font's size; at least one line.

    Lines break at spaces and between letters of scripts without them; a word that fills a line is cut.
    A line never begins with a mark that ends a phrase, unless a cut word does, nor ends with a no-break
    space.

    >>> lines_of("Charges so far: drugs", 7.5), lines_of("血红蛋白，入院首日", 4.5)
    (['Charges so', 'far: drugs'], ['血红蛋白，', '入院首日'])
    """
    lines, line = [], ""
    for part in _parts(text, width):
        is_bound = part[0] in _MAY_NOT_BEGIN or line.endswith(NO_BREAK)
        if line and width_of(line + part.rstrip()) > width and not is_bound:
            lines.append(line.rstrip())
            line = part.lstrip()
        else:
            line += part
    return [*lines, line.rstrip()]


def _parts(text: str, width: float) -> list[str]:
    found = []
    for part in _PART.findall(text):
        while width_of(part) > width and len(part) > 1:
            fits = next(
                (n for n in range(len(part) - 1, 1, -1) if width_of(part[:n]) <= width),
                1,
            )
            found.append(part[:fits])
            part = part[fits:]
        found.append(part)
    return found


def _width(letter: str) -> float:
    if east_asian_width(letter) in ("W", "F"):
        return _WIDE
    if letter in _NARROW_LETTERS:
        return _NARROW
    return _CAPITAL if letter in _CAPITALS else _OTHER
