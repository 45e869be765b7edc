"""What the patient came with and what was done: diagnosis and procedure groups (AHRQ CCS)."""

from __future__ import annotations

from features.feature import Feature
from features.points import Point

_COMPLICATION = "kind = 'discharge' AND complication_category IS NOT NULL"

IS_PERFORMED = "(performed_at IS NOT NULL OR is_planned IS NOT TRUE)"
"""SQL: the procedure was performed, not only booked."""

FEATURES = (
    Feature(
        name="admitting_diagnosis_group",
        label="Admitting diagnosis",
        type="category",
        unit="",
        available_from=Point.PREADMISSION,
        description="CCS category of the first admitting diagnosis of the stay; of a booked stay the reason "
        "for it.",
        relation="these_diagnoses",
        expression="min_by(ccs_title, position) FILTER (kind = 'admitting' AND is_index_stay)",
        tables=("diagnoses",),
    ),
    Feature(
        name="principal_diagnosis_group",
        label="Principal diagnosis",
        type="category",
        unit="",
        available_from=Point.DISCHARGE,
        description="CCS category of the principal discharge diagnosis of the stay.",
        relation="these_diagnoses",
        expression="min(ccs_title) FILTER (kind = 'discharge' AND position = 1 AND is_index_stay)",
        tables=("diagnoses",),
    ),
    Feature(
        name="n_diagnoses",
        label="Coded diagnoses of this stay",
        type="integer",
        unit="diagnoses",
        available_from=Point.DISCHARGE,
        description="Number of different discharge diagnosis codes of the episode.",
        relation="these_diagnoses",
        # A stay without any code is not coded yet.
        expression="nullif(count(DISTINCT code) FILTER (kind = 'discharge'), 0)",
        tables=("diagnoses",),
        minimum=1,
    ),
    Feature(
        name="has_complication",
        label="Complication during this stay",
        type="flag",
        unit="",
        available_from=Point.DISCHARGE,
        description="A diagnosis of the complication code set that was not present on admission; missing "
        "where flags of presence are.",
        relation="these_diagnoses",
        expression=f"CASE WHEN bool_or({_COMPLICATION} AND present_on_admission = 'N') THEN 1 "
        "WHEN count(present_on_admission) FILTER (kind = 'discharge') = 0 "
        f"OR bool_or({_COMPLICATION} AND present_on_admission IS NULL) THEN NULL ELSE 0 END",
        tables=("diagnoses",),
    ),
    Feature(
        name="planned_procedure_group",
        label="Planned procedure",
        type="category",
        unit="",
        available_from=Point.PREADMISSION,
        description="CCS category of the first procedure that was booked by the prediction time.",
        relation="these_procedures",
        expression="min_by(ccs_title, position) FILTER (is_planned AND is_index_stay)",
        tables=("procedures",),
        none_if_zero="n_possible_plans",
    ),
    Feature(
        name="has_planned_procedure",
        label="A procedure is planned",
        type="flag",
        unit="",
        available_from=Point.PREADMISSION,
        description="At least one procedure was booked by the prediction time.",
        relation="these_procedures",
        # A procedure of which nobody says whether it was planned leaves it open.
        expression="CASE WHEN bool_or(is_planned) THEN 1 WHEN count(*) = count(is_planned) THEN 0 END",
        tables=("procedures",),
        when_none=0,
        # The planned group says more, and an extract that records no plans would say "none" here.
        optional=True,
    ),
    Feature(
        name="main_procedure_group",
        label="Main procedure",
        type="category",
        unit="",
        available_from=Point.DISCHARGE,
        description="CCS category of the main procedure of the stay.",
        relation="these_procedures",
        expression="min_by(ccs_title, position) FILTER (is_index_stay)",
        tables=("procedures",),
        none_if_zero="n_procedures_of_stay",
    ),
    Feature(
        name="n_procedures",
        label="Procedures so far",
        type="integer",
        unit="procedures",
        available_from=Point.ADMISSION,
        description="Coded procedures of the episode that were performed by the prediction time. One without "
        "a time is known at discharge; a booked one without a time was not performed.",
        relation="these_procedures",
        expression=f"CASE WHEN bool_and(is_whole) THEN count(*) FILTER ({IS_PERFORMED}) END",
        tables=("procedures",),
        when_none=0,
        minimum=0,
    ),
    Feature(
        name="n_operations",
        label="Operations so far",
        type="integer",
        unit="operations",
        available_from=Point.ADMISSION,
        description="Performed procedures that are major operations (the potentially planned procedures of "
        "the CMS measure without its diagnostic and non-operative categories).",
        relation="these_procedures",
        expression=f"CASE WHEN bool_and(is_whole) THEN count(*) FILTER (is_surgery AND {IS_PERFORMED}) END",
        tables=("procedures",),
        when_none=0,
        minimum=0,
    ),
    Feature(
        name="hours_to_first_operation",
        label="Hours from admission to the first operation",
        type="number",
        unit="h",
        available_from=Point.ADMISSION,
        description="Hours from the admission of the episode to its first operation that was begun by the "
        "prediction time; missing where none was, or its time is not recorded.",
        relation="these_procedures",
        expression="min(date_diff('minute', anchor_at, performed_at)) "
        "FILTER (is_surgery AND performed_at >= anchor_at) / 60",
        tables=("procedures",),
        none_if_zero="n_possible_operations",
        minimum=0,
    ),
)
