"""The bars of a waterfall: from the base value by the strongest reasons to the raw output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.reasons.captions import Captions
from serving.reasons.lines import NO_BREAK
from serving.reasons.words import Words

MAX_BARS = 15
LEAST = 1e-6
"""What contributions may miss of the raw output: no bar of its own."""


@dataclass(frozen=True)
class Bar:
    """A contribution from `start` to `end` on the model's own scale, in words."""

    text: str
    start: float
    end: float

    @property
    def is_raising(self) -> bool:
        """Whether it leads upwards."""
        return self.end > self.start


def bars_of(prediction: Mapping[str, Any], words: Words, captions: Captions, n: int) -> list[Bar]:
    """The `n` strongest contributions of a stored prediction, and all others as one.

    Others are what lies between the contributions shown and the raw output, so that it is reached exactly
    however many reasons were stored.
    """
    shown = [reason for reason in prediction["reasons"] if reason["contribution"] != 0][:n]
    found, place = [], prediction["base_value"]
    for reason in shown:
        without = captions.without.format(
            value=words.amount(reason["prediction_without"], prediction["scale"], prediction.get("currency"))
        )
        text = f"{_kept_together(words.statement(reason))}{NO_BREAK}· {without.replace(' ', NO_BREAK)}"
        found.append(Bar(text, place, place + reason["contribution"]))
        place = found[-1].end
    if abs(prediction["raw_output"] - place) > LEAST:
        found.append(Bar(_others(prediction, captions, len(shown)), place, prediction["raw_output"]))
    return found


def _kept_together(text: str) -> str:
    """The text with no break between a number and its unit."""
    return re.sub(r"(?<=\d) (?=\S)", NO_BREAK, text)


def _others(prediction: Mapping[str, Any], captions: Captions, n_shown: int) -> str:
    n_all = prediction.get("n_contributing")
    if n_all is None:
        return captions.others_unknown
    return captions.others.format(n=n_all - n_shown)
