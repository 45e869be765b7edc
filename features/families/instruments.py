"""Instrument scores: modified Rankin scale, Harris hip score, DAS28, at baseline and at follow-up.

Codes and ranges: `features/codes/measures.py`.
"""

from __future__ import annotations

from features.codes.measures import LOOKBACK_DAYS, MEASURES, Measure
from features.families.laboratory import difference, intermediate, reading, value_of
from features.feature import Feature
from features.points import Point

_BETTER = {"lower": "Lower is better.", "higher": "Higher is better."}


def _score(measure: Measure, suffix: str, words: str, description: str, condition: str, *,
           available_from: Point) -> Feature:  # fmt: skip
    return Feature(
        name=f"{measure.name}_{suffix}",
        label=f"{measure.label}, {words}",
        type="number",
        unit=measure.unit,
        available_from=available_from,
        description=f"{description} {_BETTER[measure.better]}",
        relation="measured_values",
        expression=value_of(reading(measure, "max", condition)),
        tables=("observations",),
        minimum=measure.minimum,
        maximum=measure.maximum,
        source=measure.source,
        none_if_zero="n_unused_values_in_year" if suffix == "baseline" else "n_unused_values",
    )


def _features(measure: Measure) -> tuple[Feature, ...]:
    baseline = intermediate("baseline", measure, "max", "is_baseline")
    followup = intermediate("followup", measure, "max", "NOT is_baseline")
    return (
        _score(
            measure,
            "baseline",
            "baseline",
            f"Last score of the {LOOKBACK_DAYS} days before the admission or of its day.",
            "is_baseline",
            available_from=Point.PREADMISSION,
        ),
        _score(
            measure,
            "followup",
            "follow-up",
            "Last score after the day of admission by the prediction time.",
            "NOT is_baseline",
            available_from=Point.DISCHARGE,
        ),
        difference(
            f"{measure.name}_change",
            f"{measure.label}, change",
            measure.unit,
            "Follow-up minus baseline.",
            baseline,
            followup,
            available_from=Point.DISCHARGE,
            optional=True,
            source=measure.source,
        ),
    )


FEATURES = tuple(
    feature for measure in MEASURES.values() if measure.kind == "instrument" for feature in _features(measure)
)
