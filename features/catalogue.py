"""The catalogue: every feature, declared once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from features.families import (
    admission,
    comorbidity,
    demographics,
    groups,
    history,
    hospital,
    laboratory,
    lace,
    stay,
    visits,
)
from features.feature import Feature
from features.points import Point

_FAMILIES = (demographics, admission, history, visits, comorbidity, groups, laboratory, stay, lace, hospital)

CATALOGUE: dict[str, Feature] = {feature.name: feature for family in _FAMILIES for feature in family.FEATURES}


def features_at(point: Point) -> tuple[Feature, ...]:
    """The features that are known at a prediction point, in the catalogue's order."""
    return tuple(feature for feature in CATALOGUE.values() if point.knows(feature.available_from))


def fingerprint(names: Iterable[str]) -> str:
    """SHA-256 over the declarations of these features: any change of meaning changes it.

    Names that the catalogue does not hold (an extract's own facts) are part of it by name alone.
    """
    declared = [asdict(CATALOGUE[name]) if name in CATALOGUE else name for name in sorted(set(names))]
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()
