"""The only code that cuts by time.

Every relation below holds, for each index admission, the rows that were known at its prediction time
and nothing else; feature expressions see these relations and cannot see the future. Windows: history is
what happened before `anchor_at`, the admission of the episode's first stay (at the point `preadmission` the
booking); this stay runs from `anchor_at` to `prediction_time`, both included.

`index_rows` (index_id, patient_id, episode_id, stay_id, anchor_at, prediction_time, history_from) comes
from the cohort, `these_stays` (index_id, stay_id) from the episodes: the stays whose links were known then.
Without a timeline there is nothing to cut by: the current stay's own rows are told apart by the point at
which their kind becomes known.
"""

from __future__ import annotations

from features.feature import Relation
from features.points import Point
from features.settings import FeatureSettings
from features.sql import age_years

_DISCHARGE_COLUMNS = (
    "discharged_at",
    "discharge_department",
    "discharge_disposition",
    "planned_return_31d",
    "payment_group",
)
_COST_COLUMNS = ("total_cost", "patient_paid")


def known_diagnoses_sql(settings: FeatureSettings, code_system: str) -> str:
    """Diagnoses with the time from which each was known.

    Without a `known_at` of its own an admitting diagnosis is known at admission, a discharge diagnosis
    `coding_lag_hours` after discharge; while the stay is open, it is not known yet.
    """
    lag = _hours(settings.coding_lag_hours)
    return f"""
    SELECT d.* EXCLUDE (known_at, code_system), s.patient_id,
        coalesce(d.code_system, '{code_system}') AS code_system,
        coalesce(d.known_at, CASE d.kind WHEN 'admitting' THEN s.admitted_at
                                         ELSE s.discharged_at + {lag} END) AS known_at
    FROM diagnoses d JOIN stays s USING (stay_id)"""


def known_procedures_sql(settings: FeatureSettings, code_system: str) -> str:
    """Procedures with the time from which each was known.

    A booked procedure is known when it was booked or else at admission, one that was performed at that
    time, any other at discharge; the last two after the coding lag, and none later than the discharge's.
    """
    lag = _hours(settings.coding_lag_hours)
    return f"""
    SELECT p.* EXCLUDE (known_at, code_system), s.patient_id,
        coalesce(p.code_system, '{code_system}') AS code_system,
        coalesce(p.known_at, CASE WHEN p.is_planned THEN coalesce(s.booked_at, s.admitted_at)
                                  ELSE least(p.performed_at, s.discharged_at) + {lag} END) AS known_at
    FROM procedures p JOIN stays s USING (stay_id)"""


def relations(point: Point, *, has_timeline: bool, settings: FeatureSettings) -> dict[Relation, str]:
    """SQL of the cut relations for a prediction point, by name."""
    is_at_discharge = "true" if point is Point.DISCHARGE else "false"
    if has_timeline:
        knows_discharge = "s.discharged_at <= i.prediction_time"
        knows_cost = f"s.discharged_at + {_hours(settings.cost_lag_hours)} <= i.prediction_time"
        knows_diagnosis = knows_procedure = "d.known_at <= i.prediction_time"
    else:
        knows_discharge = knows_cost = is_at_discharge
        knows_diagnosis = f"(d.kind = 'admitting' OR {is_at_discharge})"
        knows_procedure = f"(d.is_planned OR {is_at_discharge})"
    later_columns = ", ".join(
        f"CASE WHEN {is_known} THEN s.{name} END AS {name}"
        for is_known, names in ((knows_discharge, _DISCHARGE_COLUMNS), (knows_cost, _COST_COLUMNS))
        for name in names
    )
    return {
        "this_stay": _this_stay_sql(later_columns),
        "earlier_stays": _earlier_stays_sql(later_columns),
        "earlier_diagnoses": _EARLIER_DIAGNOSES_SQL,
        "these_diagnoses": _these_sql("known_diagnoses", "diagnosis_flags", knows_diagnosis),
        "these_procedures": _these_sql("known_procedures", "procedure_flags", knows_procedure),
        "earlier_visits": _EARLIER_VISITS_SQL,
        "these_observations": _THESE_OBSERVATIONS_SQL,
    }


