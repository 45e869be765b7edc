"""Whether an admission that is asked about belongs to those that the models learned from.

The cohort's own steps decide, on what was known at the prediction time.
"""

from __future__ import annotations

from features.clock import relations
from features.cohort import died_in_hospital, steps
from features.points import Point
from features.settings import FeatureSettings
from features.sql import age_years

OUTSIDE = "outside the models' population: "
"""How each of these warnings begins."""

CONTINUES = (
    f"{OUTSIDE}continues an earlier stay; its history is that before the episode's "
    "first admission, at which such a patient is predicted"
)


def scope_warnings(
    left_at: str | None, continues: bool, point: Point, settings: FeatureSettings, *, has_timeline: bool
) -> list[str]:
    """Why the models' population does not hold an admission, from its row of `scope_sql`; no values.

    At the discharge the last stay of an episode is the one that is predicted; before it, the first.
    """
    found = [
        f"{OUTSIDE}{step.meaning}"
        for step in steps(point, settings, has_timeline=has_timeline)
        if step.name == left_at
    ]
    return found + ([CONTINUES] if continues and point is not Point.DISCHARGE else [])


def scope_sql(point: Point, settings: FeatureSettings, *, has_timeline: bool) -> str:
    """SQL over `index_rows`: index_id, the step at which the cohort leaves the admission out (`left_at`; null
    where it does not), and whether it `continues` an earlier stay.
    """
    cut = relations(point, has_timeline=has_timeline, settings=settings)
    cases = " ".join(
        f"WHEN coalesce({step.leaves}, false) THEN '{step.name}'"
        for step in steps(point, settings, has_timeline=has_timeline)
    )
    # What is coded counts for those who were discharged alone.
    exclusion, has_surgery = "NULL::VARCHAR", "NULL::BOOLEAN"
    if point is Point.DISCHARGE:
        exclusion = (
            f"(SELECT max(d.exclusion) FROM ({cut['these_diagnoses']}) d WHERE d.index_id = i.index_id "
            "AND d.is_index_stay AND d.kind = 'discharge' AND d.position = 1)"
        )
        has_surgery = (
            f"CASE WHEN i.has_procedures THEN EXISTS (FROM ({cut['these_procedures']}) d "
            "WHERE d.index_id = i.index_id AND d.is_surgery) END"
        )
    # Before the admission its day is only planned.
    admission = "coalesce(s.admitted_at, s.planned_admission_at)"
    age = f"coalesce({age_years(admission, 'p.birth_date')}, t.age_years)"
    return f"""
WITH this_stay AS ({cut["this_stay"]}), episode AS (
    SELECT t.index_id, max(coalesce(s.discharged_at, TIMESTAMP 'infinity')) AS known_ends_at,
        min(s.admitted_at) AS first_admitted_at
    FROM these_stays t JOIN stays s USING (stay_id) GROUP BY t.index_id
), judged AS (
    SELECT i.index_id, {age} AS age_years, t.admission_type, t.booked_at, s.admitted_at,
        t.discharge_disposition, e.known_ends_at, s.status = 'discharged' AS is_discharged,
        {died_in_hospital("t.discharge_disposition", "t.discharged_at", "p.death_date")} AS died_in_hospital,
        {exclusion} AS exclusion, {has_surgery} AS has_surgery,
        coalesce(e.first_admitted_at < s.admitted_at, false) AS continues
    FROM index_rows i
    JOIN this_stay t USING (index_id)
    JOIN stays s ON s.stay_id = i.stay_id
    JOIN patients p ON p.patient_id = i.patient_id
    LEFT JOIN episode e ON e.index_id = i.index_id
)
SELECT index_id, CASE {cases} END AS left_at, continues FROM judged"""
