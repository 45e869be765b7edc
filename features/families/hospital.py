"""The HOSPITAL score at discharge, in its simplified form.

Source: Donzé et al., JAMA Intern Med 2013;173(8):632-638; simplified (no procedure, a cancer diagnosis for
the oncology service): Aubert et al., Swiss Med Wkly 2017;147:w14335. Prior admissions by the cuts 0, 1-5, >5.
"""

from __future__ import annotations

from features.feature import Feature
from features.points import Point

# (SQL condition, points if true); a condition that is unknown leaves the score missing.
_ITEMS = (
    ("haemoglobin_at_discharge < 12", 1),
    ("has_cancer = 1 OR has_metastatic_solid_tumour = 1", 2),
    ("sodium_at_discharge < 135", 1),
    ("admission_type IN ('emergency', 'urgent')", 1),
    ("length_of_stay_days >= 5", 2),
    ("n_stays_prior_365d >= 1", 2),
    ("n_stays_prior_365d > 5", 3),
)

FEATURES = (
    Feature(
        name="hospital_score",
        label="HOSPITAL score (simplified)",
        type="integer",
        unit="points",
        available_from=Point.DISCHARGE,
        description="Haemoglobin, cancer, sodium, urgency, length of stay, prior admissions: 0 to 12 points "
        "(Donzé 2013, simplified). Missing where an input is unknown.",
        relation="features",
        expression=" + ".join(f"({condition})::INTEGER * {points}" for condition, points in _ITEMS),
        tables=(),
        minimum=0,
        maximum=12,
    ),
)
