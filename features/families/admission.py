"""How the patient comes in, and when: what the booking says, the calendar and the clock."""

from __future__ import annotations

from features.feature import Feature, FeatureType
from features.points import Point

_IS_NIGHT = "hour(admitted_at) >= 20 OR hour(admitted_at) < 8"


def _category(name: str, label: str, description: str) -> Feature:
    return Feature(
        name=name,
        label=label,
        type="category",
        unit="",
        # Of a booked stay these are part of the plan.
        available_from=Point.PREADMISSION,
        description=description,
        relation="this_stay",
        expression=f"nullif({name}, 'unknown')",
        tables=("stays",),
    )


def _calendar(
    name: str,
    label: str,
    description: str,
    expression: str,
    *,
    kind: FeatureType = "integer",
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    optional: bool = False,
) -> Feature:
    return Feature(
        name=name,
        label=label,
        type=kind,
        unit=unit,
        available_from=Point.ADMISSION,
        description=description,
        relation="this_stay",
        expression=expression,
        tables=("stays",),
        minimum=minimum,
        maximum=maximum,
        optional=optional,
        calendar=True,
    )


CAME_AS = Feature(
    name="came_as",
    label="Admission type of the episode",
    type="category",
    unit="",
    available_from=Point.DISCHARGE,
    description="Intermediate.",
    relation="this_stay",
    expression="nullif(came_as, 'unknown')",
    tables=("stays",),
)
"""As what the patient came: a transfer or the second half of a split stay does not change it."""

FEATURES = (
    _category(
        "admission_type",
        "Admission type",
        "Urgency of the admission, as planned before it; unknown is missing.",
    ),
    _category("admission_source", "Admitted from", "Where the patient came from."),
    _category("admission_department", "Admitting department", "Department of admission, as recorded."),
    _category("payer", "Payer", "Who pays for the stay, as recorded."),
    Feature(
        name="is_booked",
        label="Admission was booked",
        type="flag",
        unit="",
        available_from=Point.ADMISSION,
        description="The admission was booked before the patient came; missing without dates.",
        relation="this_stay",
        expression="CASE WHEN admitted_at IS NOT NULL "
        "THEN coalesce(booked_at < admitted_at, false)::INTEGER END",
        tables=("stays",),
    ),
    Feature(
        name="booked_waiting_days",
        label="Days from booking to admission",
        type="integer",
        unit="days",
        available_from=Point.PREADMISSION,
        description="Days from the booking to the planned admission, or to the admission where no day was "
        "planned; missing without a booking.",
        relation="this_stay",
        expression="CASE WHEN booked_at <= coalesce(planned_admission_at, admitted_at) "
        "THEN date_diff('day', booked_at, coalesce(planned_admission_at, admitted_at)) END",
        tables=("stays",),
        minimum=0,
    ),
    _calendar(
        "admission_hour",
        "Hour of admission",
        "Hour of the day of admission, local time.",
        "hour(admitted_at)",
        unit="h",
        minimum=0,
        maximum=23,
    ),
    _calendar(
        "admission_weekday",
        "Weekday of admission",
        "Day of the week of admission: 1 Monday to 7 Sunday.",
        "isodow(admitted_at)",
        minimum=1,
        maximum=7,
    ),
    _calendar(
        "admission_month",
        "Month of admission",
        "Month of admission, 1 to 12: season.",
        "month(admitted_at)",
        minimum=1,
        maximum=12,
    ),
    _calendar(
        "is_weekend_admission",
        "Admitted at the weekend",
        "Admitted on a Saturday or Sunday.",
        "(isodow(admitted_at) >= 6)::INTEGER",
        kind="flag",
        optional=True,
    ),
    _calendar(
        "is_night_admission",
        "Admitted at night",
        "Admitted between 20:00 and 8:00, local time.",
        f"({_IS_NIGHT})::INTEGER",
        kind="flag",
        optional=True,
    ),
)
