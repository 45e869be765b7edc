"""Laboratory values in one unit each: first day, last, extremes, course of the stay, and against before.

Codes, units and plausible ranges: `features/codes/measures.py`.
"""

from __future__ import annotations

from features.clock import READING_SCALE, READING_VALUE
from features.codes.measures import LOOKBACK_DAYS, MEASURES, Measure
from features.feature import Feature
from features.points import Point

HBA1C_TARGET_PERCENT = 7.0
"""Below it glycaemia is at target (ADA Standards of Care in Diabetes 2025, section 6: most adults)."""
FIRST_DAY = (
    *("haemoglobin", "white_cells", "platelets", "sodium", "potassium", "creatinine", "urea_nitrogen"),
    *("albumin", "bilirubin", "c_reactive_protein", "glucose"),
)
_FIRST_DAY_OPTIONAL = ("lactate", "inr", "nt_probnp")
_AT_DISCHARGE = ("haemoglobin", "sodium", "creatinine")
_COURSE = ("haemoglobin", "sodium", "creatinine")
_AGAINST_EARLIER = ("haemoglobin", "creatinine")
# measure, the extreme that matters, whether it is optional
_EXTREMES = (
    ("haemoglobin", "min", False),
    ("creatinine", "max", False),
    ("sodium", "min", True),
    ("potassium", "max", True),
    ("glucose", "max", True),
    ("albumin", "min", True),
    ("c_reactive_protein", "max", True),
)
# Of the values here albumin alone has no harmful upper end (Gibbs et al., Arch Surg 1999;134(1):36-42).
_LOWERS = {"albumin": ("complication",)}
_EXTREME_WORDS = {"min": "lowest", "max": "highest"}
_LOINC = "LOINC 2.78"


def value_of(reading: str) -> str:
    """SQL of the value within a reading."""
    return f"({reading} & {READING_VALUE - 1}) / {READING_SCALE}"


def _seconds_of(reading: str) -> str:
    return f"({reading} // {READING_VALUE})"


def reading(measure: Measure, which: str, condition: str) -> str:
    """SQL of the first (`min`) or last (`max`) reading of a measure under a condition."""
    return _of(measure, which, "reading", condition)


def _of(measure: Measure, which: str, value: str, condition: str) -> str:
    # Over many measures at once the engine takes half the time for CASE that it takes for FILTER.
    return f"{which}(CASE WHEN measure = {measure.number} AND {condition} THEN {value} END)"


def intermediate(name: str, measure: Measure, which: str, condition: str) -> Feature:
    """A reading that features of this measure need."""
    return Feature(
        name=f"{measure.name}_{name}_reading",
        label=f"{measure.label}: reading",
        type="bits",
        unit="",
        available_from=Point.PREADMISSION,
        description="Intermediate.",
        relation="measured_values",
        expression=reading(measure, which, condition),
        tables=("observations",),
    )


def _feature(
    measure: Measure, suffix: str, words: str, description: str, expression: str, *, available_from: Point,
    optional: bool = False, lowers: tuple[str, ...] = (), none_if_zero: str = "n_unused_values",
) -> Feature:  # fmt: skip
    return Feature(
        name=f"{measure.name}_{suffix}",
        label=f"{measure.label}, {words}",
        type="number",
        unit=measure.unit,
        available_from=available_from,
        description=description,
        relation="measured_values",
        expression=expression,
        tables=("observations",),
        minimum=measure.minimum,
        maximum=measure.maximum,
        optional=optional,
        source=_LOINC,
        lowers=lowers,
        none_if_zero=none_if_zero,
    )


def _first_day(measure: Measure, *, optional: bool) -> Feature:
    return _feature(
        measure,
        "first_day",
        "first day",
        "Last value known within 24 hours of the admission.",
        value_of(reading(measure, "max", "is_first_day")),
        available_from=Point.ADMISSION,
        optional=optional,
        lowers=_LOWERS.get(measure.name, ()),
    )


def _at_discharge(measure: Measure) -> Feature:
    return _feature(
        measure,
        "at_discharge",
        "last before discharge",
        "Last value of the episode.",
        value_of(reading(measure, "max", "is_of_stay")),
        available_from=Point.DISCHARGE,
    )


