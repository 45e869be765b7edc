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

from features.codes.measures import LOOKBACK_DAYS
from features.feature import Relation
from features.points import Point
from features.settings import FeatureSettings
from features.sql import DAY_US, age_years

_DISCHARGE_COLUMNS = (
    "discharged_at",
    "discharge_department",
    "discharge_disposition",
    "planned_return_31d",
    "payment_group",
)
_AMOUNT_COLUMNS = ("total_cost", "patient_paid")


def known_diagnoses_sql(settings: FeatureSettings, code_system: str) -> str:
    """Diagnoses with the time from which each was known.

    Without a `known_at` of its own an admitting diagnosis is known from the booking, or else at admission, a
    discharge diagnosis `coding_lag_hours` after discharge; while the stay is open, it is not known yet.
    """
    lag = _hours(settings.coding_lag_hours)
    return f"""
    SELECT d.* EXCLUDE (known_at, code_system), s.patient_id,
        coalesce(d.code_system, '{code_system}') AS code_system,
        coalesce(d.known_at, CASE d.kind WHEN 'admitting' THEN least(s.booked_at, s.admitted_at)
                                         ELSE s.discharged_at + {lag} END) AS known_at
    FROM diagnoses d JOIN stays s USING (stay_id)"""


def coded_stays_sql(settings: FeatureSettings, code_system: str) -> str:
    """What the discharge codes of a stay say together, by the moment from which they were known.

    Rows that name no moment are gathered before their stay tells it: there are many more codes than stays.
    """
    return f"""
    SELECT g.* EXCLUDE (known_at),
        coalesce(g.known_at, s.discharged_at + {_hours(settings.coding_lag_hours)}) AS known_at
    FROM (
        SELECT d.stay_id, d.known_at, bit_or(f.charlson) AS charlson, bit_or(f.elixhauser) AS elixhauser,
            CASE WHEN count(f.frailty_low) = count(*) THEN bit_or(f.frailty_low) END AS frailty_low,
            CASE WHEN count(f.frailty_low) = count(*) THEN bit_or(f.frailty_high) END AS frailty_high,
            min(left(d.code, 3)) FILTER (d.position = 1) AS principal_code3,
            max(f.exclusion) FILTER (d.position = 1) AS principal_exclusion,
            bool_or(f.is_always_planned) FILTER (d.position = 1) AS principal_is_always_planned,
            -- Of a diagnosis without a category it is not known whether it is acute.
            bool_or(CASE WHEN f.ccs_title IS NOT NULL THEN f.is_acute END) FILTER (d.position = 1)
                AS principal_is_acute,
            count(d.present_on_admission) AS n_flags
        FROM diagnoses d LEFT JOIN diagnosis_flags f
            ON f.code = d.code AND f.code_system = coalesce(d.code_system, '{code_system}')
        WHERE d.kind = 'discharge' GROUP BY d.stay_id, d.known_at
    ) g JOIN stays s USING (stay_id)"""


def known_procedures_sql(settings: FeatureSettings, code_system: str) -> str:
    """Procedures with the time from which each was known.

    A planned procedure of a booked or elective stay is known from the booking, or else at admission. In any
    other stay nobody says when it was planned, so that it is known like all others: one that was performed at
    that time, any other at discharge, both after the coding lag, and none later than the discharge's.
    """
    lag = _hours(settings.coding_lag_hours)
    return f"""
    SELECT p.* EXCLUDE (known_at, code_system), s.patient_id,
        coalesce(p.code_system, '{code_system}') AS code_system,
        coalesce(p.known_at,
            CASE WHEN p.is_planned AND (s.booked_at IS NOT NULL OR s.admission_type = 'elective')
                 THEN coalesce(s.booked_at, s.admitted_at)
                 ELSE least(p.performed_at, s.discharged_at) + {lag} END) AS known_at
    FROM procedures p JOIN stays s USING (stay_id)"""


