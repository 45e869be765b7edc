"""Stays to episodes: stays merged because the patient went straight on.

Whether a stay continues an earlier one depends only on stays admitted before it, so later records
never change how earlier ones are merged.
"""

from __future__ import annotations

# `continuation_known_at` is when it was known that the stay continues the one before it, `joined_known_at`
# when it was known that it belongs to the episode's first. The discharge that counts is the latest among the
# earlier stays: a short stay may lie within a longer one. The windows sort only what they need.
EPISODE_STAYS_SQL = """
WITH principal AS (
    SELECT stay_id, min(principal_code3) AS principal_code3, min(known_at) AS principal_known_at
    FROM coded_stays WHERE principal_code3 IS NOT NULL GROUP BY stay_id
), present AS (
    SELECT s.stay_id, s.patient_id, s.hospital_id, s.admitted_at,
           coalesce(s.discharged_at, TIMESTAMP 'infinity') AS ends_at, p.principal_code3, p.principal_known_at
    FROM stays s LEFT JOIN principal p USING (stay_id)
    WHERE s.status IN ('in', 'discharged')
), looked_back AS (
    SELECT *,
           -- An unknown value of the latest stay stays unknown: no earlier stay's takes its place.
           arg_max({ends_at: ends_at, hospital_id: hospital_id, code3: principal_code3,
                    known_at: principal_known_at}, (ends_at, admitted_at, stay_id)) OVER earlier AS last
    FROM present
    WINDOW earlier AS (PARTITION BY patient_id ORDER BY admitted_at, ends_at, stay_id
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), judged AS (
    SELECT *,
        coalesce(admitted_at < last.ends_at, false) AS is_overlap,
        coalesce(hospital_id <> last.hospital_id
                 AND date_diff('day', last.ends_at::DATE, admitted_at::DATE) BETWEEN 0 AND 1, false)
            AS is_transfer,
        coalesce(hospital_id = last.hospital_id AND principal_code3 = last.code3
                 AND admitted_at <= last.ends_at + INTERVAL 24 HOUR, false) AS is_split,
        -- Whether it is a split stay only codes can tell, and they are not there.
        coalesce(hospital_id = last.hospital_id AND admitted_at <= last.ends_at + INTERVAL 24 HOUR
                 AND (principal_code3 IS NULL OR last.code3 IS NULL), false) AS may_be_split
    FROM looked_back
), linked AS (
    SELECT stay_id, patient_id, admitted_at, ends_at,
        is_overlap OR is_transfer OR is_split AS is_continuation, may_be_split,
        CASE WHEN is_overlap OR is_transfer THEN admitted_at
             WHEN is_split THEN greatest(coalesce(principal_known_at, TIMESTAMP 'infinity'),
                                         coalesce(last.known_at, TIMESTAMP 'infinity'))
        END AS continuation_known_at
    FROM judged
), numbered AS (
    SELECT *, count(*) FILTER (NOT is_continuation) OVER (
        PARTITION BY patient_id ORDER BY admitted_at, ends_at, stay_id) AS episode_number
    FROM linked
), placed AS (
    SELECT stay_id, ends_at, is_continuation, may_be_split, continuation_known_at,
        first_value(stay_id) OVER episode AS episode_id,
        first_value(admitted_at) OVER episode AS episode_admitted_at,
        max(continuation_known_at) OVER episode AS joined_known_at
    FROM numbered
    WINDOW episode AS (PARTITION BY patient_id, episode_number ORDER BY admitted_at, ends_at, stay_id)
)
SELECT s.*, p.* EXCLUDE (stay_id) FROM placed p JOIN stays s USING (stay_id)
"""

# Without a timeline no stay can be told to follow another: each is its own episode.
UNDATED_EPISODE_STAYS_SQL = """
SELECT s.*, TIMESTAMP 'infinity' AS ends_at, false AS is_continuation, false AS may_be_split,
    NULL::TIMESTAMP AS continuation_known_at, stay_id AS episode_id, admitted_at AS episode_admitted_at,
    NULL::TIMESTAMP AS joined_known_at
FROM stays s WHERE s.status IN ('in', 'discharged')
"""

# One row per episode. An episode with a stay that has not ended has no discharge yet.
EPISODES_SQL = """
WITH gathered AS (
    SELECT episode_id, any_value(patient_id) AS patient_id, any_value(episode_admitted_at) AS admitted_at,
        CASE WHEN isfinite(max(ends_at)) THEN max(ends_at) END AS discharged_at,
        arg_max({last_stay_id: stay_id, discharge_disposition: discharge_disposition,
                 planned_return_31d: planned_return_31d}, (ends_at, admitted_at, stay_id)) AS last,
        any_value(admission_type) FILTER (stay_id = episode_id) AS admission_type,
        any_value(may_be_split) FILTER (stay_id = episode_id) AS may_continue_earlier,
        bool_and(status = 'discharged') AS is_discharged,
        CASE WHEN count(total_cost) = count(*) THEN sum(total_cost) END AS total_cost,
        count(*) AS n_stays
    FROM episode_stays GROUP BY episode_id
)
SELECT * EXCLUDE (last), last.* FROM gathered
"""

# The stays of the index admission's episode as far as its links were known at the prediction time: what is
# linked later, by codes that come later, is another stay until then.
THESE_STAYS_SQL = """
WITH numbered AS (
    SELECT i.index_id, s.stay_id, s.admitted_at, s.stay_id = i.stay_id AS is_scored,
        count(*) FILTER (NOT (s.is_continuation AND s.continuation_known_at <= i.prediction_time)) OVER (
            PARTITION BY i.index_id ORDER BY s.admitted_at, s.ends_at, s.stay_id) AS known_episode
    FROM index_rows i JOIN episode_stays s USING (episode_id)
    WHERE i.prediction_time IS NULL OR s.admitted_at <= i.prediction_time
)
SELECT n.index_id, n.stay_id, n.admitted_at
FROM numbered n JOIN numbered scored USING (index_id, known_episode)
WHERE scored.is_scored
"""
