"""What a client prefetched: the resources of each key, and of which types all came."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from features.sources.fhir.stream import Found, Tally, unbundled
from features.tables import TableError
from serving.cds_hooks.missing import missing_data, not_sent
from serving.cds_hooks.settings import REQUIRED_PREFETCH
from serving.problems import FieldError, invalid

MAX_RESOURCES = 10_000
"""More would keep all others waiting: every resource is validated."""

_EVERY_ENCOUNTER = "Encounter?patient={{context.patientId}}"


@dataclass(frozen=True)
class Prefetched:
    """Resources, and the types of the queries.

    `answered` are those of which all came, `incomplete` those of which a query was not answered or pages are
    missing (`is_paged`). `has_every_encounter`: the patient's encounters were asked for without a condition,
    and all came.
    """

    resources: tuple[Found, ...]
    answered: frozenset[str]
    incomplete: frozenset[str]
    is_paged: bool
    has_every_encounter: bool

    def count(self, kind: str) -> int:
        """How many resources of a type came."""
        return sum(found.resource.get("resourceType") == kind for found in self.resources)


def prefetched(prefetch: Mapping[str, Any], templates: Mapping[str, str]) -> Prefetched:
    """What the keys of `templates` hold; other keys are not read.

    A key with null was answered with nothing, as CDS Hooks has it; a key that is not there, or holds an
    OperationOutcome, was not answered. Raises Problem: 412 naming required keys without records, 422 for what
    is no resource.
    """
    resources: list[Found] = []
    answered, incomplete, found, is_paged = set(), set(), set(), False
    for key, template in templates.items():
        kind, tally = _type_of(template), Tally()
        if key not in prefetch or _is_outcome(prefetch[key]):
            incomplete.add(kind)
            continue
        own = tuple(_resources(key, prefetch[key], tally))
        resources += own
        if tally.n_further_pages:
            is_paged = True
            incomplete.add(kind)
        answered.add(kind)
        if own:
            found.add(key)
    if len(resources) > MAX_RESOURCES:
        message = f"has {len(resources)} resources; at most {MAX_RESOURCES}. Set _count in the templates"
        raise invalid([FieldError("prefetch", message)])
    if missing := [not_sent(key, kind) for key, kind in REQUIRED_PREFETCH.items() if key not in found]:
        raise missing_data(missing)
    is_whole = templates["encounters"] == _EVERY_ENCOUNTER and "Encounter" not in incomplete
    return Prefetched(
        tuple(resources), frozenset(answered - incomplete), frozenset(incomplete), is_paged, is_whole
    )


def _type_of(template: str) -> str:
    return re.split(r"[/?]", template, maxsplit=1)[0]


def _is_outcome(value: object) -> bool:
    return isinstance(value, dict) and value.get("resourceType") == "OperationOutcome"


def _resources(key: str, value: object, tally: Tally) -> Iterator[Found]:
    if value is None:
        return
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise invalid([FieldError(f"prefetch.{key}", "must be a FHIR resource or null")])
    try:
        for found in unbundled(value, f"prefetch.{key}", tally):
            # Warnings of a search stand among what it found.
            if not _is_outcome(found.resource):
                yield found
    except TableError as error:
        raise invalid([FieldError(f"prefetch.{key}", str(error))]) from None
