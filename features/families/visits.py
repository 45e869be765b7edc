"""Visits that were not stays: the emergency department and outpatient care."""

from __future__ import annotations

from features.families.windows import LATEST_DAYS, WINDOWS_DAYS, known_sum, since, windowed
from features.feature import Feature
from features.points import Point


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
        ),
        windowed(
            "visit_cost",
            "Cost of visits",
            days=days,
            kind="number",
            unit="currency",
            relation="earlier_visits",
            aggregate=known_sum("cost"),
            description="Cost of all visits {within}; missing if one of them was not known.",
        ),
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
        minimum=0,
    ),
)
