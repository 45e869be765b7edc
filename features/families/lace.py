"""The LACE index at discharge.

Source: van Walraven et al., CMAJ 2010;182(6):551-557. The comorbidity weights are LACE's own.
"""

from __future__ import annotations

from features.families.admission import CAME_AS
from features.feature import Feature
from features.points import Point

# (from this many days, points): the first row that fits counts.
STAY_POINTS = ((14, 7), (7, 5), (4, 4), (3, 3), (2, 2), (1, 1), (0, 0))
ACUTE_ADMISSION_POINTS = 3
# (from this sum of weights, points) and (from this many visits, points); below, the number itself counts.
COMORBIDITY_CAP = (4, 5)
EMERGENCY_VISIT_CAP = (4, 4)


def _steps(column: str, steps: tuple[tuple[int, int], ...]) -> str:
    cases = " ".join(f"WHEN {column} >= {floor} THEN {points}" for floor, points in steps)
    return f"CASE {cases} END"


def _capped(column: str, cap: tuple[int, int]) -> str:
    floor, points = cap
    return f"CASE WHEN {column} >= {floor} THEN {points} ELSE {column} END"


FEATURES = (
    Feature(
        name="lace_index",
        label="LACE index",
        type="integer",
        unit="points",
        available_from=Point.DISCHARGE,
        description="Length of stay, acute admission, comorbidity and emergency visits: 0 to 19 points "
        "(van Walraven, CMAJ 2010). Missing where an input is unknown.",
        relation="features",
        expression=f"{_steps('length_of_stay_days', STAY_POINTS)}"
        f" + CASE WHEN came_as IN ('emergency', 'urgent') THEN {ACUTE_ADMISSION_POINTS}"
        " WHEN came_as IS NOT NULL THEN 0 END"
        f" + {_capped('lace_comorbidity_weight', COMORBIDITY_CAP)}"
        f" + {_capped('n_emergency_visits_prior_180d', EMERGENCY_VISIT_CAP)}",
        tables=(),
        minimum=0,
        maximum=19,
        needs=(CAME_AS,),
        raises=("readmission",),
    ),
)
