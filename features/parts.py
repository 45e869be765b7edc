"""Features in parts that can be computed side by side, each by a statement of its own.

The engine's work to start a statement grows faster than its width, so that narrow parts cost less together
than all features at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.feature import Feature, Relation

# Relations whose features are computed together: about as many in each part at every point.
_TOGETHER: tuple[frozenset[Relation], ...] = (
    frozenset({"this_stay", "earlier_diagnoses"}),
    frozenset({"earlier_stays", "earlier_visits", "these_charges"}),
    frozenset({"measured_values", "medication_courses"}),
    frozenset({"these_diagnoses", "these_procedures"}),
)
_NAME = re.compile(r"\w+")


@dataclass(frozen=True)
class Part:
    """`features` to answer together; `computed` are those and the features that their expressions read."""

    features: tuple[Feature, ...]
    computed: tuple[Feature, ...]


def parts(features: Sequence[Feature]) -> list[Part]:
    """All features, each in exactly one part; those that rest on relations of several are in the last."""
    by_name = {feature.name: feature for feature in features}
    own: dict[int, list[Feature]] = {}
    for feature in features:
        computed = {*_with_what_it_reads(feature, by_name)}
        relations = {made.relation for each in computed for made in (each, *each.needs)} - {"features"}
        places = (place for place, together in enumerate(_TOGETHER) if relations <= together)
        own.setdefault(next(places, len(_TOGETHER)), []).append(feature)
    found = []
    for _, some in sorted(own.items()):
        names = {each.name for feature in some for each in _with_what_it_reads(feature, by_name)}
        # In the order given: a feature follows those that its expression reads.
        found.append(Part(tuple(some), tuple(feature for feature in features if feature.name in names)))
    return found


def _with_what_it_reads(feature: Feature, by_name: Mapping[str, Feature]) -> Iterator[Feature]:
    """The feature, and the other features that its expression names."""
    yield feature
    if feature.relation == "features":
        for name in _NAME.findall(feature.expression):
            if name in by_name and name != feature.name:
                yield from _with_what_it_reads(by_name[name], by_name)
