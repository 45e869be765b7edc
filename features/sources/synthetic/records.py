"""What the hospitals write down of a stay: the stay itself, its diagnoses, its procedures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.sources.synthetic.codes import (
    MINOR_CODES,
    Flags,
    Floats,
    Integers,
    Texts,
    cases,
    complications,
    conditions,
    picked,
)
from features.sources.synthetic.population import OBSERVED_END_DAY, Cohort
from features.sources.synthetic.stays import Link, Stays
from features.sources.synthetic.writing import dates, instants, money, texts

DISPOSITIONS = np.array(
    [
        *("home", "community", "acute_transfer", "nursing"),
        *("rehabilitation", "against_advice", "died", "home", "acute_transfer"),
    ],
    dtype=object,
)
CODED_SHARE = 0.94
"""The share of a patient's conditions that a stay's record names."""

HOSPITALS = np.array(["H1", "H2", "H3", "H4"], dtype=object)


def status(stays: Stays) -> Texts:
    """Where each stay is at the end of the observed time; a few bookings are cancelled."""
    ahead = stays.admitted >= OBSERVED_END_DAY
    cancelled = ahead & (stays.principal_draw < 0.06)
    inside = stays.discharged >= OBSERVED_END_DAY
    return np.asarray(
        np.select([cancelled, ahead, inside], ["cancelled", "booked", "in"], "discharged"), dtype=object
    )


def stays_table(
    stays: Stays, cohort: Cohort, stay_id: Any, patient_id: Any, rng: np.random.Generator
) -> dict[str, Any]:
    """The columns of `stays`."""
    listed, n = cases(), len(stays)
    state = status(stays)
    is_done = state == "discharged"
    is_booked = ~np.isnan(stays.booked)
    source = _source(stays, rng)
    department = listed.department[stays.case]
    complicated = stays.complication_code >= 0
    left_from = np.where(complicated & (rng.random(n) < 0.12), "intensive_care", department)
    paid_share = rng.uniform(0.2, 0.5, n)
    paid_share = np.where(cohort.payer[stays.patient] == "self_pay", 1.0, paid_share)
    cost = np.round(stays.cost, 2)

    def known(flags: Flags, values: Any) -> Any:
        return texts(np.where(flags, values, ""))

    return {
        "stay_id": stay_id,
        "patient_id": patient_id,
        "hospital_id": texts(HOSPITALS[stays.hospital]),
        "status": texts(state),
        "booked_at": instants(stays.booked),
        "planned_admission_at": instants(np.where(is_booked, np.floor(stays.admitted) + 9 / 24, np.nan)),
        "admitted_at": instants(np.where(is_done | (state == "in"), stays.admitted, np.nan)),
        "discharged_at": instants(np.where(is_done, stays.discharged, np.nan)),
        "admission_type": texts(listed.mode[stays.case]),
        "admission_source": texts(source),
        "admission_department": texts(department),
        "discharge_department": known(is_done, left_from),
        "payer": texts(cohort.payer[stays.patient]),
        "discharge_disposition": known(is_done, DISPOSITIONS[stays.ending]),
        "planned_return_31d": pa.array(stays.is_return_planned, mask=~is_done),
        "payment_group": known(is_done, _payment_group(stays)),
        "total_cost": money(np.where(is_done, cost, np.nan)),
        "patient_paid": money(np.where(is_done, cost * paid_share, np.nan)),
    }


def patients_table(cohort: Cohort, who: Integers, patient_id: Any) -> dict[str, Any]:
    """The columns of `patients`; a death after the observed time is not known yet."""
    death = cohort.death[who]
    return {
        "patient_id": patient_id,
        "birth_date": dates(cohort.born[who]),
        "sex": texts(np.where(cohort.is_male[who], "male", "female")),
        "death_date": dates(np.where(death < OBSERVED_END_DAY, death, np.nan)),
    }


def _source(stays: Stays, rng: np.random.Generator) -> Texts:
    home = np.where(rng.random(len(stays)) < 0.9, "home", "nursing")
    booked = np.where(np.isnan(stays.booked), home, "outpatient")
    return np.where(stays.link == Link.TRANSFER, "other_hospital", booked).astype(object)


def _payment_group(stays: Stays) -> Texts:
    listed = cases()
    is_severe = (stays.complication_code >= 0) | (stays.has.sum(axis=1) >= 6)
    return np.where(is_severe, listed.group_with[stays.case], listed.group_without[stays.case])


def diagnoses_table(stays: Stays, cohort: Cohort, stay_id: Any, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of `diagnoses`: the admitting one, and at discharge all with their flags."""
    listed, n = cases(), len(stays)
    everyone = np.arange(n)
    is_vague = (rng.random(n) < 0.04) & (listed.vague[stays.case] != "") & (stays.link != Link.TRANSFER)
    admitting = np.where(is_vague, listed.vague[stays.case], listed.admitting[stays.case])
    known = np.where(np.isnan(stays.booked), stays.admitted, stays.booked)
    done = np.flatnonzero(status(stays) == "discharged")
    codes, flags = _discharge_codes(stays, cohort, done, rng)
    filled = codes != ""
    position = np.cumsum(filled, axis=1)
    row, column = np.nonzero(filled)
    place = np.concatenate([everyone, done[row]])
    return {
        "stay_id": stay_id.take(pa.array(place)),
        "kind": texts(np.repeat(np.array(["admitting", "discharge"], dtype=object), [n, len(row)])),
        "position": pa.array(np.concatenate([np.ones(n, dtype=int), position[row, column]]).astype(np.int32)),
        "code": texts(np.concatenate([admitting, codes[row, column]])),
        "present_on_admission": texts(np.concatenate([np.full(n, "", dtype=object), flags[row, column]])),
        "known_at": instants(np.concatenate([known, stays.discharged[done[row]]])),
    }


