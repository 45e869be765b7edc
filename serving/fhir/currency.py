"""Amounts of FHIR in another currency than the models': they are not read, and what they belong to is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from features.sources.fhir.stream import Found

# Not a set: what stands there for a type may be anything, and is not hashed.
_WITH_MONEY = ("Claim", "ExplanationOfBenefit", "ChargeItem")
"""The types whose amounts are read."""

_DEEPEST = 40
"""Levels of a resource; no amount that is read lies nearly as deep."""


def in_currency(resources: Iterable[Found], currency: str) -> tuple[tuple[Found, ...], int]:
    """The resources without the values of Money in another currency, and how many these were.

    An amount that names no currency is taken to be in the models' own. An ingest refuses the whole row of
    such an amount, so that somebody corrects the declaration; a patient's stay must not be lost to a
    prediction for what it cost.
    """
    found, count = [], 0
    for one in resources:
        resource, n = one.resource, 0
        if resource.get("resourceType") in _WITH_MONEY:
            resource, n = _kept(resource, currency)
        found.append(replace(one, resource=resource) if n else one)
        count += n
    return tuple(found), count


def _kept(value: Any, currency: str, depth: int = 0) -> tuple[Any, int]:
    if depth > _DEEPEST:
        return value, 0
    if isinstance(value, list):
        items = [_kept(item, currency, depth + 1) for item in value]
        return [item for item, _ in items], sum(n for _, n in items)
    if not isinstance(value, dict):
        return value, 0
    # No other type of R4 has a currency beside a value.
    if "value" in value and value.get("currency") not in (None, currency):
        return {name: part for name, part in value.items() if name != "value"}, 1
    members = {name: _kept(part, currency, depth + 1) for name, part in value.items()}
    return {name: part for name, (part, _) in members.items()}, sum(n for _, n in members.values())
