"""Features in parts, by the relations that they rest on.

The engine's work to start on a row grows faster than the row's width: many narrow rows cost it less than one
wide one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.feature import Feature, Relation

_NAME = re.compile(r"\w+")


@dataclass(frozen=True)
class Part:
    """`features` to answer together; `computed` are those and the features that their expressions read."""

    features: tuple[Feature, ...]
    computed: tuple[Feature, ...]


def parts(features: Sequence[Feature], wanted: Collection[str] | None = None) -> list[Part]:
    """The wanted features (None: all), each in exactly one part: with those that rest on the same relations.

    `features` are those that expressions may read.
    """
    by_name = {feature.name: feature for feature in features}
    of_relations: dict[frozenset[Relation], dict[str, list[Feature]]] = {}
    for feature in features:
        if wanted is not None and feature.name not in wanted:
            continue
        read = [*_with_what_it_reads(feature, by_name)]
        relations = frozenset(made.relation for each in read for made in (each, *each.needs)) - {"features"}
        of_relations.setdefault(relations, {})[feature.name] = read
    found = []
    for own in of_relations.values():
        names = {each.name for read in own.values() for each in read}
        # In the order given: a feature follows those that its expression reads.
        computed = tuple(feature for feature in features if feature.name in names)
        found.append(Part(tuple(by_name[name] for name in own), computed))
    return found


def _with_what_it_reads(feature: Feature, by_name: Mapping[str, Feature]) -> Iterator[Feature]:
    """The feature, and the other features that its expression names."""
    yield feature
    if feature.relation == "features":
        for name in _NAME.findall(feature.expression):
            if name in by_name and name != feature.name:
                yield from _with_what_it_reads(by_name[name], by_name)