def relations(point: Point, *, has_timeline: bool, settings: FeatureSettings) -> dict[Relation, str]:
    """SQL of the cut relations for a prediction point, by name."""
    is_at_discharge = "true" if point is Point.DISCHARGE else "false"
    is_admitted = "false" if point is Point.PREADMISSION else "true"
    if has_timeline:
        knows_discharge = "s.discharged_at <= i.prediction_time"
        knows_cost = f"s.discharged_at + {_hours(settings.cost_lag_hours)} <= i.prediction_time"
        knows_diagnosis = knows_procedure = "d.known_at <= i.prediction_time"
        knows_charge = (
            "c.incurred_on <= i.prediction_time::DATE "
            f"AND coalesce(c.known_at, {_END_OF_DAY}) <= i.prediction_time"
        )
        is_admitted = "s.admitted_at <= i.prediction_time"
        is_performed, is_whole = "d.performed_at <= i.prediction_time", "true"
    else:
        knows_discharge = knows_cost = knows_charge = is_performed = is_whole = is_at_discharge
        knows_diagnosis = f"(d.kind = 'admitting' OR {is_at_discharge})"
        knows_procedure = f"(d.is_planned OR {is_at_discharge})"
    later_columns = ", ".join(
        f"CASE WHEN {is_known} THEN s.{name} END AS {name}"
        for is_known, names in ((knows_discharge, _DISCHARGE_COLUMNS), (knows_cost, _AMOUNT_COLUMNS))
        for name in names
    )
    # Before the admission the episode has no stay yet: what is known is known of the booked one.
    stays = "(SELECT index_id, stay_id FROM index_rows)" if point is Point.PREADMISSION else "these_stays"
    return {
        "this_stay": _this_stay_sql(later_columns, is_admitted, is_last=point is Point.DISCHARGE),
        "earlier_stays": _earlier_stays_sql(later_columns),
        "earlier_diagnoses": _EARLIER_DIAGNOSES_SQL,
        "these_diagnoses": _these_sql(stays, "known_diagnoses", "d.*", "diagnosis_flags", knows_diagnosis),
        "these_procedures": _these_sql(
            stays,
            "known_procedures",
            _procedure_columns(is_performed, is_whole),
            "procedure_flags",
            knows_procedure,
        ),
        "earlier_visits": _earlier_visits_sql(settings),
        "these_charges": _these_charges_sql(stays, knows_charge),
        "measured_values": _MEASURED_VALUES_SQL,
        "medication_courses": _MEDICATION_COURSES_SQL,
    }


def _this_stay_sql(later_columns: str, is_admitted: str, *, is_last: bool) -> str:
    """The stay that is scored; `came_as` is the admission type of the episode's first.

    `is_last`: at the discharge it is the episode's last stay; before, the first itself.
    """
    came_as, first = "s.admission_type", ""
    if is_last:
        came_as = "f.came_as"
        first = """JOIN (SELECT t.index_id, arg_min(s.admission_type, (s.admitted_at, s.stay_id)) AS came_as
        FROM these_stays t JOIN stays s USING (stay_id) GROUP BY t.index_id) f ON f.index_id = i.index_id"""
    # Of a booked patient the age that counts is that of the day of admission, as planned.
    came = f"CASE WHEN {is_admitted} THEN i.anchor_at ELSE coalesce(s.planned_admission_at, i.anchor_at) END"
    return f"""
    SELECT i.index_id, i.anchor_at, i.prediction_time, p.sex,
        CASE WHEN i.anchor_at IS NOT NULL AND p.birth_date IS NOT NULL
             THEN {age_years(f"({came})", "p.birth_date")} ELSE s.age_years END AS age_years,
        s.stay_id, s.hospital_id, s.booked_at, s.planned_admission_at,
        CASE WHEN {is_admitted} THEN s.admitted_at END AS admitted_at, s.admission_type,
        {came_as} AS came_as, s.admission_source, s.admission_department, s.payer, {later_columns}
    FROM index_rows i
    JOIN stays s ON s.stay_id = i.stay_id
    JOIN patients p ON p.patient_id = i.patient_id
    {first}"""


def _earlier_stays_sql(later_columns: str) -> str:
    return f"""
    SELECT i.index_id, i.anchor_at, s.stay_id, s.hospital_id, s.admitted_at, s.admission_type,
        coalesce(s.is_continuation AND s.continuation_known_at <= i.prediction_time, false)
            AS is_continuation, {later_columns}
    FROM index_rows i
    JOIN episode_stays s ON s.patient_id = i.patient_id
        AND s.admitted_at < i.anchor_at AND s.admitted_at <= i.prediction_time"""


def _these_sql(stays: str, coded: str, columns: str, flags: str, is_known: str) -> str:
    """Coded rows of the stays of this episode."""
    return f"""
    SELECT i.index_id, i.anchor_at, i.prediction_time, d.stay_id = i.stay_id AS is_index_stay, {columns},
        f.* EXCLUDE (code, code_system)
    FROM index_rows i
    JOIN {stays} s USING (index_id)
    JOIN {coded} d ON d.stay_id = s.stay_id AND {is_known}
    LEFT JOIN {flags} f USING (code, code_system)"""


def _procedure_columns(is_performed: str, is_whole: str) -> str:
    """A booked procedure is known before it is performed; when it will be is not.

    `is_whole`: all that was performed by now is here, not the booked ones alone.
    """
    return f"""d.* REPLACE (CASE WHEN {is_performed} THEN d.performed_at END AS performed_at),
        {is_whole} AS is_whole"""


_END_OF_DAY = "c.incurred_on + INTERVAL '23:59:59.999999'"


