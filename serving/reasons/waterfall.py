"""The waterfall of a stored prediction as SVG: text stays text, and nothing is loaded or run.

Every reason is a line of text over its bar, so that long labels and narrow pages have room. What raises is a
full arrow to the right with a plus, what lowers a striped one to the left with a minus: it is read in print
without colour. What must be known before anybody acts upon it stands above all bars. A screen reader gets
title and description with all that is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.pictures import html_text
from serving.reasons.bars import MAX_BARS, Bar, bars_of
from serving.reasons.captions import CAPTIONS
from serving.reasons.contributions import N_STORED
from serving.reasons.languages import WORDS, Language
from serving.reasons.lines import lines_of, width_of
from serving.reasons.picture_text import PictureText, picture_text
from serving.reasons.sentences import value_of
from serving.reasons.shapes import BAR, HEAD, LOWERS, arrow, paper, words_at
from serving.reasons.words import days, money

DEFAULT_BARS, DEFAULT_WIDTH = N_STORED, 640
LEAST_WIDTH, MOST_WIDTH = 280, 1200
_FONTS = "system-ui, 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
_MARGIN, _FONT, _SMALL, _TITLE = 16, 14, 12, 18
_GAP = 10
_LEADING = 1.35


def waterfall(
    answer: Mapping[str, Any],
    target: str,
    language: Language = Language.EN,
    *,
    n_bars: int = DEFAULT_BARS,
    width: int = DEFAULT_WIDTH,
) -> str:
    """Draw one target of an answer, as the API gives it, with its `n_bars` strongest reasons.

    The axis shows the prediction's own scale if the answer holds its marks (`explain=full`). `width` is in
    pixels. Raises KeyError if the answer has no such target, ValueError unless there are 1 to 15 bars.
    """
    if not 1 <= n_bars <= MAX_BARS:
        raise ValueError(f"bars: must be 1 to {MAX_BARS}.")
    found = next((one for one in answer["predictions"] if one["target"] == target), None)
    if found is None:
        raise KeyError(target)
    bars = bars_of(found, WORDS[language], CAPTIONS[language], n_bars)
    told = picture_text(answer, found, bars, language)
    return _Picture(found, bars, told, language, width).svg()


@dataclass(frozen=True)
class _Axis:
    """Raw outputs from `low` to `high` between two places on the page."""

    low: float
    high: float
    left: float
    right: float

    def x(self, raw: float) -> float:
        share = 0.5 if self.high == self.low else (raw - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 1)


class _Picture:
    def __init__(
        self,
        prediction: Mapping[str, Any],
        bars: Sequence[Bar],
        told: PictureText,
        language: Language,
        width: int,
    ) -> None:
        self._prediction, self._bars, self._told, self._width = prediction, bars, told, width
        self._words, self._captions = WORDS[language], CAPTIONS[language]
        places = [prediction["base_value"], prediction["raw_output"], *(bar.end for bar in bars)]
        self._axis = _Axis(min(places), max(places), _MARGIN + 24, width - _MARGIN - 24)
        # Several pictures may stand on one page, where each name may stand once.
        self._own = f"w{hashlib.sha256((told.title + told.about).encode()).hexdigest()[:8]}"

    def svg(self) -> str:
        parts: list[str] = []
        top = self._text(parts, [self._told.title], _MARGIN, _TITLE, weight="bold")
        top = self._text(parts, self._told.facts, top, _FONT)
        top = self._text(parts, [self._told.about], top + 2, _SMALL)
        top = self._cautions(parts, top)
        grid_top = self._marks(parts, top + _GAP)
        y = self._ladder(parts, grid_top + _GAP)
        grid = [self._line(x, grid_top, y, "#d0d0d0") for x, _ in self._ticks()]
        y = self._legend(parts, y + _GAP)
        y = self._text(parts, [self._captions.note], y, _SMALL)
        return self._frame(y + _MARGIN, [*grid, *parts])

    def _frame(self, height: float, parts: Sequence[str]) -> str:
        own, width = self._own, self._width
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" '
            f'height="{height:.0f}" role="img" lang="{self._words.tag}" '
            f'aria-labelledby="{own}-title {own}-desc" font-family="{html_text(_FONTS)}" fill="#1a1a1a">\n'
            f'<title id="{own}-title">{html_text(self._told.title)}</title>\n'
            f'<desc id="{own}-desc">{html_text(self._told.description)}</desc>\n'
            f'<defs><pattern id="{own}-stripes" width="6" height="6" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate(45)"><rect width="6" height="6" fill="#fff"/>'
            f'<rect width="3" height="6" fill="{LOWERS}"/></pattern></defs>\n'
            f'<rect width="{width}" height="{height:.0f}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
        )

    def _text(
        self,
        parts: list[str],
        texts: Sequence[str],
        top: float,
        size: int,
        *,
        weight: str = "normal",
        left: int = _MARGIN,
        is_opaque: bool = False,
    ) -> float:
        """Write texts below each other, broken into lines; returns where the next may begin.

        What is opaque hides the lines of the picture behind it, which would strike it through.
        """
        y = top
        for text in texts:
            # Bold letters are wider.
            wider = 1.08 if weight == "bold" else 1.0
            room = (self._width - left - _MARGIN) / size / wider
            for line in lines_of(text, room):
                y += size * _LEADING
                if is_opaque:
                    parts.append(
                        paper(left, y - size * _LEADING, width_of(line) * size * wider, size * _LEADING)
                    )
                parts.append(words_at(left, y - size * 0.35, line, size, weight=weight))
        return y

    def _cautions(self, parts: list[str], top: float) -> float:
        """What the prediction rests on, beside a line that the eye does not pass over."""
        if not self._told.cautions:
            return top
        begin = top + _GAP
        y = self._text(parts, self._told.cautions, begin, _FONT, left=_MARGIN + _GAP)
        parts.append(f'<path d="M{_MARGIN + 1.5} {begin}V{y:.1f}" stroke="#1a1a1a" stroke-width="3"/>')
        return y

    def _ticks(self) -> list[tuple[float, str]]:
        """Places and labels of the marks within the picture, as many as do not run into each other.

        One mark is no scale: where there is no second one, both ends of the bars are marks too.
        """
        marks = [
            (mark["raw_output"], mark["prediction"])
            for mark in self._prediction.get("marks") or ()
            if self._axis.low <= mark["raw_output"] <= self._axis.high
        ]
        base = self._prediction.get("base_prediction")
        ticks = self._apart(marks)
        if len(ticks) < 2 and base is not None:
            prediction = self._prediction
            ends = [(prediction["base_value"], base), (prediction["raw_output"], value_of(prediction))]
            ticks = self._apart([*ends, *marks])
        return ticks

    def _apart(self, marks: Sequence[tuple[float, float]]) -> list[tuple[float, str]]:
        """Marks from left to right, without those whose label would run into that of an earlier one."""
        taken: list[tuple[float, float, str]] = []
        for raw_output, value in marks:
            label = self._tick_label(value)
            x, half = self._axis.x(raw_output), width_of(label) * _SMALL / 2
            if all(abs(x - other) > half + its_half + _SMALL for other, its_half, _ in taken):
                taken.append((x, half, label))
        return [(x, label) for x, _, label in sorted(taken)]

    def _tick_label(self, value: float) -> str:
        scale = self._prediction["scale"]
        if scale == "log_odds":
            return self._words.amount(value, scale, None)
        return money(value) if scale == "log_money" else days(value)

    def _marks(self, parts: list[str], top: float) -> float:
        """The axis with its name, if there is any mark; returns where its lines begin."""
        ticks = self._ticks()
        if not ticks:
            return top
        name = self._captions.axis[self._prediction["scale"]]
        y = self._text(
            parts,
            [name.format(currency=self._words.currency(self._prediction.get("currency") or ""))],
            top,
            _SMALL,
        )
        y += _SMALL * _LEADING
        parts += [words_at(x, y - 2, label, _SMALL, anchor="middle") for x, label in ticks]
        return y + 2

    def _ladder(self, parts: list[str], top: float) -> float:
        """From the base value by every bar to the prediction; returns where it ends."""
        y = self._end_point(parts, self._told.start, self._prediction["base_value"], top)
        for bar in self._bars:
            begin = y
            texts: list[str] = []
            y = self._text(
                texts, [f"{'+' if bar.is_raising else '−'} {bar.text}"], y + _GAP / 2, _FONT, is_opaque=True
            )
            x = self._axis.x(bar.start)
            parts += [self._line(x, begin, y + 3, "#767676"), *texts, self._arrow(bar, y + 3)]
            y += 3 + BAR
        begin, raw = y, self._prediction["raw_output"]
        texts = []
        y = self._end_point(texts, self._told.end, raw, y + _GAP / 2, weight="bold")
        parts += [self._line(self._axis.x(raw), begin, y - BAR, "#767676"), *texts]
        return y

    def _end_point(
        self, parts: list[str], text: str, raw: float, top: float, *, weight: str = "normal"
    ) -> float:
        y = self._text(parts, [text], top, _FONT, weight=weight, is_opaque=True) + 3
        x, middle, half = self._axis.x(raw), y + BAR / 2, BAR / 2
        parts.append(
            f'<path d="M{x} {middle - half}l{half} {half}l{-half} {half}l{-half} {-half}z" fill="#1a1a1a"/>'
        )
        return y + BAR

    def _line(self, x: float, top: float, bottom: float, colour: str) -> str:
        return f'<path d="M{x} {top:.1f}V{bottom:.1f}" stroke="{colour}" fill="none"/>'

    def _arrow(self, bar: Bar, top: float) -> str:
        start, end = self._axis.x(bar.start), self._axis.x(bar.end)
        sign = 1 if bar.is_raising else -1
        neck = round(end - sign * min(HEAD, abs(end - start)), 1)
        return arrow(start, neck, end, top, self._own, is_raising=bar.is_raising)

    def _legend(self, parts: list[str], top: float) -> float:
        y = top
        for is_raising, text in zip(
            (True, False), self._captions.legend[self._prediction["scale"]], strict=True
        ):
            left, right = _MARGIN, _MARGIN + 32
            ends = (left, right - HEAD, right) if is_raising else (right, left + HEAD, left)
            parts.append(arrow(*ends, y, self._own, is_raising=is_raising))
            parts.append(words_at(right + 8, y + BAR - 4, f"{'+' if is_raising else '−'} {text}", _SMALL))
            y += BAR + 4
        return y
