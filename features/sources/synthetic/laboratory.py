"""First-day laboratory values: what they are in truth, and what the laboratory reports of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers, cases, conditions

LOINC = {
    "haemoglobin": ("718-7", "g/dL"),
    "sodium": ("2951-2", "mmol/L"),
    "creatinine": ("2160-0", "mg/dL"),
    "urea_nitrogen": ("3094-0", "mg/dL"),
    "albumin": ("1751-7", "g/dL"),
    "white_cells": ("6690-2", "10*9/L"),
    "crp": ("1988-5", "mg/L"),
    "glucose": ("2345-7", "mg/dL"),
    "potassium": ("2823-3", "mmol/L"),
}
"""LOINC code and unit of each value."""

_RANGES = {
    "haemoglobin": (4.0, 20.0),
    "sodium": (112.0, 165.0),
    "creatinine": (0.3, 14.0),
    "urea_nitrogen": (3.0, 150.0),
    "albumin": (1.4, 5.5),
    "white_cells": (0.4, 60.0),
    "crp": (0.2, 400.0),
    "glucose": (40.0, 700.0),
    "potassium": (2.0, 7.5),
}

INFECTIONS = (
    *("pneumonia", "sepsis", "urinary_infection", "cholangitis", "appendicitis", "ulcer_perforation"),
    *("cellulitis", "wound_infection", "respiratory_failure", "influenza", "neutropenia", "child_pneumonia"),
)


@dataclass
class Severity:
    """How far values lie on the bad side, 0 (normal) to 3, a straight ramp between; and sharp thresholds.

    `..._off` grade both sides, 0 to 2: sodium, potassium and glucose too low or too high.
    """

    anaemia: Floats
    low_sodium: Floats
    low_albumin: Floats
    kidney: Floats
    sodium_off: Floats
    potassium_off: Floats
    glucose_off: Floats
    deep_anaemia: Floats
    very_low_albumin: Floats
    poor_kidney: Floats
    high_glucose: Floats
    many_white_cells: Floats

    def at(self, rows: Integers) -> Severity:
        """The severity of some of the patients."""
        return Severity(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})

    def faded(self, share: float) -> Severity:
        """The severity with every grade at this share of itself."""
        return Severity(**{item.name: share * getattr(self, item.name) for item in fields(self)})


def severity(values: dict[str, Floats]) -> Severity:
    """Grade the true values that the risks hang on."""

    def ramp(distance: Floats, step: float, most: float = 3) -> Floats:
        return np.asarray(np.clip(distance / step, 0, most))

    def off(name: str, low: float, low_step: float, high: float, high_step: float) -> Floats:
        return ramp(low - values[name], low_step, 2) + ramp(values[name] - high, high_step, 2)

    return Severity(
        anaemia=ramp(12 - values["haemoglobin"], 1.5),
        low_sodium=ramp(137 - values["sodium"], 4),
        low_albumin=ramp(3.7 - values["albumin"], 0.5),
        kidney=ramp(values["creatinine"] - 1.2, 0.8),
        sodium_off=off("sodium", 135.5, 1.5, 142.5, 1),
        potassium_off=off("potassium", 3.7, 0.15, 4.7, 0.15),
        glucose_off=off("glucose", 84, 5, 165, 15),
        deep_anaemia=(values["haemoglobin"] < 10).astype(float),
        very_low_albumin=(values["albumin"] < 3.2).astype(float),
        poor_kidney=(values["creatinine"] > 1.5).astype(float),
        high_glucose=(values["glucose"] > 145).astype(float),
        many_white_cells=(values["white_cells"] > 13).astype(float),
    )


def _is_for(case: Integers, name: str) -> Floats:
    """1 where the stay is for the named case."""
    return np.asarray(case == cases().place(name), dtype=float)


@dataclass
class _Illness:
    """What moves the values, each 0 (not at all) upward."""

    acute: Floats
    infected: Floats
    bleeding: Floats
    sick: Floats
    kidney: Floats


def _illness(case: Integers, has: Flags) -> _Illness:
    acute = cases().is_emergency[case].astype(float)
    sick = acute * (cases().death[case] + 1).clip(0, 3) / 3
    kidney = has[:, conditions().place("kidney_disease")] + 1.2 * _is_for(case, "kidney_failure")
    return _Illness(
        acute=acute,
        infected=np.isin(case, [cases().place(name) for name in INFECTIONS]).astype(float),
        bleeding=_is_for(case, "gi_bleeding"),
        sick=sick,
        kidney=kidney + 0.9 * _is_for(case, "acute_kidney_injury") + 0.25 * sick,
    )


def draw_values(
    case: Integers,
    age: Floats,
    is_male: Flags,
    has: Flags,
    frailty: Floats,
    tendency: Floats,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """True values on the first day of a stay, from the reason for it, the conditions and the patient."""

    def having(name: str) -> Floats:
        return np.asarray(has[:, conditions().place(name)], dtype=float)

    def noise(scale: float) -> Floats:
        return np.asarray(rng.normal(0, scale, len(case)))

    ill = _illness(case, has)
    old = ((age - 60) / 10).clip(-2, 3.5)
    haemoglobin = 13.0 + 1.2 * is_male - 0.2 * old - 2.4 * having("anaemia") - 1.0 * ill.kidney
    haemoglobin = (
        haemoglobin - 1.0 * having("cancer") - 2.3 * ill.bleeding - 0.5 * ill.sick + 0.7 * tendency[:, 0]
    )
    albumin = 4.05 - 0.10 * old - 0.6 * having("malnutrition") - 0.55 * having("cirrhosis") - 0.45 * ill.sick
    albumin = albumin - 0.25 * having("cancer") - 0.25 * ill.infected - 0.08 * frailty + 0.15 * tendency[:, 1]
    creatinine = np.exp(
        -0.15 + 0.12 * is_male + 0.05 * old + 0.75 * ill.kidney + 0.15 * tendency[:, 2] + noise(0.2)
    )
    sodium = (
        139.5 - 1.6 * having("heart_failure") - 2.0 * having("cirrhosis") - 1.2 * ill.sick - 0.3 * frailty
    )
    sodium = sodium - 6.0 * _is_for(case, "electrolytes") + noise(2.8)
    glucose = np.exp(
        4.62
        + 0.38 * having("diabetes")
        + 0.65 * _is_for(case, "diabetes_crisis")
        + 0.10 * ill.acute
        + noise(0.17)
    )
    without_cells = _is_for(case, "neutropenia")
    values = {
        "haemoglobin": haemoglobin + noise(1.1),
        "sodium": sodium,
        "creatinine": creatinine,
        "urea_nitrogen": 15.5 * creatinine**0.7 * np.exp(0.12 * ill.sick + 0.3 * ill.bleeding + noise(0.22)),
        "albumin": albumin + noise(0.38),
        "white_cells": np.exp(
            1.93 + 0.45 * ill.infected + 0.12 * ill.acute - 2.5 * without_cells + noise(0.28)
        ),
        "crp": np.exp(1.2 + 2.6 * ill.infected + 0.9 * ill.sick + noise(0.8)),
        "glucose": glucose,
        "potassium": 4.15 + 0.25 * ill.kidney + noise(0.42),
    }
    return {name: np.clip(value, *_RANGES[name]) for name, value in values.items()}
