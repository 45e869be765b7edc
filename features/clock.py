"""The only code that cuts by time.

Every relation below holds, for each index admission, the rows that were known at its prediction time
and nothing else; feature expressions see these relations and cannot see the future. Windows: history is
what happened before `anchor_at`, the admission of the episode's first stay (at the point `preadmission` the
booking); this stay runs from `anchor_at` to `prediction_time`, both included.

`index_rows` (index_id, patient_id, episode_id, stay_id, anchor_at, prediction_time, history_from) comes
from the cohort, `these_stays` (index_id, stay_id) from the episodes: the stays whose links were known then.
Without a timeline there is nothing to cut by: the current stay's own rows are told apart by the point at
which their kind becomes known (`knows_discharge`).
"""

from __future__ import annotations

from features.feature import Relation
from features.points import Point
from features.settings import FeatureSettings

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
    known = _Known(point, has_timeline, settings)
    return {
        "this_stay": known.this_stay(),
        "earlier_stays": known.earlier_stays(),
        "earlier_diagnoses": known.earlier_diagnoses(),
        "these_diagnoses": known.these("known_diagnoses"),
        "these_procedures": known.these("known_procedures"),
        "earlier_visits": known.earlier_visits(),
        "these_observations": known.these_observations(),
    }


class _Known:
    """What is known at a prediction point."""

    def __init__(self, point: Point, has_timeline: bool, settings: FeatureSettings) -> None:
        self.knows_discharge = "true" if point is Point.DISCHARGE else "false"
        self.has_timeline = has_timeline
        self.settings = settings

    def _stay_columns(self) -> str:
        """Replacements that hide what was not yet known of a stay `s` at `i.prediction_time`."""
        if self.has_timeline:
            discharge = "s.discharged_at <= i.prediction_time"
            cost = f"s.discharged_at + {_hours(self.settings.cost_lag_hours)} <= i.prediction_time"
        else:
            discharge = cost = self.knows_discharge
        hidden = [f"CASE WHEN {discharge} THEN s.{name} END AS {name}" for name in _DISCHARGE_COLUMNS]
        hidden += [f"CASE WHEN {cost} THEN s.{name} END AS {name}" for name in _COST_COLUMNS]
        return ", ".join(hidden)

    def this_stay(self) -> str:
        return f"""
        SELECT i.index_id, i.anchor_at, i.prediction_time, p.sex,
            CASE WHEN i.anchor_at IS NOT NULL AND p.birth_date IS NOT NULL
                 THEN date_part('year', age(i.anchor_at::DATE, p.birth_date))::INTEGER
                 ELSE s.age_years END AS age_years,
            s.stay_id, s.hospital_id, s.booked_at, s.planned_admission_at, s.admitted_at, s.admission_type,
            s.admission_source, s.admission_department, s.payer, {self._stay_columns()}
        FROM index_rows i
        JOIN stays s ON s.stay_id = i.stay_id
        JOIN patients p ON p.patient_id = i.patient_id"""

    def earlier_stays(self) -> str:
        return f"""
        SELECT i.index_id, i.anchor_at, s.stay_id, s.hospital_id, s.admitted_at, s.admission_type,
            coalesce(s.is_continuation AND s.continuation_known_at <= i.prediction_time, false)
                AS is_continuation, {self._stay_columns()}
        FROM index_rows i
        JOIN episode_stays s ON s.patient_id = i.patient_id
            AND s.admitted_at < i.anchor_at AND s.admitted_at <= i.prediction_time"""

    def earlier_diagnoses(self) -> str:
        # A stay of which no code is known yet has a row too: what it would say is unknown, not no.
        return """
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

    def these(self, table: str) -> str:
        """Coded rows of the stays of this episode."""
        flags = "diagnosis_flags" if table == "known_diagnoses" else "procedure_flags"
        if self.has_timeline:
            known = "d.known_at <= i.prediction_time"
        elif table == "known_diagnoses":
            known = f"(d.kind = 'admitting' OR {self.knows_discharge})"
        else:
            known = f"(d.is_planned OR {self.knows_discharge})"
        return f"""
        SELECT i.index_id, i.anchor_at, d.stay_id = i.stay_id AS is_index_stay, d.*,
            f.* EXCLUDE (code, code_system)
        FROM index_rows i
        JOIN these_stays s USING (index_id)
        JOIN {table} d ON d.stay_id = s.stay_id AND {known}
        LEFT JOIN {flags} f USING (code, code_system)"""

    def earlier_visits(self) -> str:
        # An emergency visit within the 24 hours before the admission is taken as the one that led to it.
        return """
        SELECT i.index_id, i.anchor_at, v.visited_at, v.kind, v.department, v.cost,
            v.visited_at >= i.anchor_at - INTERVAL 24 HOUR AS led_to_admission
        FROM index_rows i
        JOIN visits v ON v.patient_id = i.patient_id
            AND v.visited_at < i.anchor_at AND v.visited_at <= i.prediction_time"""

    def these_observations(self) -> str:
        return """
        SELECT i.index_id, i.anchor_at, o.taken_at, o.code, o.value, o.unit
        FROM index_rows i
        JOIN observations o ON o.patient_id = i.patient_id
            AND o.taken_at >= i.anchor_at AND o.taken_at <= i.prediction_time
            AND coalesce(o.known_at, o.taken_at) <= i.prediction_time"""


def _hours(hours: float) -> str:
    return f"to_seconds({hours * 3600})"
