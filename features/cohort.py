"""Who is an index admission: episodes to rows, with a count for every step.

Each step marks the episodes that leave, in a fixed order; an episode leaves at the first step that
applies. Nothing is dropped without being counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.dataset import Declaration
from features.points import Point
from features.settings import FeatureSettings
from features.sql import age_years


@dataclass(frozen=True)
class Step:
    """One step of the cohort flow: its name, what it means, and SQL that is true for who leaves."""

    name: str
    meaning: str
    leaves: str


def steps(point: Point, settings: FeatureSettings, *, has_timeline: bool) -> tuple[Step, ...]:
    """The steps that lead from episodes to index admissions at a prediction point."""
    adults = (
        Step("newborn", "newborns", "admission_type = 'newborn'"),
        Step(
            "minor",
            f"younger than {settings.minimum_age} at admission",
            f"age_years < {settings.minimum_age}",
        ),
        Step("age_unknown", "age unknown", "age_years IS NULL"),
    )
    if point is Point.PREADMISSION:
        not_booked = "booked_at IS NULL OR booked_at >= admitted_at"
        return (*adults, Step("not_booked", "not booked before the admission", not_booked))
    if point is Point.ADMISSION:
        landmark = Step(
            "left_before_landmark",
            f"discharged or died within {settings.landmark_hours:g} hours of admission",
            # Known by then: a return within the day is no continuation until it is coded.
            f"known_ends_at <= {_landmark(settings)}",
        )
        return (*adults, landmark) if has_timeline else adults
    return (
        *adults,
        Step("still_in_hospital", "not yet discharged", "NOT is_discharged"),
        Step("died_in_hospital", "died in hospital", "died_in_hospital"),
        Step("against_advice", "left against medical advice", "discharge_disposition = 'against_advice'"),
        Step(
            "transferred_out",
            "transferred to an acute hospital outside the extract",
            "discharge_disposition = 'acute_transfer'",
        ),
        Step("delivery", "admitted for delivery", "exclusion = 'delivery'"),
        Step("rehabilitation", "admitted for rehabilitation", "exclusion = 'rehabilitation'"),
        Step("psychiatric", "admitted for psychiatric care", "exclusion = 'psychiatric'"),
        Step(
            "cancer_treatment",
            "admitted for medical treatment of cancer (without surgery)",
            "exclusion = 'cancer_treatment' AND NOT has_surgery",  # unknown surgery: stays in
        ),
    )


def _landmark(settings: FeatureSettings) -> str:
    return f"admitted_at + to_seconds({settings.landmark_hours * 3600})"


def judged_episodes_sql(declaration: Declaration, settings: FeatureSettings, *, has_procedures: bool) -> str:
    """SQL of all episodes with what the cohort needs to know of each.

    `died_in_hospital` and `vital_status_unknown` at the discharge; `known_ends_at`, when the episode ended as
    far as its links were known at the landmark; `has_surgery`, null without a table of procedures.
    """
    has_surgery = "coalesce(r.has_surgery, false)" if has_procedures else "NULL::BOOLEAN"
    only_in_hospital = "true" if declaration.deaths == "in_hospital" else "false"
    landmark = f"s.episode_admitted_at + to_seconds({settings.landmark_hours * 3600})"
    return f"""
WITH coded AS (
    SELECT stay_id, max(principal_exclusion) AS exclusion FROM coded_stays GROUP BY stay_id
), operated AS (
    SELECT s.episode_id, bool_or(f.is_surgery) AS has_surgery
    FROM episode_stays s JOIN known_procedures p USING (stay_id)
    JOIN procedure_flags f USING (code, code_system) GROUP BY s.episode_id
), ended AS (
    SELECT s.episode_id,
        max(s.ends_at) FILTER (coalesce(s.joined_known_at <= {landmark}, true)) AS known_ends_at
    FROM episode_stays s GROUP BY s.episode_id
)
SELECT e.*, first.booked_at, d.known_ends_at,
    coalesce(o.died_in_hospital, false)
        OR {died_in_hospital("e.discharge_disposition", "e.discharged_at", "p.death_date")}
        AS died_in_hospital,
    {only_in_hospital} AND o.died_in_hospital IS NULL AND e.discharge_disposition IS NULL
        AND p.death_date IS NULL AS vital_status_unknown,
    CASE WHEN e.admitted_at IS NOT NULL AND p.birth_date IS NOT NULL
         THEN {age_years("e.admitted_at", "p.birth_date")} ELSE first.age_years END AS age_years,
    c.exclusion, {has_surgery} AS has_surgery
