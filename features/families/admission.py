"""How the patient came in."""

from __future__ import annotations

from features.feature import Feature
from features.points import Point


def _category(name: str, label: str, description: str) -> Feature:
    return Feature(
        name=name,
        label=label,
        type="category",
        unit="",
        available_from=Point.ADMISSION,
        description=description,
        relation="this_stay",
        expression=f"nullif({name}, 'unknown')",
        tables=("stays",),
    )


FEATURES = (
    _category("admission_type", "Admission type", "Urgency of the admission; unknown is missing."),
    _category("admission_source", "Admitted from", "Where the patient came from."),
    _category("admission_department", "Admitting department", "Department of admission, as recorded."),
    _category("payer", "Payer", "Who pays for the stay, as recorded."),
    Feature(
        name="is_booked",
        label="Admission was booked",
        type="flag",
        unit="",
        available_from=Point.ADMISSION,
        description="The admission was booked before the patient came.",
        relation="this_stay",
        expression="coalesce(booked_at < admitted_at, false)::INTEGER",
        tables=("stays",),
    ),
    Feature(
        name="admission_hour",
        label="Hour of admission",
        type="integer",
        unit="h",
        available_from=Point.ADMISSION,
        description="Hour of the day of admission, local time.",
        relation="this_stay",
        expression="hour(admitted_at)",
        tables=("stays",),
        minimum=0,
        maximum=23,
    ),
    Feature(
        name="admission_month",
        label="Month of admission",
        type="integer",
        unit="",
        available_from=Point.ADMISSION,
        description="Month of admission, 1 to 12: season.",
        relation="this_stay",
        expression="month(admitted_at)",
        tables=("stays",),
        minimum=1,
        maximum=12,
    ),
)