def _these_charges_sql(stays: str, is_known: str) -> str:
    """Charges of the stays of this episode; one without a `known_at` is known at the end of its day."""
    return f"""
    SELECT i.index_id, i.anchor_at, i.prediction_time, c.category, c.amount
    FROM index_rows i
    JOIN {stays} s USING (index_id)
    JOIN charges c ON c.stay_id = s.stay_id AND {is_known}"""


# A stay of which no code is known yet has a row too: what it would say is unknown, not no.
_EARLIER_DIAGNOSES_SQL = """
    SELECT i.index_id, i.anchor_at, s.admitted_at, d.known_at IS NOT NULL AS is_coded, d.charlson,
        d.elixhauser, d.frailty_low, d.frailty_high
    FROM index_rows i
    JOIN episode_stays s ON s.patient_id = i.patient_id AND s.admitted_at < i.anchor_at
        AND s.admitted_at <= i.prediction_time
    LEFT JOIN coded_stays d
      ON d.stay_id = s.stay_id AND d.known_at <= i.prediction_time"""


def _earlier_visits_sql(settings: FeatureSettings) -> str:
    """Visits before; their costs as far as the lag lets them be known.

    An emergency visit within the 24 hours before the admission is taken as the one that led to it.
    """
    knows_cost = f"v.visited_at + {_hours(settings.cost_lag_hours)} <= i.prediction_time"
    return f"""
    SELECT i.index_id, i.anchor_at, v.visited_at, v.kind, v.department,
        CASE WHEN {knows_cost} THEN v.cost END AS cost,
        v.visited_at >= i.anchor_at - INTERVAL 24 HOUR AS led_to_admission
    FROM index_rows i
    JOIN visits v ON v.patient_id = i.patient_id
        AND v.visited_at < i.anchor_at AND v.visited_at <= i.prediction_time"""


READING_VALUE = 1 << 30
"""`reading` is seconds * READING_VALUE + value * READING_SCALE: the largest reading is the last value, ties
by the value itself, so that the choice does not depend on the order of rows."""
READING_SCALE = 10_000
_READING_SECONDS = 1 << 33

# Values of known measures in their canonical unit; of a measure that looks back, those of the year before
# too. What features cannot use is left out before the admissions are joined; times are whole microseconds,
# which the engine compares many times faster than it moves dates by intervals.
_MEASURED_VALUES_SQL = f"""
    SELECT i.index_id, i.anchor_at, o.measure, o.taken_us >= i.anchor_us AS is_of_stay,
        o.taken_us BETWEEN i.anchor_us AND i.anchor_us + {DAY_US} AS is_first_day,
        o.taken_on <= i.anchor_on AS is_baseline,
        greatest(least((o.taken_us - i.anchor_us) // 1000000 + {LOOKBACK_DAYS + 1} * 86400,
                       {_READING_SECONDS - 1}), 0) * {READING_VALUE} + o.scaled AS reading
    FROM (SELECT index_id, patient_id, anchor_at, prediction_time, epoch_us(anchor_at) AS anchor_us,
              anchor_at::DATE AS anchor_on FROM index_rows) i
    JOIN (SELECT o.patient_id, epoch_us(o.taken_at) AS taken_us, o.taken_at::DATE AS taken_on,
              epoch_us(o.taken_at) + m.lookback_days * {DAY_US} AS counts_until_us,
              coalesce(greatest(o.known_at, o.taken_at), o.taken_at) AS known_at, m.measure,
              round((o.value * m.factor + m.shift) * {READING_SCALE})::BIGINT AS scaled
          FROM observations o JOIN measure_flags m USING (code, unit)
          WHERE o.value * m.factor + m.shift BETWEEN m.minimum AND m.maximum) o
      ON o.patient_id = i.patient_id AND o.known_at <= i.prediction_time
        AND o.counts_until_us >= i.anchor_us"""

# One row per admission and substance that was begun in the year before or in this stay.
_MEDICATION_COURSES_SQL = f"""
    SELECT i.index_id, f.substance,
        bool_or(m.started_at < i.anchor_at AND coalesce(m.ended_at >= i.anchor_at, true)) AS is_brought,
        bool_or(m.started_at >= i.anchor_at) AS is_started,
        bool_or(coalesce(m.ended_at >= i.prediction_time, true)) AS is_active,
        any_value(f.groups) AS groups, any_value(f.unclear_groups) AS unclear_groups,
        any_value(f.mechanisms) AS mechanisms, any_value(f.unclear_mechanisms) AS unclear_mechanisms
    FROM index_rows i
    JOIN medications m ON m.patient_id = i.patient_id AND m.started_at <= i.prediction_time
        AND coalesce(m.known_at <= i.prediction_time, true)
        AND m.started_at >= i.anchor_at - to_days({LOOKBACK_DAYS})
    JOIN medication_flags f USING (code)
    GROUP BY i.index_id, f.substance"""


def _hours(hours: float) -> str:
    return f"to_seconds({hours * 3600})"
