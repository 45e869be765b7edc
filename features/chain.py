"""From the canonical tables to the index rows: what every prediction point needs, each made of those before.

Names to SQL, so that a batch can keep each as a table and a request can put all into one statement.
"""

from __future__ import annotations

from features.clock import coded_stays_sql, known_diagnoses_sql, known_procedures_sql
from features.dataset import CodeSystems
from features.episodes import (
    EPISODE_STAYS_SQL,
    EPISODES_SQL,
    THESE_STAYS_SQL,
    UNDATED_EPISODE_STAYS_SQL,
)
from features.settings import FeatureSettings


def codes_and_episodes(
    systems: CodeSystems, settings: FeatureSettings, *, has_timeline: bool
) -> dict[str, str]:
    """SQL over the canonical tables and the flags of their codes: codes with what they say, and episodes."""
    return {
        "known_diagnoses": known_diagnoses_sql(settings, systems.diagnosis or ""),
        "known_procedures": known_procedures_sql(settings, systems.procedure or ""),
        "coded_stays": coded_stays_sql(settings, systems.diagnosis or ""),
        "episode_stays": EPISODE_STAYS_SQL if has_timeline else UNDATED_EPISODE_STAYS_SQL,
        "episodes": EPISODES_SQL,
    }


def index_rows(asked: str) -> dict[str, str]:
    """SQL of `index_rows` from SQL with their columns, and of `these_stays`: the episode as known by then.

    `anchor_at` moves to the first of these stays; where there is none, as before an admission, it stays.
    """
    return {
        "asked_rows": asked,
        "these_stays": f"WITH index_rows AS (SELECT * FROM asked_rows) SELECT * FROM ({THESE_STAYS_SQL})",
        "index_rows": """
    SELECT a.* REPLACE (CASE WHEN a.anchor_at IS NOT NULL THEN coalesce(t.anchor_at, a.anchor_at) END
        AS anchor_at)
    FROM asked_rows a
    LEFT JOIN (SELECT index_id, min(admitted_at) AS anchor_at FROM these_stays GROUP BY index_id) t
        USING (index_id)""",
    }
