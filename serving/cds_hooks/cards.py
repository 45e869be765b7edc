"""Cards of an answer: what is predicted, why, and what somebody may do about it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.bands import BANDS
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

    A service with risks `beside` makes one card of its targets, in which these stand too: an amount is never
    shown without the risks that speak against saving. A target whose model was refused is told as not
    predicted, since no card reads like a low band.
    """
    told = [service.targets] if service.beside else [[target] for target in service.targets]
    return [card for targets in told for card in _card(shown, targets, service, settings)]


def _card(shown: Shown, targets: Sequence[str], service: Service, settings: CdsSettings) -> list[Card]:
    """The card of these targets, and of the risks beside them: its indicator is that of the highest band."""
    found = [one for target in targets if (one := shown.of(target))]
    if not found:
        refused = [target for target in targets if shown.is_refused(target)]
        return [_unknown_card(refused, settings)] if refused else []
    main = found[0]
    told = [*found, *(one for target in service.beside if (one := shown.of(target)))]
    indicator = settings.indicators[max((one["band"] for one in told), key=BANDS.index)]
    if indicator == "none" and not any(map(shown.is_refused, (*targets, *service.beside))):
        return []
    outside = is_outside(shown.answer)
    if outside or indicator == "none":
        indicator = "info"
    models = tuple(one["model"] for one in told)
    paragraphs = [*_detail(shown, targets, service, settings), _source(shown, models, settings)]
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


def _unknown_card(targets: Sequence[str], settings: CdsSettings) -> Card:
    """That targets are not predicted, the first of them in the summary."""
    words = settings.words
    card = CardDocument(
        uuid=uuid.uuid4(),
        summary=_cut(words.unknown.format(title=settings.targets[targets[0]])),
        detail="\n\n".join([*(_unknown(target, settings) for target in targets), words.refused]),
        indicator="info",
        source=SourceDocument.model_validate(settings.source.model_dump()),
    )
    return Card(card, ())


def _summary(prediction: Prediction, settings: CdsSettings) -> str:
    return _cut(
        settings.words.summary.format(
            title=settings.targets[prediction["target"]],
            value=_value(prediction, settings),
            band=settings.words.bands[prediction["band"]],
        )
    )


def _cut(summary: str) -> str:
    return summary if len(summary) <= LONGEST_SUMMARY else f"{summary[: LONGEST_SUMMARY - 1]}…"


def _detail(shown: Shown, targets: Sequence[str], service: Service, settings: CdsSettings) -> Iterator[str]:
    words = settings.words
    for target in targets:
        if found := shown.of(target):
            yield from _paragraphs(found, settings)
        elif shown.is_refused(target):
            yield _unknown(target, settings)
    if service.beside:
        lines = [
            _headline(found, settings) if (found := shown.of(target)) else _unknown(target, settings)
            for target in service.beside
        ]
        yield "\n".join([words.beside, "", *(f"- {line}" for line in lines)])
        yield words.orders
    told = caveats(shown, (*targets, *service.beside), settings)
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


def _unknown(target: str, settings: CdsSettings) -> str:
    return settings.words.unknown.format(title=escaped(settings.targets[target]))


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
