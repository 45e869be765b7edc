"""Made-up admissions as requests: five earlier stays, forty diagnoses, thirty laboratory values."""

from __future__ import annotations

import datetime as dt
from typing import Any

N_EARLIER_STAYS, N_DIAGNOSES, N_LABORATORY_VALUES = 5, 40, 30
_ADMITTED_AT = dt.datetime(2026, 1, 7, 9, 30)  # noqa: DTZ001 - records hold local wall time
_CODES = ("I500", "E119", "J440", "I10", "N183", "I252", "K746", "F329", "I480", "D509")
_ANALYTES = (("718-7", 11.2, "g/dL"), ("2951-2", 134.0, "mmol/L"), ("2160-0", 1.6, "mg/dL"))


def admission_request(patient: int) -> dict[str, Any]:
    """The request for one patient's present admission; ages, times, codes and values differ by patient."""
    gap_days = 40 + patient % 50
    admissions = [_ADMITTED_AT - dt.timedelta(days=gap_days * n) for n in range(N_EARLIER_STAYS, -1, -1)]
    stays = [_stay(number, at) for number, at in enumerate(admissions)]
    records = {
        "patients": [{"patient_id": "p", "birth_date": f"{1935 + patient % 60}-03-02", "sex": "male"}],
        "stays": stays,
        "diagnoses": [_diagnosis(number, patient) for number in range(N_DIAGNOSES)],
        "observations": [_value(number, patient) for number in range(N_LABORATORY_VALUES)],
        "procedures": [],
        "visits": [],
    }
    return {
        "stay_id": stays[-1]["stay_id"],
        "prediction_point": "admission",
        "history_from": "2021-01-01",
        "records": records,
    }


def _stay(number: int, admitted_at: dt.datetime) -> dict[str, Any]:
    stay: dict[str, Any] = {
        "stay_id": f"s{number}",
        "patient_id": "p",
        "hospital_id": "h",
        "admitted_at": admitted_at.isoformat(),
        "admission_type": "emergency",
        "admission_source": "home",
    }
    if number < N_EARLIER_STAYS:
        stay |= {"discharged_at": (admitted_at + dt.timedelta(days=6)).isoformat(), "total_cost": 14250.0}
    return stay


def _diagnosis(number: int, patient: int) -> dict[str, Any]:
    """One admitting diagnosis of the present stay, the others at discharge of the earlier ones."""
    code = _CODES[(number + patient) % len(_CODES)]
    if number == 0:
        return {"stay_id": f"s{N_EARLIER_STAYS}", "kind": "admitting", "position": 1, "code": code}
    stay, position = number % N_EARLIER_STAYS, number // N_EARLIER_STAYS + 1
    return {"stay_id": f"s{stay}", "kind": "discharge", "position": position, "code": code}


def _value(number: int, patient: int) -> dict[str, Any]:
    code, value, unit = _ANALYTES[number % len(_ANALYTES)]
    taken_at = _ADMITTED_AT + dt.timedelta(minutes=30 * number)
    return {
        "patient_id": "p",
        "taken_at": taken_at.isoformat(),
        "code": code,
        "value": value + 0.1 * (number + patient % 20),
        "unit": unit,
    }
