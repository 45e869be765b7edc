"""Faults planted at known counts, so that the check of a data set can be checked.

Every fault stands in rows of its own. Faults of a stay are planted on extra stays of extra patients that
own no other rows, so that nothing else falls with them; only `beyond_total` concerns real stays, whose
charges all fall.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.sources.synthetic.writing import write_part
from features.tables import TableError

Fault = dict[str, str | int]


def _wall_time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


_STAY_FAULTS = {
    "discharged_before_admitted": 7,
    "after_observation": 5,
    "unknown_patient": 4,
    "age_unknown": 6,
    "born_after_admission": 3,
}
_SEX_ROWS, _ORPHANS, _CODES, _NO_CODE, _NEGATIVE, _UNREADABLE, _BEYOND_STAYS = 8, 9, 11, 10, 12, 13, 3
_STAY_CHANGES: dict[str, dict[str, Any]] = {
    "discharged_before_admitted": {"discharged_at": _wall_time("2023-05-02 11:00")},
    "after_observation": {
        "admitted_at": _wall_time("2026-03-02 10:30"),
        "discharged_at": _wall_time("2026-03-08 11:00"),
    },
}
_PATIENT_CHANGES: dict[str, dict[str, Any]] = {
    "age_unknown": {"birth_date": None},
    "born_after_admission": {"birth_date": dt.date(2025, 6, 1)},
}
_PLANTED = "planted"
_POSITION = 90
"""Planted diagnoses come after every real one of their stay."""


def plant_faults(staging: Path, rng: np.random.Generator) -> None:
    """Add one part file of faulty rows to each table concerned, and write `truth/faults.json`.

    Visits' times become text in every part file, since one of the faults is a time that cannot be read.
    Raises ValueError if there are too few stays to plant on.
    """
    stays = _sample(staging, rng)
    faults = _plant_stays(staging) | _plant_diagnoses(staging, stays)
    faults |= _plant_charges(staging, stays) | _plant_visits(staging)
    (staging / "truth" / "faults.json").write_text(json.dumps(faults, indent=2) + "\n", "utf-8")


def _fault(table: str, rule: str, rows: int) -> Fault:
    return {"table": table, "rule": rule, "rows": rows}


def _sample(staging: Path, rng: np.random.Generator) -> list[tuple[str, dt.date]]:
    """Ids and days of admission of different discharged stays, in random order."""
    columns = ["stay_id", "status", "total_cost", "admitted_at"]
    stays = pq.read_table(staging / "stays" / "part-00000.parquet", columns=columns)
    chosen = stays.filter(
        pc.and_(pc.equal(stays["status"], "discharged"), pc.greater(stays["total_cost"], 100))
    )
    needed = _CODES + _NO_CODE + _NEGATIVE + _BEYOND_STAYS
    if len(chosen) < needed:
        raise TableError(f"Planting faults needs {needed} discharged stays. Ask for more admissions.")
    rows = chosen.take(pa.array(rng.permutation(len(chosen))[:needed])).to_pylist()
    return [(row["stay_id"], row["admitted_at"].date()) for row in rows]


def _plant_stays(staging: Path) -> dict[str, Fault]:
    """Extra patients with one faulty stay each, and extra patients whose sex is none of the allowed."""
    planted = [fault for fault, rows in _STAY_FAULTS.items() for _ in range(rows)]
    stays = [_plain_stay(number) | _STAY_CHANGES.get(fault, {}) for number, fault in enumerate(planted)]
    patients = [
        _plain_patient(f"PX{number:07d}") | _PATIENT_CHANGES.get(fault, {})
        for number, fault in enumerate(planted)
        if fault != "unknown_patient"
    ]
    patients += [_plain_patient(f"PQ{number:07d}") | {"sex": "Q"} for number in range(_SEX_ROWS)]
    _add(staging, "stays", stays)
    _add(staging, "patients", patients)
    faults = {fault: _fault("stays", fault, rows) for fault, rows in _STAY_FAULTS.items()}
    return faults | {"sex_not_allowed": _fault("patients", "not_allowed", _SEX_ROWS)}


def _plain_stay(number: int) -> dict[str, Any]:
    return {
        "stay_id": f"SX{number:07d}",
        "patient_id": f"PX{number:07d}",
        "hospital_id": "H1",
        "status": "discharged",
        "admitted_at": _wall_time("2023-05-09 10:30"),
        "discharged_at": _wall_time("2023-05-14 11:00"),
        "admission_type": "emergency",
        "admission_department": "general_medicine",
        "discharge_disposition": "home",
        "total_cost": 8000.0,
    }


def _plain_patient(patient_id: str) -> dict[str, Any]:
    return {"patient_id": patient_id, "birth_date": dt.date(1951, 4, 2), "sex": "female", "death_date": None}


def _plant_diagnoses(staging: Path, stays: list[tuple[str, dt.date]]) -> dict[str, Fault]:
    def row(stay_id: str, code: str | None) -> dict[str, Any]:
        planted = {"kind": "discharge", "position": _POSITION, "present_on_admission": "Y"}
        return {"stay_id": stay_id, "code": code} | planted

    rows = [row(stay, "???") for stay, _ in stays[:_CODES]]
    rows += [row(stay, None) for stay, _ in stays[_CODES : _CODES + _NO_CODE]]
    rows += [row(f"SZ{number:07d}", "I10X") for number in range(_ORPHANS)]
    _add(staging, "diagnoses", rows)
    return {
        "code_outside_system": _fault("diagnoses", "code_outside_system", _CODES),
        "code_missing": _fault("diagnoses", "missing_value", _NO_CODE),
        "diagnosis_of_unknown_stay": _fault("diagnoses", "unknown_stay", _ORPHANS),
    }


def _plant_charges(staging: Path, stays: list[tuple[str, dt.date]]) -> dict[str, Fault]:
    start = _CODES + _NO_CODE
    negative, beyond = stays[start : start + _NEGATIVE], stays[start + _NEGATIVE :]
    charges = pq.read_table(staging / "charges" / "part-00000.parquet", columns=["stay_id"])
    n_beyond = pc.sum(pc.is_in(charges["stay_id"], pa.array([stay for stay, _ in beyond]))).as_py() + len(
        beyond
    )

    def row(stay: tuple[str, dt.date], amount: float) -> dict[str, Any]:
        return {"stay_id": stay[0], "incurred_on": stay[1], "category": "other", "amount": amount}

    _add(staging, "charges", [row(stay, -5.0) for stay in negative] + [row(stay, 9e6) for stay in beyond])
    return {
        "negative_charge": _fault("charges", "negative", _NEGATIVE),
        "charges_beyond_total": _fault("charges", "beyond_total", n_beyond),
    }


def _plant_visits(staging: Path) -> dict[str, Fault]:
    for file in sorted((staging / "visits").glob("*.parquet")):
        table = pq.read_table(file)
        place = table.schema.get_field_index("visited_at")
        as_text = pc.strftime(table["visited_at"], format="%Y-%m-%d %H:%M:%S")
        pq.write_table(
            table.set_column(place, "visited_at", as_text), file, compression="zstd", store_schema=False
        )
    patient = pq.read_table(staging / "patients" / "part-00000.parquet", columns=["patient_id"])
    owner = patient["patient_id"][0].as_py()
    rows = [
        {
            "visit_id": f"VX{number:07d}",
            "patient_id": owner,
            "visited_at": "31st of never",
            "kind": "outpatient",
            "department": "cardiology",
            "cost": 100.0,
        }
        for number in range(_UNREADABLE)
    ]
    write_part(staging / "visits", _PLANTED, dict(pa.Table.from_pylist(rows).to_pydict()))
    return {"visit_time_unreadable": _fault("visits", "unreadable", _UNREADABLE)}


def _add(staging: Path, table: str, rows: list[dict[str, Any]]) -> None:
    """Write the rows as one more part file with the columns and types of the first one."""
    schema = pq.read_schema(staging / table / "part-00000.parquet")
    added = pa.Table.from_pylist(rows, schema=schema)
    write_part(staging / table, _PLANTED, {name: added[name] for name in added.column_names})
