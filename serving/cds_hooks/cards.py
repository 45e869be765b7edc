"""Cards of an answer: what is predicted, why, and what somebody may do about it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from models.bands import Band
from serving.cds_hooks.caveats import Shown, caveats
from serving.cds_hooks.documents import (
    ActionDocument,
    CardDocument,
    SourceDocument,
    SuggestionDocument,
)
from serving.cds_hooks.settings import CdsSettings, Service, Suggestion, filled
from serving.reasons import sentence
from serving.reasons.captions import share_told
from serving.reasons.cautions import is_outside
from serving.reasons.languages import WORDS
from serving.reasons.sentences import interval_told, value_of

Prediction = Mapping[str, Any]

LONGEST_SUMMARY = 139
# What GitHub Flavored Markdown gives a meaning to within a line: names in a model may hold it.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&])")


@dataclass(frozen=True)
class Card:
    """A card, and the models whose predictions stand on it, as name/version."""

    document: CardDocument
    models: tuple[str, ...]


def cards(shown: Shown, service: Service, settings: CdsSettings) -> list[Card]:
    """The cards that the service has for an answer: none for bands that are not worth one.

    A service with risks `beside` makes one card of its first target, in which the others stand too: an amount
    is never shown without the risks that speak against saving.
    """
    if service.beside:
        found = [one for target in service.targets if (one := shown.of(target))]
        return _card(shown, found[0], service, settings, found[1:]) if found else []
    return [
        card
        for target in service.targets
        if (one := shown.of(target))
        for card in _card(shown, one, service, settings, ())
    ]


def _card(
    shown: Shown, main: Prediction, service: Service, settings: CdsSettings, others: Sequence[Prediction]
) -> list[Card]:
    band = cast("Band", main["band"])
    indicator, outside = settings.indicators[band], is_outside(shown.answer)
    if indicator == "none":
        return []
    if outside:
        indicator = "info"
    beside = [found for target in service.beside if (found := shown.of(target))]
    models = tuple(one["model"] for one in (main, *others, *beside))
    paragraphs = [*_detail(shown, main, service, settings, others), _source(shown, models, settings)]
    fitting = [] if outside else _fitting(settings.suggestions, main)
    suggestions = [_suggestion(one, shown) for one in fitting]
    reasons = [] if settings.overrides is None else settings.overrides.codings(main["target"])
    card = CardDocument(
        uuid=uuid.uuid4(),
        summary=_summary(main, settings),
        detail="\n\n".join(paragraphs),
        indicator=indicator,
        source=SourceDocument.model_validate(settings.source.model_dump()),
        suggestions=suggestions or None,
        selectionBehavior="any" if suggestions else None,
        overrideReasons=reasons or None,
    )
    return [Card(card, models)]


def _summary(prediction: Prediction, settings: CdsSettings) -> str:
    summary = settings.words.summary.format(
        title=settings.targets[prediction["target"]],
        value=_value(prediction, settings),
        band=settings.words.bands[prediction["band"]],
    )
    return summary if len(summary) <= LONGEST_SUMMARY else f"{summary[: LONGEST_SUMMARY - 1]}…"


def _detail(
    shown: Shown,
    main: Prediction,
    service: Service,
    settings: CdsSettings,
    others: Iterable[Prediction],
) -> Iterator[str]:
    words = settings.words
    for prediction in (main, *others):
        yield from _paragraphs(prediction, settings)
    if service.beside:
        risks = [(target, shown.of(target)) for target in service.beside]
        lines = [
            _headline(found, settings)
            if found
            else words.unknown.format(title=escaped(settings.targets[target]))
            for target, found in risks
        ]
        yield "\n".join([words.beside, "", *(f"- {line}" for line in lines)])
        yield words.orders
    told = caveats(shown, (main["target"], *service.beside), settings)
    if told:
        yield "\n".join(f"- {escaped(one)}" for one in told)


def _source(shown: Shown, models: Sequence[str], settings: CdsSettings) -> str:
    """Which models say so, as of when, and who decides."""
    words = settings.words
    named = words.model.format(model=escaped(", ".join(models)), time=escaped(shown.time))
    return WORDS[settings.language].gap.join([named, words.not_a_cause, words.decides])


def _paragraphs(prediction: Prediction, settings: CdsSettings) -> Iterator[str]:
    words = settings.words
    interval = interval_told(
        prediction, WORDS[settings.language], closed=words.interval, open_ended=words.open_interval
    )
    headline = _headline(prediction, settings)
    yield headline
    if interval:
        yield interval
    told = [
        sentence(reason, scale=prediction["scale"], language=settings.language)
        for reason in prediction["reasons"]
    ]
    if told:
        yield "\n".join([words.reasons, "", *(f"- {escaped(one)}" for one in told)])


def _headline(prediction: Prediction, settings: CdsSettings) -> str:
    return settings.words.title.format(
        title=escaped(settings.targets[prediction["target"]]),
        value=_value(prediction, settings),
        band=settings.words.bands[prediction["band"]],
        percentile=share_told(prediction["percentile"], settings.language),
    )


def _value(prediction: Prediction, settings: CdsSettings) -> str:
    return _amount(value_of(prediction), prediction, settings)


def _amount(value: float, prediction: Prediction, settings: CdsSettings) -> str:
    return WORDS[settings.language].amount(value, prediction["scale"], prediction.get("currency"))


def _fitting(suggestions: Iterable[Suggestion], prediction: Prediction) -> list[Suggestion]:
    return [
        one for one in suggestions if prediction["target"] in one.targets and prediction["band"] in one.bands
    ]


def _suggestion(suggestion: Suggestion, shown: Shown) -> SuggestionDocument:
    tokens = {
        "{{context.patientId}}": shown.patient_id,
        "{{context.encounterId}}": shown.encounter_id,
    }
    return SuggestionDocument(
        label=suggestion.label,
        uuid=uuid.uuid4(),
        isRecommended=suggestion.is_recommended,
        actions=[
            ActionDocument(
                type=action.type,
                description=action.description,
                resource=filled(action.resource, tokens),
            )
            for action in suggestion.actions
        ],
        actionSelectionBehavior=suggestion.action_selection,
    )


def escaped(text: str) -> str:
    """The text as it stands, in Markdown.

    >>> escaped("Ward_3 <b>")
    'Ward\\\\_3 \\\\<b\\\\>'
    """
    return _MARKDOWN.sub(r"\\\1", text)