FROM episodes e
JOIN ended d USING (episode_id)
JOIN stays first ON first.stay_id = e.episode_id
JOIN patients p ON p.patient_id = e.patient_id
LEFT JOIN outcomes o ON o.stay_id = e.last_stay_id
LEFT JOIN coded c ON c.stay_id = e.last_stay_id
LEFT JOIN operated r USING (episode_id)
"""


def died_in_hospital(disposition: str, discharged_at: str, death_date: str) -> str:
    """SQL: the patient did not leave alive, by any source that knows; never null.

    A death on the day of the discharge may also be one at home: it counts where nothing says how it ended.
    """
    day = f"{discharged_at}::DATE"
    return (
        f"(coalesce({disposition} = 'died', false) OR coalesce({death_date} < {day}, false)"
        f" OR coalesce({disposition} IS NULL AND {death_date} = {day}, false))"
    )


def candidates_sql(point: Point, settings: FeatureSettings, *, has_timeline: bool) -> str:
    """SQL of all `judged_episodes` with the step at which each leaves (`left_at`; null = index admission)."""
    cases = " ".join(
        f"WHEN coalesce({step.leaves}, false) THEN '{step.name}'"
        for step in steps(point, settings, has_timeline=has_timeline)
    )
    return f"SELECT *, CASE {cases} END AS left_at FROM judged_episodes"


def index_rows_sql(
    point: Point, settings: FeatureSettings, *, has_timeline: bool, with_booked: bool = False
) -> str:
    """SQL of the index rows: which stay is scored, from when on, as of when.

    `with_booked` adds, before an admission, the stays that are booked and have not come yet: they are scored,
    and there is nothing to learn from them.
    """
    stay = "last_stay_id" if point is Point.DISCHARGE else "episode_id"
    if not has_timeline:
        time = anchor = "NULL::TIMESTAMP"
    else:
        anchor = "booked_at" if point is Point.PREADMISSION else "admitted_at"
        time = {
            Point.PREADMISSION: "booked_at",
            Point.ADMISSION: _landmark(settings),
            Point.DISCHARGE: "discharged_at",
        }[point]
    rows = f"""
    SELECT patient_id, episode_id, {stay} AS stay_id, {anchor} AS anchor_at, {time} AS prediction_time
    FROM candidates WHERE left_at IS NULL"""
    if with_booked and point is Point.PREADMISSION:
        rows += f" UNION ALL ({_booked_rows_sql(settings)})"
    return f"SELECT row_number() OVER () AS index_id, * FROM ({rows})"


def _booked_rows_sql(settings: FeatureSettings) -> str:
    """The same of the booked stays that have not come yet, by the point's steps; age on the planned day."""
    leaves = " OR ".join(
        f"coalesce({step.leaves}, false)" for step in steps(Point.PREADMISSION, settings, has_timeline=True)
    )
    return f"""
    SELECT patient_id, stay_id AS episode_id, stay_id, booked_at AS anchor_at, booked_at AS prediction_time
    FROM (SELECT s.* EXCLUDE (age_years), coalesce({
        age_years("coalesce(s.planned_admission_at, s.booked_at)", "p.birth_date")
    }, s.age_years) AS age_years
          FROM stays s JOIN patients p USING (patient_id) WHERE s.status = 'booked')
    WHERE NOT ({leaves})"""
