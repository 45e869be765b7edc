"""The HOSPITAL score at discharge: simplified and full, by either published cut of the prior admissions.

Sources: Donzé et al., JAMA Intern Med 2013;173(8):632-638 (full: a procedure, an oncology service);
simplified (no procedure, a cancer diagnosis for the oncology service): Aubert et al., Swiss Med Wkly
2017;147:w14335.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

from features.families.admission import CAME_AS
from features.feature import Feature
from features.points import Point
from features.sql import literal

Cuts = Literal["0|1-5|>5", "0-1|2-5|>5"]
"""The two published ways to give 0, 2 or 5 points for the admissions of the year before."""

_FROM: dict[Cuts, int] = {"0|1-5|>5": 1, "0-1|2-5|>5": 2}
_COMMON = (
    ("haemoglobin_at_discharge < 12", 1),
    ("sodium_at_discharge < 135", 1),
    ("came_as IN ('emergency', 'urgent')", 1),
    ("length_of_stay_days >= 5", 2),
)
_DONZE = "Donzé et al., JAMA Intern Med 2013;173(8):632-638"
_AUBERT = "Aubert et al., Swiss Med Wkly 2017;147:w14335"


def _is_oncology() -> str:
    """SQL: the discharging department is one of oncology, by its name or its national number."""
    path = Path(__file__).parents[1] / "codes" / "oncology_departments_2025.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    department = "lower(discharge_department)"
    return " OR ".join(
        f"contains({department}, {literal(row['text'])})"
        if row["kind"] == "part_of_name"
        else f"{department} = {literal(row['text'])} "
        f"OR starts_with({department}, {literal(row['text'] + '.')})"
        for row in rows
    )


def _expression(*, full: bool, cuts: Cuts) -> str:
    """SQL of the points; a condition that is unknown leaves the score missing."""
    own = (
        ((_is_oncology(), 2), ("n_procedures > 0", 1))
        if full
        else (("has_cancer = 1 OR has_metastatic_solid_tumour = 1", 2),)
    )
    admissions = ((f"n_stays_prior_365d >= {_FROM[cuts]}", 2), ("n_stays_prior_365d > 5", 3))
    return " + ".join(
        f"({condition})::INTEGER * {points}" for condition, points in (*_COMMON, *own, *admissions)
    )


def _score(name: str, *, full: bool, cuts: Cuts) -> Feature:
    form = "full" if full else "simplified"
    inputs = "an oncology service, a procedure" if full else "cancer"
    is_default = cuts == "0|1-5|>5"
    maximum = 13 if full else 12
    return Feature(
        name=name,
        label=f"HOSPITAL score ({form}{'' if is_default else f', cuts {cuts}'})".replace("|", "/"),
        type="integer",
        unit="points",
        available_from=Point.DISCHARGE,
        description=f"Haemoglobin, sodium, {inputs}, urgency, length of stay, prior admissions by the cuts "
        f"{cuts.replace('|', '/')}: 0 to {maximum} points. Missing where an input is unknown.",
        relation="features",
        expression=_expression(full=full, cuts=cuts),
        tables=(),
        minimum=0,
        maximum=maximum,
        optional=not is_default,
        source=_DONZE if full else _AUBERT,
        needs=(CAME_AS,),
        raises=("readmission",),
    )


FEATURES = (
    _score("hospital_score", full=False, cuts="0|1-5|>5"),
    _score("hospital_score_full", full=True, cuts="0|1-5|>5"),
    _score("hospital_score_from_2", full=False, cuts="0-1|2-5|>5"),
    _score("hospital_score_full_from_2", full=True, cuts="0-1|2-5|>5"),
)
