"""The labels: what became of each episode, where that is known.

A label is true, false or missing; missing is never false. Windows count calendar days from the
discharge, both ends included. Only rows whose window was observed to its end carry a label.
"""

from __future__ import annotations

from collections.abc import Sequence

from features.dataset import Declaration
from features.outcomes.complications import COMPLICATION_LABELS, ComplicationBy, complications_sql
from features.outcomes.episode_cost import COST_LABELS, episode_costs_sql, windows_days
from features.points import Point
from features.settings import FeatureSettings

LABELS = (
    "label_readmission",
    "label_readmission_or_death",
    *COMPLICATION_LABELS,
    "label_episode_cost",
    *COST_LABELS,
    "label_index_charges",
    "label_stay_days",
)

# A transfer of the next day, or a split stay within 24 hours, still belongs to the episode.
_LINK_DAYS = 1


def labels_sql(
    declaration: Declaration,
    settings: FeatureSettings,
    point: Point,
    *,
    complication_by: ComplicationBy,
    knows_planned: bool,
) -> str:
    """SQL of one row per episode with its labels and the day on which each label's window ended.

    `complication_by` is the one thing that the data set's complication labels rest on. `knows_planned`: it
    holds diagnoses and procedures, without which no return can be judged planned or not: derived readmission
    labels are then missing.
    """
    if not declaration.has_timeline:
        return _undated_labels_sql(complication_by)
    knows_deaths = "true" if declaration.deaths == "registry" else "false"
    can_judge = "true" if knows_planned else "false"
    # The stay that is scored: the episode's first, or at discharge its last.
    scored_stay_id = "j.last_stay_id" if point is Point.DISCHARGE else "j.episode_id"
    extra_days = _extra_days(declaration, settings)
    costs_end_on = ", ".join(
        f"discharged_at::DATE + {max(days, _LINK_DAYS) + extra_days} AS {label}_ends_on"
        for label, days in windows_days(settings).items()
    )
    mature = {
        label: f"CASE WHEN j.{label}_ends_on <= j.observed_until AND NOT j.may_go_on THEN k.{label} END"
        for label in windows_days(settings)
    }
    mature["label_episode_cost"] = f"coalesce(o.episode_cost, {mature['label_episode_cost']})"
    # What the extract supplies was judged by whoever supplies it.
    is_told = "j.complication_ends_on <= j.observed_until AND NOT j.may_go_on"
    matured = "true" if complication_by == "given" else is_told
    complications = ", ".join(
        f"CASE WHEN {matured} THEN c.{label} END AS {label}" for label in COMPLICATION_LABELS
    )
    costs = ", ".join(f"({cost})::DOUBLE AS {label}" for label, cost in mature.items())
    return f"""
    WITH followed AS ({_followed_sql(declaration, settings)}),
    complication AS ({complications_sql(complication_by)}),
    cost AS ({episode_costs_sql(settings)}),
    ended AS (
        SELECT *, discharged_at::DATE AS discharged_on,
            discharged_at::DATE + {settings.readmission_window_days + extra_days} AS readmission_ends_on,
            {costs_end_on},
            discharged_at::DATE + {_LINK_DAYS + extra_days} AS complication_ends_on,
            DATE '{declaration.observed_until}' AS observed_until
        FROM followed
    ), judged AS (
        SELECT *,
            CASE WHEN NOT {can_judge} OR left_at_discharge IS NOT NULL OR vital_status_unknown
                      OR has_unseen_return OR may_go_on OR readmission_ends_on > observed_until THEN NULL
                 WHEN NOT has_return OR is_planned_return THEN 0
                 WHEN NOT is_planned_return THEN 1 END AS label_readmission,
            CASE WHEN died_in_hospital OR has_unseen_return OR (has_return AND NOT {can_judge}) THEN NULL
                 WHEN is_planned_return THEN 'neither'
                 WHEN NOT is_planned_return THEN 'readmitted'
                 WHEN has_return THEN NULL  -- one that cannot be judged
                 WHEN died_within_window THEN 'died'
                 WHEN {knows_deaths} THEN 'neither' END AS first_event
        FROM ended
    )
    SELECT j.patient_id, j.episode_id,
        {_readmission(declaration)} AS label_readmission,
        {_readmission_or_death(declaration)} AS label_readmission_or_death,
        {complications},
        {costs},
        scored.total_cost::DOUBLE AS label_index_charges,
        date_diff('day', scored.admitted_at, scored.discharged_at)::DOUBLE AS label_stay_days,
        j.discharged_on AS row_discharged_on,
        j.readmission_ends_on AS row_label_end_on_readmission,
        j.complication_ends_on AS row_label_end_on_complication,
        j.label_episode_cost_ends_on AS row_label_end_on_cost,
        -- Told of the stay that is scored, but only once its episode has ended.
        j.discharged_on AS row_label_end_on_charges,
        j.discharged_on AS row_label_end_on_stay_days,
        CASE WHEN j.readmission_ends_on <= j.observed_until THEN j.first_event END AS row_first_event,
        j.died_in_hospital::INTEGER AS row_died_in_hospital,
        nullif(scored.hospital_id, 'unknown') AS row_hospital
    FROM judged j
    LEFT JOIN complication c USING (episode_id)
    LEFT JOIN cost k USING (episode_id)
    LEFT JOIN outcomes o ON o.stay_id = j.last_stay_id
    JOIN stays scored ON scored.stay_id = {scored_stay_id}
    WHERE j.is_discharged"""


