"""Reasons in sentences that a nurse reads, and what each does to the number shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from features.catalogue import CATALOGUE
from models.units import Scale
from serving.reasons.languages import WORDS, Language
from serving.reasons.words import Words


def sentence(
    reason: Mapping[str, Any], *, scale: Scale = "log_odds", language: Language = Language.EN
) -> str:
    """What the model saw, with its unit, and what it does to the prediction.

    >>> stays = {"feature": "n_stays_prior_365d", "label": "Admissions in the last year", "value": 3}
    >>> sentence({**stays, "unit": "stays", "direction": "raises"})
    '3 admissions in the last year (raises the risk)'
    """
    words = WORDS[language]
    return _told(words, words.statement(reason), scale, reason)


def tell(
    document: Mapping[str, Any],
    language: Language,
    *,
    not_sent: Collection[str] = (),
    none: Collection[str] = (),
) -> dict[str, Any]:
    """A target's prediction with every reason, and every group of them, in words.

    A reason gets `missing` (as `with_missing`; None where its value is known), `sentence` and `effect`: the
    prediction with and without its contribution.
    """
    words, scale = WORDS[language], document["scale"]
    found = {
        **document,
        "reasons": [_reason(words, document, each, not_sent, none) for each in document["reasons"]],
    }
    if "groups" in document:
        found["groups"] = [
            {
                **group,
                "sentence": _told(words, words.family(group["family"], group["n_features"]), scale, group),
                "effect": effect(words, document, group),
                "reasons": [_reason(words, document, each, not_sent, none) for each in group["reasons"]],
            }
            for group in document["groups"]
        ]
    return found


def effect(words: Words, document: Mapping[str, Any], reason: Mapping[str, Any]) -> str:
    """The prediction and what it would be without the contribution, marked as the model's view.

    Where both read alike they are told to be about the same.
    """
    scale, currency = document["scale"], document.get("currency")
    now = words.amount(value_of(document), scale, currency)
    without = words.amount(reason["prediction_without"], scale, currency)
    # Not by the contribution: one that moves the number by less than is shown would read as a mistake.
    direction = "none" if now == without else reason["direction"]
    told = words.effect[scale, direction].format(now=now, without=without)
    return f"{told}{words.gap}{words.not_a_cause}"


def with_missing(
    reason: Mapping[str, Any], not_sent: Collection[str], none: Collection[str]
) -> Mapping[str, Any]:
    """The reason; of one without a value `missing` says why, unless it says so already.

    "not_sent": it rests on one of the tables that were `not_sent`. "none": there was none, since the count
    that tells it is one of `none`, those that are 0. Else "not_known".
    """
    if reason["value"] is not None or "missing" in reason:
        return reason
    feature = CATALOGUE.get(reason["feature"])
    tables = ("facts",) if feature is None else feature.tables
    if any(table in not_sent for table in tables):
        return {**reason, "missing": "not_sent"}
    is_none = feature is not None and feature.none_if_zero in none
    return {**reason, "missing": "none" if is_none else "not_known"}


def interval_told(prediction: Mapping[str, Any], words: Words, *, closed: str, open_ended: str) -> str:
    """The interval of a target's prediction: `closed` with its level and both ends, `open_ended` with the
    lower one; empty where there is none, or none that bounds it from below."""
    interval = prediction.get("interval")
    if interval is None or interval["low"] is None:
        return ""
    ends = {
        end: words.amount(interval[end], prediction["scale"], prediction.get("currency"))
        for end in ("low", "high")
        if interval[end] is not None
    }
    template = closed if "high" in ends else open_ended
    return template.format(level=f"{100 * interval['level']:g}", **ends)


def value_of(document: Mapping[str, Any]) -> float:
    """The predicted probability or expected amount of a target's prediction."""
    return float(document["probability"] if document["scale"] == "log_odds" else document["expected"])


def _reason(
    words: Words,
    document: Mapping[str, Any],
    reason: Mapping[str, Any],
    not_sent: Collection[str],
    none: Collection[str],
) -> dict[str, Any]:
    known = {"missing": None, **with_missing(reason, not_sent, none)}
    return {
        **known,
        "sentence": _told(words, words.statement(known), document["scale"], known),
        "effect": effect(words, document, known),
    }


def _told(words: Words, statement: str, scale: str, reason: Mapping[str, Any]) -> str:
    return words.told.format(statement=statement, effect=words.effects[scale, reason["direction"]])
