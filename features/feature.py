"""What a feature is: one declaration that everything else is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.points import Point

FeatureType = Literal["integer", "number", "flag", "category", "bits"]
Relation = Literal[
    "this_stay",
    "earlier_stays",
    "earlier_diagnoses",
    "these_diagnoses",
    "these_procedures",
    "earlier_visits",
    "these_charges",
    "measured_values",
    "medication_courses",
    "features",
    "facts",
]

SQL_TYPES: dict[FeatureType, str] = {
    "integer": "INTEGER",
    "number": "DOUBLE",
    "flag": "INTEGER",
    "category": "VARCHAR",
    "bits": "BIGINT",
}


@dataclass(frozen=True)
class Feature:
    """One column of the patient-level data set.

    `expression` is SQL over one of the relations that the clock has cut (see `features/clock.py`); over
    a relation with many rows an admission it is an aggregate. `tables` are the canonical tables without
    which the feature is unknown. `when_none` is its value where the relation holds no row for the
    admission; where it holds rows, the expression alone decides. `history_days` says how far back the
    history must be complete; where it is not, the feature is missing. `minimum` and `maximum` bound
    plausible values (flags are 0 or 1). `needs` are intermediate values, no columns of the data set,
    that the expression of a feature over the relation `features` uses; only they have the type `bits`.
    `source` is the paper or standard that defines it. `optional` features are in the dictionary and are
    built on request alone. `calendar` features read the date or the clock itself: all others are the same if
    every date of the extract moves by the same number of days.

    `raises` and `lowers` name the targets whose prediction a rising value can only raise, or only lower, as
    far as clinical sense goes: models are held to it. They change no value of the feature. Nor does
    `none_if_zero`, the count of `features/evidence.py` that tells what a missing value means: where it is 0,
    that there was none; otherwise nobody knows.
    """

    name: str
    label: str
    type: FeatureType
    unit: str
    available_from: Point
    description: str
    relation: Relation
    expression: str
    tables: tuple[str, ...]
    when_none: float | None = None
    history_days: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    is_fact: bool = False
    source: str = ""
    optional: bool = False
    calendar: bool = False
    needs: tuple[Feature, ...] = ()
    raises: tuple[str, ...] = ()
    lowers: tuple[str, ...] = ()
    none_if_zero: str = ""

    def direction(self, target: str) -> int:
        """1 if a rising value may only raise the prediction of `target`, -1 if only lower, otherwise 0."""
        return (target in self.raises) - (target in self.lowers)