def _extra_days(declaration: Declaration, settings: FeatureSettings) -> int:
    # In a file of discharged patients a patient back in a bed is not yet to be seen.
    return settings.max_stay_days if declaration.complete_by == "discharge" else 0


def _readmission(declaration: Declaration) -> str:
    if declaration.labels.readmission.kind == "given":
        return "CASE WHEN j.left_at_discharge IS NULL THEN o.readmission::INTEGER END"
    return "j.label_readmission"


def _readmission_or_death(declaration: Declaration) -> str:
    if declaration.labels.readmission.kind == "given":
        return "CASE WHEN j.left_at_discharge IS NULL THEN o.readmission_or_death::INTEGER END"
    if declaration.deaths == "in_hospital":
        return "NULL"
    return (
        "CASE WHEN j.label_readmission IS NULL THEN NULL "
        "WHEN j.label_readmission = 1 OR j.first_event = 'died' THEN 1 ELSE 0 END"
    )


def _followed_sql(declaration: Declaration, settings: FeatureSettings) -> str:
    """Every episode with its first return within the window and whether that return was planned."""
    planned = f"({_CMS_PLANNED})"
    if declaration.labels.readmission.variant == "front_page":
        planned = (
            f"({planned} OR (c.return_admission_type <> 'emergency'"
            " AND (coalesce(c.planned_return_31d, false)"
            " OR (c.return_admission_type = 'elective' AND coalesce(r.has_booked_procedure, false)))))"
        )
    return f"""
    WITH next AS (
        SELECT *,
            lead(episode_id) OVER w AS return_id,
            lead(admitted_at) OVER w AS return_at,
            lead(admission_type) OVER w AS return_admission_type,
            coalesce(lead(may_continue_earlier) OVER w, false) AS may_go_on
        FROM discharge_candidates WINDOW w AS (PARTITION BY patient_id ORDER BY admitted_at, episode_id)
    ), marked AS (
        SELECT *, coalesce({_within("return_at", settings.readmission_window_days)}, false) AS has_return
        FROM next
    ), unseen AS (
        -- A quarantined stay that came first, or may have, leaves unknown what became of the patient.
        SELECT c.episode_id, true AS has_unseen_return
        FROM marked c JOIN unseen_stays u USING (patient_id)
        WHERE u.admitted_at IS NULL OR ({_within("u.admitted_at", settings.readmission_window_days)}
            AND (NOT c.has_return OR u.admitted_at <= c.return_at))
        GROUP BY c.episode_id
    ), return_diagnosis AS (
        SELECT stay_id, bool_or(principal_is_always_planned) AS always_planned_diagnosis,
            bool_or(principal_is_acute) AS acute_diagnosis
        FROM coded_stays WHERE principal_code3 IS NOT NULL GROUP BY stay_id
    ), return_procedures AS (
        SELECT s.episode_id, bool_or(f.is_always_planned) AS always_planned_procedure,
            bool_or(f.is_potentially_planned) AS potentially_planned_procedure,
            bool_or(p.is_planned) AS has_booked_procedure
        FROM episode_stays s JOIN known_procedures p USING (stay_id)
        LEFT JOIN procedure_flags f USING (code, code_system) GROUP BY s.episode_id
    )
    SELECT c.*, c.left_at AS left_at_discharge,
        coalesce(u.has_unseen_return, false) AS has_unseen_return,
        -- A return that is not yet coded cannot be judged.
        CASE WHEN c.has_return AND d.stay_id IS NOT NULL THEN {planned} END AS is_planned_return,
        coalesce(p.death_date::DATE - c.discharged_at::DATE
                 BETWEEN 0 AND {settings.readmission_window_days}, false) AS died_within_window
    FROM marked c
    JOIN patients p USING (patient_id)
    LEFT JOIN unseen u USING (episode_id)
    LEFT JOIN return_diagnosis d ON d.stay_id = c.return_id
    LEFT JOIN return_procedures r ON r.episode_id = c.return_id"""


