"""What the patient came with and what was done: diagnosis and procedure groups (AHRQ CCS)."""

from __future__ import annotations

from features.feature import Feature
from features.points import Point

_COMPLICATION = "kind = 'discharge' AND complication_category IS NOT NULL"

FEATURES = (
    Feature(
        name="admitting_diagnosis_group",
        label="Admitting diagnosis",
        type="category",
        unit="",
        available_from=Point.ADMISSION,
        description="CCS category of the first admitting diagnosis of the stay.",
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
        available_from=Point.ADMISSION,
        description="CCS category of the first procedure that was booked when the patient came.",
        relation="these_procedures",
        expression="min_by(ccs_title, position) FILTER (is_planned AND is_index_stay)",
        tables=("procedures",),
    ),
    Feature(
        name="has_planned_procedure",
        label="A procedure is planned",
        type="flag",
        unit="",
        available_from=Point.ADMISSION,
        description="At least one procedure was booked by the prediction time.",
        relation="these_procedures",
        # A procedure of which nobody says whether it was planned leaves it open.
        expression="CASE WHEN bool_or(is_planned) THEN 1 WHEN count(*) = count(is_planned) THEN 0 END",
        tables=("procedures",),
        when_none=0,
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
    ),
    Feature(
        name="n_procedures",
        label="Procedures of this stay",
        type="integer",
        unit="procedures",
        available_from=Point.DISCHARGE,
        description="Number of coded procedures of the episode.",
        relation="these_procedures",
        expression="count(*)",
        tables=("procedures",),
        when_none=0,
        minimum=0,
    ),
)
