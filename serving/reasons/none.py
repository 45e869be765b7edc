"""Why a value is missing of which there was none: what kind of none each language tells."""

from __future__ import annotations

from functools import cache
from typing import Literal

from features.catalogue import CATALOGUE, FAMILY_OF

NoneOf = Literal["none", "none_in_year", "no_result", "no_result_in_year", "fewer_than_two_results"]

_MEASURED = ("laboratory", "instruments")
_CHANGES = ("_change", "_slope", "_change_from_earlier")
_IN_YEAR = ("n_stays_without_end", "n_visits_of_unknown_kind")


@cache
def none_of(feature: str) -> NoneOf:
    """What there was none of, for a feature that tells it; "none" for one that is in the catalogue no more.

    >>> none_of("days_since_last_discharge"), none_of("potassium_first_day"), none_of("charges_so_far")
    ('none_in_year', 'no_result', 'none')
    """
    evidence = CATALOGUE[feature].none_if_zero if feature in CATALOGUE else ""
    if FAMILY_OF.get(feature) not in _MEASURED:
        return "none_in_year" if evidence in _IN_YEAR else "none"
    if feature.endswith(_CHANGES):
        return "fewer_than_two_results"
    return "no_result_in_year" if evidence.endswith("_in_year") else "no_result"