def _extreme(measure: Measure, which: str, *, optional: bool) -> Feature:
    # Of the values themselves, not of readings, which are ordered by time.
    value = f"reading & {READING_VALUE - 1}"
    found = _of(measure, which, value, "is_of_stay")
    return _feature(
        measure,
        which,
        f"{_EXTREME_WORDS[which]} so far",
        f"The {_EXTREME_WORDS[which]} value of the episode by the prediction time.",
        f"{found} / {READING_SCALE}",
        available_from=Point.ADMISSION,
        optional=optional,
    )


def difference(
    name: str, label: str, unit: str, description: str, first: Feature, last: Feature, *,
    available_from: Point, a_day: bool = False, optional: bool = False, source: str = _LOINC,
    none_if_zero: str = "n_unused_values_in_year",
) -> Feature:  # fmt: skip
    """A feature: the later reading's value minus the earlier one's, or that by the days between them."""
    gap = f"({_seconds_of(last.name)} - {_seconds_of(first.name)})"
    change = f"({value_of(last.name)} - {value_of(first.name)})"
    value = f"{change} * 86400 / {gap}" if a_day else change
    return Feature(
        name=name,
        label=label,
        type="number",
        unit=unit,
        available_from=available_from,
        description=description,
        relation="features",
        expression=f"CASE WHEN {gap} > 0 THEN {value} END",
        tables=("observations",),
        optional=optional,
        source=source,
        needs=(first, last),
        none_if_zero=none_if_zero,
    )


def _course(measure: Measure) -> tuple[Feature, ...]:
    first, last = (intermediate(name, measure, which, "is_of_stay") for name, which in _ENDS)
    return (
        difference(
            f"{measure.name}_change",
            f"{measure.label}, change in the stay",
            measure.unit,
            "Last minus first value of the episode by the prediction time; missing with fewer than two.",
            first,
            last,
            available_from=Point.ADMISSION,
            none_if_zero="n_unused_values",
        ),
        difference(
            f"{measure.name}_slope",
            f"{measure.label}, change a day",
            f"{measure.unit}/d",
            "Last minus first value of the episode by the days between them; missing with fewer than two.",
            first,
            last,
            available_from=Point.ADMISSION,
            a_day=True,
            optional=True,
            none_if_zero="n_unused_values",
        ),
    )


_ENDS = (("first", "min"), ("last", "max"))


def _against_earlier(measure: Measure) -> Feature:
    earlier = intermediate("earlier", measure, "max", "NOT is_of_stay")
    last = intermediate("last", measure, "max", "is_of_stay")
    return difference(
        f"{measure.name}_change_from_earlier",
        f"{measure.label}, change from before",
        measure.unit,
        f"Last value of the episode so far minus the last of the {LOOKBACK_DAYS} days before the admission.",
        earlier,
        last,
        available_from=Point.ADMISSION,
    )


_HBA1C = MEASURES["hba1c"]
_HBA1C_LATEST = intermediate("latest", _HBA1C, "max", "true")

FEATURES = (
    *(_first_day(MEASURES[name], optional=False) for name in FIRST_DAY),
    *(_first_day(MEASURES[name], optional=True) for name in _FIRST_DAY_OPTIONAL),
    *(_at_discharge(MEASURES[name]) for name in _AT_DISCHARGE),
    *(_extreme(MEASURES[name], which, optional=optional) for name, which, optional in _EXTREMES),
    *(feature for name in _COURSE for feature in _course(MEASURES[name])),
    *(_against_earlier(MEASURES[name]) for name in _AGAINST_EARLIER),
    _feature(
        _HBA1C,
        "latest",
        "latest",
        f"Last value known at the prediction time, at most {LOOKBACK_DAYS} days before the admission.",
        value_of(reading(_HBA1C, "max", "true")),
        available_from=Point.PREADMISSION,
        none_if_zero="n_unused_values_in_year",
    ),
    Feature(
        name="is_hba1c_at_target",
        label="HbA1c at target",
        type="flag",
        unit="",
        available_from=Point.PREADMISSION,
        description=f"The latest HbA1c, to one decimal, lies below {HBA1C_TARGET_PERCENT:g} %; missing "
        "without one.",
        relation="features",
        # Laboratories tell one decimal: 53 mmol/mol, which is 6.9995 %, is 7.0 % and no longer at target.
        expression=f"(round({value_of(_HBA1C_LATEST.name)}, 1) < {HBA1C_TARGET_PERCENT:g})::INTEGER",
        tables=("observations",),
        source="ADA Standards of Care in Diabetes 2025, section 6",
        needs=(_HBA1C_LATEST,),
        none_if_zero="n_unused_values_in_year",
    ),
)