def principal_codes(stays: Stays) -> Texts:
    """The principal diagnosis of each stay."""
    return picked(cases().principal, stays.case, stays.principal_draw)


def _discharge_codes(
    stays: Stays, cohort: Cohort, done: Integers, rng: np.random.Generator
) -> tuple[Texts, Texts]:
    """Discharge diagnoses as a table, one stay a row: principal, conditions, hospital-acquired, others."""
    listed, n = conditions(), len(done)
    who, case = stays.patient[done], stays.case[done]
    principal = principal_codes(stays)[done]
    category = _category(principal)
    coded = stays.has[done] & (rng.random((n, len(listed.names))) < CODED_SHARE)
    coded[:, listed.place("cancer")] |= case == cases().place("chemotherapy")
    columns = [principal]
    for place in range(len(listed.names)):
        code = picked(listed.codes, np.full(n, place), cohort.code_draw[who, place])
        # The principal diagnosis already says it.
        columns.append(np.where(coded[:, place] & (_category(code) != category), code, ""))
    acquired, brought = _complication_codes(stays, done, category, rng)
    minor = np.array(MINOR_CODES, dtype=object)[rng.integers(0, len(MINOR_CODES), n)]
    columns += [brought, acquired, np.where(rng.random(n) < 0.6, minor, "")]
    codes = np.column_stack(columns)
    draw = rng.random(codes.shape)
    flags = np.where(draw < 0.008, "U", np.where(draw < 0.016, "W", "Y")).astype(object)
    flags[:, 0] = "Y"
    flags[:, -2] = np.where(stays.complication_code[done] >= 0, "N", "Y")
    return codes, flags


def _complication_codes(
    stays: Stays, done: Integers, category: Texts, rng: np.random.Generator
) -> tuple[Texts, Texts]:
    """Codes of complications: acquired here (in the last column but one), and brought along."""
    listed = complications().codes
    own = stays.complication_code[done]
    acquired = np.where(own >= 0, listed[own], "")
    # The reason for the stay cannot be acquired in it: a pressure injury is never a reason here.
    acquired = np.where((own >= 0) & (_category(acquired) == category), "L891", acquired)
    carried = stays.carried[done]
    similar = np.where(rng.random(len(done)) < 0.03, listed[rng.integers(0, len(listed), len(done))], "")
    brought = np.where(carried >= 0, listed[carried], similar)
    clash = (_category(brought) == _category(acquired)) | (_category(brought) == category)
    return acquired, np.where(clash, "", brought)


def _category(codes: Texts) -> Texts:
    """The three-character category of each code."""
    kinds, places = np.unique(codes.astype(str), return_inverse=True)
    return np.array([kind[:3] for kind in kinds], dtype=object)[places]


def procedures_table(stays: Stays, stay_id: Any, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of `procedures`: planned ones are known from the booking on, others once performed."""
    listed, n = cases(), len(stays)
    is_booked = ~np.isnan(stays.booked)
    delay = np.where(is_booked, rng.uniform(0.3, 1.8, n), rng.uniform(0.06, 0.6, n))
    performed = stays.admitted + np.minimum(delay, 0.6 * (stays.discharged - stays.admitted))
    performed = np.where(performed < OBSERVED_END_DAY, performed, np.nan)
    main = picked(listed.procedures, stays.case, rng.random(n))
    extra = listed.extra_procedure[stays.case]
    codes = np.column_stack([main, extra])
    codes[stays.link >= Link.TRANSFER] = ""
    shown = (codes != "") & (is_booked | ~np.isnan(performed))[:, None]
    row, column = np.nonzero(shown)
    planned = is_booked[row]
    known: Floats = np.where(planned, stays.booked[row], performed[row])
    return {
        "stay_id": stay_id.take(pa.array(row)),
        "position": pa.array((column + 1).astype(np.int32)),
        "code": texts(codes[row, column]),
        "performed_at": instants(performed[row]),
        "is_planned": pa.array(planned),
        "known_at": instants(known),
    }
