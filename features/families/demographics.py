"""Who the patient is."""

from __future__ import annotations

from features.feature import Feature
from features.points import Point

FEATURES = (
    Feature(
        name="age_years",
        label="Age",
        type="integer",
        unit="years",
        available_from=Point.PREADMISSION,
        description="Completed years at admission; the recorded age where no birth date is released.",
        relation="this_stay",
        expression="age_years",
        tables=("patients", "stays"),
        minimum=0,
        maximum=125,
    ),
    Feature(
        name="sex",
        label="Sex",
        type="category",
        unit="",
        available_from=Point.PREADMISSION,
        description="Sex as recorded; unknown is missing.",
        relation="this_stay",
        expression="nullif(sex, 'unknown')",
        tables=("patients",),
    ),
)
