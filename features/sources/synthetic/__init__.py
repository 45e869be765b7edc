"""A made-up hospital group: seeded, any size, with the true risks and costs kept beside.

No patient, hospital or price in it is real. It exists so that the whole way can be shown, tested and
measured where the truth is known. Stays come about one chunk of patients after another, each chunk from
its own stream of random numbers, so memory does not grow with the size.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.dataset import CodeSystems, Declaration, Labels, ReadmissionLabel
from features.progress import Progress, silent
from features.sources.synthetic.charges import CATEGORIES, charge
from features.sources.synthetic.course import play
from features.sources.synthetic.dirty import plant_faults
from features.sources.synthetic.payment import payment_groups_table
from features.sources.synthetic.population import (
    OBSERVED_END_DAY,
    OBSERVED_FROM_DAY,
    Cohort,
    draw_cohort,
)
from features.sources.synthetic.records import (
    diagnoses_table,
    patients_table,
    procedures_table,
    stays_table,
)
from features.sources.synthetic.results import observations_table
from features.sources.synthetic.stays import Stays, taken
from features.sources.synthetic.visits import all_visits, draw_emergency_visits
from features.sources.synthetic.writing import dates, instants, money, pseudonyms, texts, write_part

VERSION = "1"
STAYS_PER_PATIENT = 1.455
"""Stays in the extract per patient drawn, some of whom are never seen in the observed time. Measured."""

TRUTH_SCHEMA = pa.schema(
    {
        "stay_id": pa.string(),
        "readmission_probability": pa.float64(),
        "complication_probability": pa.float64(),
        "expected_cost": pa.float64(),
        "usual_charges": pa.float64(),
        "usual_days": pa.float64(),
        "part_probability": pa.float64(),
    }
)

DEFAULT_ADMISSIONS = 20_000
PATIENTS_PER_CHUNK = 20_000
_STAYS_PER_CHUNK_PATIENT = 50
"""Room for ids: far more stays than a chunk can hold per patient."""


def stage(
    path: Path | None,
    staging: Path,
    *,
    progress: Progress = silent,
    admissions: int = DEFAULT_ADMISSIONS,
    seed: int = 20210101,
    dirty: bool = False,
    patients_per_chunk: int = PATIENTS_PER_CHUNK,
) -> Declaration:
    """Write the raw tables of a made-up hospital group to `staging` and return their declaration.

    `admissions` is the number of stays to aim at (met within about 2 % from 20,000 on). The same seed,
    size and chunk give the same bytes. `truth/admissions.parquet` holds the true probabilities and
    expected costs. `dirty` plants faults and writes their counts to `truth/faults.json`. `path` is not
    used: nothing is read. Raises ValueError for a size below 1.
    """
    del path
    if admissions < 1 or patients_per_chunk < 1:
        raise ValueError("admissions and patients_per_chunk must be at least 1: ask for a larger size")
    n_patients = max(1, round(admissions / STAYS_PER_PATIENT))
    n_chunks = -(-n_patients // patients_per_chunk)
    streams = np.random.SeedSequence(seed).spawn(n_chunks + 1)
    truth_file = staging / "truth" / "admissions.parquet"
    truth_file.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(truth_file, TRUTH_SCHEMA, compression="zstd") as truth:
        for chunk in range(n_chunks):
            progress("making up patients and their stays", chunk, n_chunks)
            first = chunk * patients_per_chunk
            size = min(patients_per_chunk, n_patients - first)
            rng = np.random.default_rng(streams[chunk])
            truth.write_table(_stage_chunk(staging, chunk, size, first, rng))
    progress("making up patients and their stays", n_chunks, n_chunks)
    write_part(staging / "payment_groups", 0, payment_groups_table())
    if dirty:
        plant_faults(staging, np.random.default_rng(streams[-1]))
    return _declaration(admissions, seed)


def _declaration(admissions: int, seed: int) -> Declaration:
    return Declaration(
        name=f"made-up-hospital-group-{admissions}-{seed}",
        source=f"synthetic {VERSION}",
        currency="CNY",
        cost_basis="billed",
        time_zone="Asia/Shanghai",
        timeline="real",
        observed_from=dt.date(2021, 1, 1),
        observed_until=dt.date(2025, 12, 31),
        complete_by="admission",
        deaths="registry",
        code_systems=CodeSystems(diagnosis="icd10", procedure="icd9cm3"),
        labels=Labels(readmission=ReadmissionLabel(kind="derived", variant="cms")),
    )


def _stage_chunk(staging: Path, part: int, size: int, first: int, rng: np.random.Generator) -> pa.Table:
    """Make up one chunk of patients, write their rows as one part file per table, return the truth."""
    cohort = draw_cohort(size, rng)
    cohort.visit_keys = draw_emergency_visits(cohort, rng)
    everything = play(cohort, rng)
    ahead = everything.admitted >= OBSERVED_END_DAY
    in_extract = (everything.admitted >= OBSERVED_FROM_DAY) & (
        ~ahead | (everything.booked < OBSERVED_END_DAY)
    )
    stays = taken(everything, np.flatnonzero(in_extract)[rng.permutation(int(in_extract.sum()))])
    numbers = first * _STAYS_PER_CHUNK_PATIENT + np.arange(len(stays))
    stay_id = pseudonyms("S", numbers)
    all_ids = pseudonyms("P", first + np.arange(size))
    patient_id = all_ids.take(pa.array(stays.patient))

    write_part(staging / "stays", part, stays_table(stays, cohort, stay_id, patient_id, rng))
    write_part(staging / "diagnoses", part, diagnoses_table(stays, cohort, stay_id, rng))
    write_part(staging / "procedures", part, procedures_table(stays, stay_id, rng))
    write_part(staging / "observations", part, observations_table(stays, stay_id, patient_id, rng))
    _write_charges(staging, part, stays, stay_id, rng)
    seen = _write_visits(staging, part, first, cohort, everything, all_ids, rng)
    who = np.union1d(np.unique(stays.patient), seen)
    write_part(staging / "patients", part, patients_table(cohort, who, all_ids.take(pa.array(who))))
    return _truth(stays, stay_id)


def _write_charges(
    staging: Path, part: int, stays: Stays, stay_id: pa.Array, rng: np.random.Generator
) -> None:
    lines = charge(
        stays.case,
        stays.admitted,
        stays.discharged,
        stays.cost,
        stays.usual_charges / (stays.usual_days + 1),
        rng,
    )
    shown = lines.day < OBSERVED_END_DAY
    category = pa.DictionaryArray.from_arrays(pa.array(lines.category[shown]), pa.array(list(CATEGORIES)))
    columns = {
        "stay_id": stay_id.take(pa.array(lines.stay[shown])),
        "incurred_on": dates(lines.day[shown]),
        "category": category,
        "amount": money(lines.amount[shown]),
    }
    write_part(staging / "charges", part, columns)


def _write_visits(
    staging: Path,
    part: int,
    first: int,
    cohort: Cohort,
    stays: Stays,
    patient_id: pa.Array,
    rng: np.random.Generator,
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Write the visits and return the patients seen."""
    visits = all_visits(cohort, stays, rng)
    order = rng.permutation(len(visits.at))
    kind = np.array(["outpatient", "emergency"], dtype=object)[visits.is_emergency[order]]
    columns = {
        "visit_id": pseudonyms("V", first * _STAYS_PER_CHUNK_PATIENT + np.arange(len(order))),
        "patient_id": patient_id.take(pa.array(visits.patient[order])),
        "visited_at": instants(visits.at[order]),
        "kind": texts(kind),
        "department": texts(visits.department[order]),
        "cost": money(visits.cost[order]),
    }
    write_part(staging / "visits", part, columns)
    return np.unique(visits.patient)


def _truth(stays: Stays, stay_id: pa.Array) -> pa.Table:
    """The truth of each stay; a death in hospital leaves no risk of a readmission to speak of.

    `usual_charges` and `usual_days` are the means of a whole stay without complication, `part_probability`
    the chance that the stay is only a part of one: broken up by a transfer or a split.
    """
    columns = {
        "stay_id": stay_id,
        "readmission_probability": pa.array(stays.readmission_probability, from_pandas=True),
        "complication_probability": pa.array(stays.complication_probability),
        "expected_cost": pa.array(stays.expected_cost),
        "usual_charges": pa.array(stays.usual_charges),
        "usual_days": pa.array(stays.usual_days),
        "part_probability": pa.array(stays.part_probability),
    }
    return pa.table(columns, schema=TRUTH_SCHEMA)
