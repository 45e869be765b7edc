"""Visits that were not stays: the emergency department and outpatient care."""

from __future__ import annotations

from features.families.windows import (
    LATEST_DAYS,
    SHORT_AND_LONG_DAYS,
    WINDOWS_DAYS,
    known_sum,
    since,
    windowed,
)
from features.feature import Feature
from features.points import Point


def _outpatient_cost(days: int) -> Feature:
    return windowed(
        "outpatient_cost",
        "Cost of outpatient visits",
        days=days,
        kind="number",
        unit="currency",
        relation="earlier_visits",
        aggregate=known_sum("cost", "kind <> 'emergency'"),
        description="Cost of outpatient, telehealth and home visits {within}; missing if one was not known.",
    )


def _windowed_features(days: int) -> tuple[Feature, ...]:
    return (
        windowed(
            "n_emergency_visits",
            "Emergency visits",
            days=days,
            kind="integer",
            unit="visits",
            relation="earlier_visits",
            aggregate="count(*) FILTER (kind = 'emergency' AND NOT led_to_admission AND {window})",
            description="Emergency visits {within}, without the one that led to it.",
            raises=("readmission",),
        ),
        windowed(
            "n_outpatient_visits",
            "Outpatient visits",
            days=days,
            kind="integer",
            unit="visits",
            relation="earlier_visits",
            aggregate="count(*) FILTER (kind <> 'emergency' AND {window})",
            description="Outpatient, telehealth and home visits {within}.",
            built_at=SHORT_AND_LONG_DAYS,
        ),
        windowed(
            "visit_cost",
            "Cost of visits",
            days=days,
            kind="number",
            unit="currency",
            relation="earlier_visits",
            aggregate=known_sum("cost"),
            built_at=SHORT_AND_LONG_DAYS,
            description="Cost of all visits {within}; missing if one of them was not known.",
            raises=("cost",) if days == LATEST_DAYS else (),
        ),
        *(() if days < LATEST_DAYS else (_outpatient_cost(days),)),
    )


FEATURES = (
    *(feature for days in WINDOWS_DAYS for feature in _windowed_features(days)),
    Feature(
        name="days_since_last_emergency_visit",
        label="Days since the last emergency visit",
        type="integer",
        unit="days",
        available_from=Point.PREADMISSION,
        description="Days from the latest earlier emergency visit to admission; missing if none is known "
        f"in the {LATEST_DAYS} days before.",
        relation="earlier_visits",
        expression="min(date_diff('day', visited_at, anchor_at)) "
        f"FILTER (kind = 'emergency' AND NOT led_to_admission AND {since('visited_at', LATEST_DAYS)})",
        tables=("visits",),
        none_if_zero="n_visits_of_unknown_kind",
        minimum=0,
        lowers=("readmission",),
    ),
    Feature(
        name="came_through_emergency",
        label="Came through the emergency department",
        type="flag",
        unit="",
        available_from=Point.ADMISSION,
        description="An emergency visit in the 24 hours before the admission, which counts as the one that "
        "led to it.",
        relation="earlier_visits",
        expression="coalesce(bool_or(kind = 'emergency' AND led_to_admission), false)::INTEGER",
        tables=("visits",),
        when_none=0,
        history_days=1,
    ),
)
