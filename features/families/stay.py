"""What the stay itself has become: known only at discharge."""

from __future__ import annotations

from features.feature import Feature
from features.points import Point

FEATURES = (
    Feature(
        name="length_of_stay_days",
        label="Length of stay",
        type="integer",
        unit="days",
        available_from=Point.DISCHARGE,
        description="Midnights from the first admission of the episode to its discharge.",
        relation="this_stay",
        expression="date_diff('day', anchor_at, discharged_at)",
        tables=("stays",),
        minimum=0,
    ),
    Feature(
        name="stay_cost",
        label="Cost of this stay",
        type="number",
        unit="currency",
        available_from=Point.DISCHARGE,
        description="Total of the stay.",
        relation="this_stay",
        expression="total_cost",
        tables=("stays",),
        minimum=0,
    ),
    Feature(
        name="discharge_department",
        label="Discharging department",
        type="category",
        unit="",
        available_from=Point.DISCHARGE,
        description="Department of discharge, as recorded.",
        relation="this_stay",
        expression="discharge_department",
        tables=("stays",),
    ),
    Feature(
        name="discharge_disposition",
        label="Discharged to",
        type="category",
        unit="",
        available_from=Point.DISCHARGE,
        description="Where the patient went.",
        relation="this_stay",
        expression="discharge_disposition",
        tables=("stays",),
    ),
    Feature(
        name="is_return_planned",
        label="Return within 31 days planned",
        type="flag",
        unit="",
        available_from=Point.DISCHARGE,
        description="The discharge record plans a return within 31 days.",
        relation="this_stay",
        expression="planned_return_31d::INTEGER",
        tables=("stays",),
    ),
)
