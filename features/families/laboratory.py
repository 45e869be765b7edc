"""Laboratory values of the first day, and the last haemoglobin and sodium before discharge.

A value in another unit than the declared one is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.feature import Feature
from features.points import Point


@dataclass(frozen=True)
class Analyte:
    """A laboratory analyte: its LOINC code, unit and the range of plausible values."""

    name: str
    label: str
    loinc: str
    unit: str
    minimum: float
    maximum: float


ANALYTES = (
    Analyte("haemoglobin", "Haemoglobin", "718-7", "g/dL", 1, 25),
    Analyte("white_cells", "White cells", "6690-2", "10*9/L", 0, 500),
    Analyte("sodium", "Sodium", "2951-2", "mmol/L", 90, 200),
    Analyte("potassium", "Potassium", "2823-3", "mmol/L", 1, 12),
    Analyte("creatinine", "Creatinine", "2160-0", "mg/dL", 0.1, 40),
    Analyte("urea_nitrogen", "Urea nitrogen", "3094-0", "mg/dL", 1, 300),
    Analyte("albumin", "Albumin", "1751-7", "g/dL", 0.5, 7),
    Analyte("c_reactive_protein", "C-reactive protein", "1988-5", "mg/L", 0, 1000),
    Analyte("glucose", "Glucose", "2345-7", "mg/dL", 5, 2000),
)
_LAST_AT_DISCHARGE = ("haemoglobin", "sodium")


def _last_value(analyte: Analyte, condition: str) -> str:
    # The last value, not the mean: clinicians act on the latest result. Ties by the value itself.
    return (
        f"max(struct_pack(t := taken_at, v := value)) FILTER (code = '{analyte.loinc}' "
        f"AND unit = '{analyte.unit}' AND {condition}).v"
    )


def _first_day(analyte: Analyte) -> Feature:
    return Feature(
        name=f"{analyte.name}_first_day",
        label=f"{analyte.label}, first day",
        type="number",
        unit=analyte.unit,
        available_from=Point.ADMISSION,
        description=f"Last value (LOINC {analyte.loinc}) known within 24 hours of the admission.",
        relation="these_observations",
        expression=_last_value(analyte, "taken_at <= anchor_at + INTERVAL 24 HOUR"),
        tables=("observations",),
        minimum=analyte.minimum,
        maximum=analyte.maximum,
    )


def _at_discharge(analyte: Analyte) -> Feature:
    return Feature(
        name=f"{analyte.name}_at_discharge",
        label=f"{analyte.label}, last before discharge",
        type="number",
        unit=analyte.unit,
        available_from=Point.DISCHARGE,
        description=f"Last value (LOINC {analyte.loinc}) of the episode.",
        relation="these_observations",
        expression=_last_value(analyte, "true"),
        tables=("observations",),
        minimum=analyte.minimum,
        maximum=analyte.maximum,
    )


FEATURES = (
    *(_first_day(analyte) for analyte in ANALYTES),
    *(_at_discharge(analyte) for analyte in ANALYTES if analyte.name in _LAST_AT_DISCHARGE),
)
