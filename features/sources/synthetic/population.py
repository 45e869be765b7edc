"""The patients of the made-up hospital group: who they are, what they carry, when they turn up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.sources.synthetic.codes import Flags, Floats, Integers, Texts, cases, conditions

OBSERVED_FROM_DAY = float(np.datetime64("2021-01-01", "D").astype(int))
OBSERVED_END_DAY = float(np.datetime64("2026-01-01", "D").astype(int))
"""The first instant after the last observed day, in days since 1970."""

BOOKING_DAYS = 45.0
"""Stays are played this far beyond the end, so that bookings stand in the extract."""

UNDER_CARE_DAYS = 3 * 365.25
"""For how long after a first stay a patient's further illnesses are followed."""

GROUP_SHARES = {"adult": 0.861, "valve": 0.060, "child": 0.030, "newborn": 0.022, "delivery": 0.027}
"""Kinds of patients; the valve programme's share of patients gives 2.5 % of all stays."""

FRAILTY_ON_CONDITIONS = 0.35


@dataclass
class Cohort:
    """A chunk of patients, one place each; times are days since 1970.

    `onset` holds the day on which each condition begins (infinite: never). `recent` holds the last four
    admissions. Both change while the patients' stays are played.
    """

    group: Integers
    is_male: Flags
    born: Floats
    entry: Floats
    leaves: Floats
    frailty: Floats
    lab_tendency: Floats
    home_hospital: Integers
    payer: Texts
    onset: Floats
    code_draw: Floats
    recent: Floats
    last_discharge: Floats
    death: Floats
    visit_keys: Floats

    def __len__(self) -> int:
        return len(self.born)


def draw_cohort(n: int, rng: np.random.Generator) -> Cohort:
    """Draw `n` patients whose first stays are spread evenly over time.

    Everything hangs on the time since a patient's first stay, never on the calendar, so that no rate
    drifts over the years.
    """
    shares = np.array(list(GROUP_SHARES.values()))
    group = rng.choice(len(shares), n, p=shares / shares.sum())
    kind = dict(zip(GROUP_SHARES, range(len(shares)), strict=True))
    age = _ages(group, kind, rng)
    is_male = np.where(group == kind["delivery"], False, rng.random(n) < 0.52)
    first = OBSERVED_FROM_DAY - UNDER_CARE_DAYS - 35
    entry = rng.uniform(first, OBSERVED_END_DAY + BOOKING_DAYS, n)
    entry = np.floor(entry) + _time_of_day(rng, n)
    born = np.floor(entry - age * 365.25)
    frailty = rng.normal(0, 1, n)
    payer = _payers(age, rng)
    onset = _onsets(born, is_male, frailty, rng)
    _valve_patients(onset, entry, group == kind["valve"], rng)
    return Cohort(
        group=group,
        is_male=is_male,
        born=born,
        entry=entry,
        leaves=entry + np.select([group == kind["adult"], group == kind["valve"]], [UNDER_CARE_DAYS, 500], 1),
        frailty=frailty,
        lab_tendency=rng.normal(0, 1, (n, 3)),
        home_hospital=rng.choice(4, n, p=[0.4, 0.25, 0.2, 0.15]),
        payer=payer,
        onset=onset,
        code_draw=rng.random((n, len(conditions().names))),
        recent=np.full((n, 4), -np.inf),
        last_discharge=np.full(n, -np.inf),
        death=np.full(n, np.inf),
        visit_keys=np.zeros(0),
    )


def entry_case(cohort: Cohort, rng: np.random.Generator) -> Integers:
    """The case of the first stay where the kind of patient fixes it, else -1."""
    listed = cases()
    n = len(cohort)
    fixed = {
        "valve": ("valve_surgery",),
        "child": ("child_pneumonia", "child_tonsils", "appendicitis"),
        "newborn": ("newborn",),
        "delivery": ("delivery", "delivery", "caesarean"),
    }
    case = np.full(n, -1)
    for place, name in enumerate(GROUP_SHARES):
        if name in fixed:
            choices = np.array([listed.place(choice) for choice in fixed[name]])
            case = np.where(cohort.group == place, rng.choice(choices, n), case)
    return case


def _ages(group: Integers, kind: dict[str, int], rng: np.random.Generator) -> Floats:
    """Age at the first stay in years."""
    n = len(group)
    age = np.where(rng.random(n) < 0.78, rng.normal(67, 12.5, n), rng.uniform(19, 62, n)).clip(18.3, 97)
    age = np.where(group == kind["valve"], rng.normal(64, 9, n).clip(25, 84), age)
    age = np.where(group == kind["child"], rng.uniform(0.5, 15, n), age)
    age = np.where(group == kind["newborn"], 0.0, age)
    age = np.where(group == kind["delivery"], rng.normal(29.5, 4.5, n).clip(19, 44), age)
    return np.asarray(age)


def _payers(age: Floats, rng: np.random.Generator) -> Texts:
    n = len(age)
    return np.where(
        rng.random(n) < np.where(age > 60, 0.55, 0.45),
        "employee_insurance",
        np.where(rng.random(n) < 0.88, "resident_insurance", "self_pay"),
    ).astype(object)


def _onsets(born: Floats, is_male: Flags, frailty: Floats, rng: np.random.Generator) -> Floats:
    """The day each condition begins: its log-odds rise evenly with age, so the age at onset is logistic."""
    listed = conditions()
    n = len(born)
    draw = rng.random((n, len(listed.names))).clip(1e-9, 1 - 1e-9)
    level = listed.at_70 + np.outer(is_male, listed.male) + FRAILTY_ON_CONDITIONS * frailty[:, None]
    slope = np.where(np.abs(listed.per_decade) < 0.2, 0.2, listed.per_decade)
    age = 70 + 10 * (np.log(draw / (1 - draw)) - level) / slope
    onset = born[:, None] + age.clip(16) * 365.25
    cancer, metastasis = listed.place("cancer"), listed.place("metastasis")
    onset[:, metastasis] = np.maximum(onset[:, metastasis], onset[:, cancer])
    return np.asarray(onset)


def _valve_patients(onset: Floats, entry: Floats, is_valve: Flags, rng: np.random.Generator) -> None:
    """Give the valve programme's patients its drivers: 38 % atrial fibrillation, 24 % diabetes."""
    listed = conditions()
    n = len(entry)
    for name, share in (("atrial_fibrillation", 0.38), ("diabetes", 0.24), ("valve_disease", 1.0)):
        place = listed.place(name)
        since = np.where(rng.random(n) < share, entry - rng.uniform(30, 3000, n), np.inf)
        onset[:, place] = np.where(is_valve, since, onset[:, place])


def _time_of_day(rng: np.random.Generator, n: int) -> Floats:
    """Hours of the day as a share of it, most between 7 and 20 h."""
    return np.asarray(np.clip(rng.normal(13, 4, n), 0.2, 23.8) / 24)
