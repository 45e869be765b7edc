"""All that the picture of a prediction says: what stands in it, and what a screen reader is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.reasons.bars import Bar
from serving.reasons.captions import CAPTIONS, Captions, share_told
from serving.reasons.cautions import cautions
from serving.reasons.languages import WORDS, Language
from serving.reasons.sentences import interval_told, value_of
from serving.reasons.words import Words


@dataclass(frozen=True)
class PictureText:
    """What stands above and beside the bars.

    `title` is the prediction, `facts` are how it stands among others and the interval of an amount, `about`
    is whose and whence it is, `cautions` what must be known before anybody acts upon it, `start` and `end`
    the ends of the bars. `description` is all of that and the bars in words.
    """

    title: str
    facts: Sequence[str]
    about: str
    cautions: Sequence[str]
    start: str
    end: str
    description: str


def picture_text(
    answer: Mapping[str, Any], prediction: Mapping[str, Any], bars: Sequence[Bar], language: Language
) -> PictureText:
    """The words of one target of an answer of the API, drawn with these bars."""
    words, captions = WORDS[language], CAPTIONS[language]
    value = _amount(words, prediction, value_of(prediction))
    target = captions.targets.get(prediction["target"], prediction["target"].replace("_", " "))
    interval = interval_told(prediction, words, closed=captions.interval, open_ended=captions.open_interval)
    standing = captions.standing.format(
        band=captions.bands[prediction["band"]], percentile=share_told(prediction["percentile"], language)
    )
    facts = [standing, interval] if interval else [standing]
    about = _about(answer, prediction, captions)
    rests_on = cautions(answer, language)
    base = prediction.get("base_prediction")
    start = captions.start_unknown
    if base is not None:
        start = captions.start.format(value=_amount(words, prediction, base))
    end = captions.end.format(value=value)
    raises, lowers = captions.legend[prediction["scale"]]
    listed = [
        f"{place}. {bar.text} · {raises if bar.is_raising else lowers}"
        for place, bar in enumerate(bars, start=1)
    ]
    lines = [*facts, about, *rests_on, start, f"{captions.listed}:", *listed, end, captions.note]
    return PictureText(
        title=captions.title.format(target=target, value=value),
        facts=facts,
        about=about,
        cautions=rests_on,
        start=start,
        end=end,
        description="\n".join(lines),
    )


def _amount(words: Words, prediction: Mapping[str, Any], value: float) -> str:
    return words.amount(value, prediction["scale"], prediction.get("currency"))


def _about(answer: Mapping[str, Any], prediction: Mapping[str, Any], captions: Captions) -> str:
    at = answer["prediction_time"]
    time = "" if at is None else f" {dt.datetime.fromisoformat(at):%Y-%m-%d %H:%M}"
    return captions.about.format(
        stay=answer["stay_id"],
        point=captions.points[answer["prediction_point"]],
        time=time,
        model=prediction["model"],
    )
