"""What a feature is: one declaration that everything else is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.points import Point

FeatureType = Literal["integer", "number", "flag", "category"]
Relation = Literal[
    "this_stay",
    "earlier_stays",
    "earlier_diagnoses",
    "these_diagnoses",
    "these_procedures",
    "earlier_visits",
    "these_observations",
    "features",
    "facts",
]

SQL_TYPES: dict[FeatureType, str] = {
    "integer": "INTEGER",
    "number": "DOUBLE",
    "flag": "INTEGER",
    "category": "VARCHAR",
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
    that the expression of a feature over the relation `features` uses.
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
    needs: tuple[Feature, ...] = ()
