"""The catalogue: every feature, declared once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

from features.clock import coded_stays_sql, known_diagnoses_sql, known_procedures_sql, relations
from features.codes import code_files
from features.episodes import (
    EPISODE_STAYS_SQL,
    THESE_STAYS_SQL,
    UNDATED_EPISODE_STAYS_SQL,
)
from features.families import (
    admission,
    charges,
    comorbidity,
    demographics,
    groups,
    history,
    hospital,
    instruments,
    laboratory,
    lace,
    medications,
    stay,
    visits,
)
from features.feature import Feature
from features.points import Point
from features.settings import DEFAULT_SETTINGS

_FAMILIES = {
    "who the patient is": demographics,
    "how the patient comes in": admission,
    "earlier stays": history,
    "visits": visits,
    "comorbidity": comorbidity,
    "diagnoses and procedures": groups,
    "medications": medications,
    "laboratory": laboratory,
    "instruments": instruments,
    "charges to date": charges,
    "the stay": stay,
    "LACE": lace,
    "HOSPITAL": hospital,
}

FAMILY_OF: dict[str, str] = {
    feature.name: name for name, family in _FAMILIES.items() for feature in family.FEATURES
}
CATALOGUE: dict[str, Feature] = {
    feature.name: feature for family in _FAMILIES.values() for feature in family.FEATURES
}


@cache
def features_at(point: Point, *, optional: bool = False) -> tuple[Feature, ...]:
    """The features known at a prediction point, in the catalogue's order; optional ones on request."""
    return tuple(
        feature
        for feature in CATALOGUE.values()
        if point.knows(feature.available_from) and (optional or not feature.optional)
    )


def fingerprint(names: Iterable[str]) -> str:
    """SHA-256 over everything that decides the values of these features, and nothing else.

    The expressions with what they need, the SQL that cuts by time and links stays, the code sets and the
    package that maps comorbidities: whoever computes a feature differently has another fingerprint, whoever
    only words it differently has the same. Names that the catalogue does not hold (an extract's own facts)
    are part of it by name alone.
    """
    declared = [_computation(CATALOGUE[name]) if name in CATALOGUE else name for name in sorted(set(names))]
    return hashlib.sha256(json.dumps([declared, _machinery()], sort_keys=True).encode()).hexdigest()


def _computation(feature: Feature) -> dict[str, object]:
    return {
        "name": feature.name,
        "type": feature.type,
        "unit": feature.unit,
        "relation": feature.relation,
        "expression": feature.expression,
        "tables": feature.tables,
        "when_none": feature.when_none,
        "history_days": feature.history_days,
        "needs": [_computation(need) for need in feature.needs],
    }


@cache
def _machinery() -> list[str]:
    """What all features rest on, by SQL text, content or version."""
    settings = DEFAULT_SETTINGS
    cuts = [
        sql
        for point in Point
        for has_timeline in (True, False)
        for sql in relations(point, has_timeline=has_timeline, settings=settings).values()
    ]
    known = [
        known_diagnoses_sql(settings, "icd10"),
        coded_stays_sql(settings, "icd10"),
        known_procedures_sql(settings, "icd9cm3"),
    ]
    links = [EPISODE_STAYS_SQL, UNDATED_EPISODE_STAYS_SQL, THESE_STAYS_SQL]
    codes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in code_files()]
    return [*cuts, *known, *links, *codes, version("pycomorb")]
