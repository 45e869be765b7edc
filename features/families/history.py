"""Earlier stays: how often, how long ago, how long, how dear.

A stay that only continued another (a transfer, a split stay) is not counted as a further admission.
"""

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


def _windowed_features(days: int) -> tuple[Feature, ...]:
    return (
        windowed(
            "n_stays",
            "Admissions",
            days=days,
            kind="integer",
            unit="stays",
            relation="earlier_stays",
            aggregate="count(*) FILTER (NOT is_continuation AND {window})",
            description="Earlier admissions {within}.",
        ),
        windowed(
            "n_emergency_stays",
            "Emergency admissions",
            days=days,
            kind="integer",
            unit="stays",
            relation="earlier_stays",
            aggregate="count(*) FILTER (NOT is_continuation "
            "AND admission_type IN ('emergency', 'urgent') AND {window})",
            description="Earlier emergency or urgent admissions {within}.",
            raises=("readmission",),
        ),
        windowed(
            "stay_cost",
            "Cost of admissions",
            days=days,
            kind="number",
            unit="currency",
            relation="earlier_stays",
            aggregate=known_sum("total_cost"),
            built_at=SHORT_AND_LONG_DAYS,
            description="Total of the stays that began {within}; missing if one of them was not known.",
            # What was spent lately may have settled what this stay would be for.
            raises=("cost",) if days == LATEST_DAYS else (),
        ),
        windowed(
            "days_in_hospital",
            "Days in hospital",
            days=days,
            kind="integer",
            unit="days",
            relation="earlier_stays",
            aggregate="coalesce(sum(date_diff('day', admitted_at, least(discharged_at, anchor_at))) "
            "FILTER ({window}), 0)",
            description="Midnights spent in hospital in stays that began {within}.",
            built_at=SHORT_AND_LONG_DAYS,
        ),
    )


FEATURES = (
    *(feature for days in WINDOWS_DAYS for feature in _windowed_features(days)),
    Feature(
        name="days_since_last_discharge",
        label="Days since the last discharge",
        type="integer",
        unit="days",
        available_from=Point.PREADMISSION,
        description="Days from the latest known discharge to the admission; missing if none is known "
        f"in the {LATEST_DAYS} days before.",
        relation="earlier_stays",
        expression="min(date_diff('day', discharged_at, anchor_at)) "
        f"FILTER (discharged_at <= anchor_at AND {since('discharged_at', LATEST_DAYS)})",
        tables=("stays",),
        none_if_zero="n_stays_without_end",
        minimum=0,
    ),
    Feature(
        name="last_stay_days",
        label="Length of the last stay",
        type="integer",
        unit="days",
        available_from=Point.PREADMISSION,
        description="Midnights of the latest earlier stay; missing if none is known in the "
        f"{LATEST_DAYS} days before.",
        relation="earlier_stays",
        # Ties by identifier, so that the choice does not depend on the order of rows.
        expression="arg_max_null(date_diff('day', admitted_at, discharged_at), (admitted_at, stay_id)) "
        f"FILTER ({since('admitted_at', LATEST_DAYS)})",
        tables=("stays",),
        none_if_zero="n_stays_without_end",
        minimum=0,
    ),
)