def _this_stay_sql(later_columns: str) -> str:
    return f"""
    SELECT i.index_id, i.anchor_at, i.prediction_time, p.sex,
        CASE WHEN i.anchor_at IS NOT NULL AND p.birth_date IS NOT NULL
             THEN {age_years("i.anchor_at", "p.birth_date")} ELSE s.age_years END AS age_years,
        s.stay_id, s.hospital_id, s.booked_at, s.planned_admission_at, s.admitted_at, s.admission_type,
        s.admission_source, s.admission_department, s.payer, {later_columns}
    FROM index_rows i
    JOIN stays s ON s.stay_id = i.stay_id
    JOIN patients p ON p.patient_id = i.patient_id"""


def _earlier_stays_sql(later_columns: str) -> str:
    return f"""
    SELECT i.index_id, i.anchor_at, s.stay_id, s.hospital_id, s.admitted_at, s.admission_type,
        coalesce(s.is_continuation AND s.continuation_known_at <= i.prediction_time, false)
            AS is_continuation, {later_columns}
    FROM index_rows i
    JOIN episode_stays s ON s.patient_id = i.patient_id
        AND s.admitted_at < i.anchor_at AND s.admitted_at <= i.prediction_time"""


def _these_sql(coded: str, flags: str, is_known: str) -> str:
    """Coded rows of the stays of this episode."""
    return f"""
    SELECT i.index_id, i.anchor_at, d.stay_id = i.stay_id AS is_index_stay, d.*,
        f.* EXCLUDE (code, code_system)
    FROM index_rows i
    JOIN these_stays s USING (index_id)
    JOIN {coded} d ON d.stay_id = s.stay_id AND {is_known}
    LEFT JOIN {flags} f USING (code, code_system)"""


# A stay of which no code is known yet has a row too: what it would say is unknown, not no.
_EARLIER_DIAGNOSES_SQL = """
    SELECT i.index_id, i.anchor_at, s.admitted_at, d.known_at IS NOT NULL AS is_coded, d.charlson,
        d.elixhauser
    FROM index_rows i
    JOIN episode_stays s ON s.patient_id = i.patient_id AND s.admitted_at < i.anchor_at
        AND s.admitted_at <= i.prediction_time
    LEFT JOIN (SELECT d.stay_id, d.known_at, bit_or(f.charlson) AS charlson,
                   bit_or(f.elixhauser) AS elixhauser
               FROM known_diagnoses d JOIN diagnosis_flags f USING (code, code_system)
               WHERE d.kind = 'discharge' GROUP BY d.stay_id, d.known_at) d
      ON d.stay_id = s.stay_id AND d.known_at <= i.prediction_time"""

# An emergency visit within the 24 hours before the admission is taken as the one that led to it.
_EARLIER_VISITS_SQL = """
    SELECT i.index_id, i.anchor_at, v.visited_at, v.kind, v.department, v.cost,
        v.visited_at >= i.anchor_at - INTERVAL 24 HOUR AS led_to_admission
    FROM index_rows i
    JOIN visits v ON v.patient_id = i.patient_id
        AND v.visited_at < i.anchor_at AND v.visited_at <= i.prediction_time"""

_THESE_OBSERVATIONS_SQL = """
    SELECT i.index_id, i.anchor_at, o.taken_at, o.code, o.value, o.unit
    FROM index_rows i
    JOIN observations o ON o.patient_id = i.patient_id
        AND o.taken_at >= i.anchor_at AND o.taken_at <= i.prediction_time
        AND coalesce(o.known_at, o.taken_at) <= i.prediction_time"""


def _hours(hours: float) -> str:
    return f"to_seconds({hours * 3600})"
