"""Emergency and outpatient visits that are not stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.sources.synthetic.codes import Floats, Integers, Texts, cases, conditions
from features.sources.synthetic.population import OBSERVED_END_DAY, OBSERVED_FROM_DAY, Cohort
from features.sources.synthetic.stays import PATIENT_KEY, Link, Stays

_BEFORE_DAYS = 400
_CARE_AFTER_DAYS = 60
_DEPARTMENTS = np.array(
    ["cardiology", "general_medicine", "endocrinology", "respiratory", "oncology", "orthopaedics"],
    dtype=object,
)


@dataclass
class Visits:
    """Visits, one place each; times in days since 1970, cost in CNY."""

    patient: Integers
    at: Floats
    is_emergency: Integers
    department: Texts
    cost: Floats


def draw_emergency_visits(cohort: Cohort, rng: np.random.Generator) -> Floats:
    """Emergency visits of patients who go home again, as sorted patient × key + day.

    Frailty and illness drive them: they are where the hidden frailty shows itself.
    """
    has = cohort.onset <= cohort.entry[:, None]
    burden = has @ conditions().emergency
    return _spread(0.22 * np.exp(0.55 * burden + 0.55 * cohort.frailty), cohort, rng)


def _spread(per_year: Floats, cohort: Cohort, rng: np.random.Generator) -> Floats:
    begins = np.maximum(cohort.entry - _BEFORE_DAYS, cohort.born)
    length = np.maximum(cohort.leaves, cohort.entry + _CARE_AFTER_DAYS) - begins
    counts = rng.poisson(np.minimum(per_year, 12) * length / 365.25)
    who = np.repeat(np.arange(len(cohort)), counts)
    at = begins[who] + rng.random(len(who)) * length[who]
    at = np.floor(at) + np.clip(rng.normal(13, 3.5, len(who)), 0.1, 23.9) / 24
    return np.sort(who * PATIENT_KEY + at)


def all_visits(cohort: Cohort, stays: Stays, rng: np.random.Generator) -> Visits:
    """Every visit in the observed time, not during a stay, not after death."""
    burden = (cohort.onset <= cohort.entry[:, None]) @ conditions().emergency
    outpatient = _spread(0.7 * np.exp(0.45 * burden + 0.15 * cohort.frailty), cohort, rng)
    keys = np.concatenate([_outside_stays(cohort.visit_keys, stays), _outside_stays(outpatient, stays)])
    emergency = np.arange(len(keys)) < len(_outside_stays(cohort.visit_keys, stays))
    leads = np.isin(stays.link, [Link.NEW, Link.UNPLANNED_RETURN]) & cases().is_emergency[stays.case]
    leads &= rng.random(len(stays)) < 0.85
    before = stays.admitted[leads] - rng.uniform(0.4, 5, leads.sum()) / 24
    who = np.concatenate([(keys // PATIENT_KEY).astype(int), stays.patient[leads]])
    at = np.concatenate([keys % PATIENT_KEY, before])
    urgent = np.concatenate([emergency, np.ones(leads.sum(), dtype=bool)])
    department = np.where(urgent, "emergency", _DEPARTMENTS[rng.integers(0, len(_DEPARTMENTS), len(at))])
    cost = np.round(np.where(urgent, 620, 310) * np.exp(rng.normal(-0.2, 0.63, len(at))), 2)
    seen = (at >= OBSERVED_FROM_DAY) & (at < np.minimum(OBSERVED_END_DAY, np.floor(cohort.death[who])))
    return Visits(who[seen], at[seen], urgent[seen].astype(int), department[seen].astype(object), cost[seen])


def _outside_stays(keys: Floats, stays: Stays) -> Floats:
    order = np.lexsort((stays.admitted, stays.patient))
    begins = (stays.patient * PATIENT_KEY + stays.admitted)[order]
    ends = (stays.patient * PATIENT_KEY + stays.discharged)[order]
    last = np.searchsorted(begins, keys, side="right") - 1
    inside = (last >= 0) & (keys <= ends[np.maximum(last, 0)])
    return np.asarray(keys[~inside])