def _within(instant: str, days: int) -> str:
    """SQL: the instant lies 0 to `days` calendar days after the discharge."""
    return f"date_diff('day', discharged_at::DATE, {instant}::DATE) BETWEEN 0 AND {days}"


# CMS Hospital-Wide Readmission, planned readmission algorithm: always planned by procedure or principal
# diagnosis; else planned if a potentially planned procedure meets a principal diagnosis that is not acute.
_CMS_PLANNED = (
    "coalesce(r.always_planned_procedure, false) OR coalesce(d.always_planned_diagnosis, false)"
    " OR (coalesce(r.potentially_planned_procedure, false) AND NOT d.acute_diagnosis)"
)


def _columns(table: str, names: Sequence[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def _undated_labels_sql(complication_by: ComplicationBy) -> str:
    """Labels without dates: what the extract supplies, and complications, which need none."""
    no_window = ", ".join(f"NULL::DOUBLE AS {label}" for label in COST_LABELS)
    return f"""
    WITH complication AS ({complications_sql(complication_by)})
    SELECT c.patient_id, c.episode_id,
        CASE WHEN c.left_at IS NULL THEN o.readmission::INTEGER END AS label_readmission,
        CASE WHEN c.left_at IS NULL THEN o.readmission_or_death::INTEGER END AS label_readmission_or_death,
        {_columns("k", COMPLICATION_LABELS)},
        o.episode_cost::DOUBLE AS label_episode_cost,
        {no_window},
        s.total_cost::DOUBLE AS label_index_charges,
        NULL::DOUBLE AS label_stay_days,
        NULL::DATE AS row_discharged_on,
        NULL::DATE AS row_label_end_on_readmission,
        NULL::DATE AS row_label_end_on_complication,
        NULL::DATE AS row_label_end_on_cost,
        NULL::DATE AS row_label_end_on_charges,
        NULL::DATE AS row_label_end_on_stay_days,
        NULL::VARCHAR AS row_first_event,
        c.died_in_hospital::INTEGER AS row_died_in_hospital,
        nullif(s.hospital_id, 'unknown') AS row_hospital
    FROM discharge_candidates c
    JOIN stays s ON s.stay_id = c.last_stay_id
    LEFT JOIN complication k USING (episode_id)
    LEFT JOIN outcomes o ON o.stay_id = c.last_stay_id"""
