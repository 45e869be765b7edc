"""OMOP Common Data Model 5.4: a folder of its tables, as CSV, tab-separated, gzip or Parquet.

One file or one folder per table, in any letter case. Layout: https://ohdsi.github.io/CommonDataModel/cdm54.html.
The model leaves open what an extract means, so `dataset.toml` declares it: currency, cost_basis, time_zone,
timeline, complete_by, deaths, code_systems and the period of observation. `observation_period` is one
person's and says nothing of when the extract is complete: it is not read.

* person, death → patients. Where the day of birth is not released, stays carry the age by the year.
* visit_occurrence → stays (inpatient 9201, with its emergency part 262, and their kin), visits (emergency
  9203, outpatient 9202, at home, telehealth), by `concept_ancestor` for kinds beyond. A kind that is not
  known goes to quarantine. Moves within a stay (`visit_detail`) are left out. A patient who is still in
  (32220) has no discharge. A stay is an emergency if it began in an emergency room; else its urgency is
  unknown.
* care_site → hospital: if an extract's care sites are wards, moves between them look like transfers.
* payer_plan_period → payer on the first day.
* condition_occurrence, procedure_occurrence → diagnoses, procedures, those of stays alone. The code system is
  the source concept's vocabulary where `concept` is there, else the declared one. CPT and SNOMED go to
  quarantine: they have no categories here. Only a status (admission 32890, primary 32902 …) says which
  diagnosis is the principal one. What was present on admission is not in the model.
* measurement, observation → observations, the numeric ones; LOINC and UCUM by `concept`, else local names.
* drug_exposure → medications: ATC by `concept` and `concept_ancestor`, else the source value.
* cost → total_cost (by cost_basis: total_charge, total_cost or total_paid), patient_paid, payment_group: rows
  of domain Visit alone, for those of single events may be parts of them.

The model has no time at which a row was known: coding and result lag are settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.omop import tables
from features.sources.omop.concepts import STAY
from features.sources.omop.reading import open_tables
from features.sources.reading import Reader, reader
from features.tables import TableError

_FORMAT_SAYS = {"name": "omop", "source": "omop 5.4"}
Step = Callable[[Reader], Sequence[str]]


def stage(
    path: Path | None, staging: Path, *, progress: Progress = silent, declaration: Path | None = None
) -> Extract:
    """Write the model's tables as canonical tables.

    `declaration` is the TOML file that says what the extract means; by default `dataset.toml` in the folder.

    Raises TableError if a setting, a table or a column is missing, if deaths are declared as of a registry
    and there is no table of deaths, or if costs are in several currencies.
    """
    if path is None or not path.is_dir():
        raise TableError("The source omop reads a folder of the model's tables. Name one that exists.")
    meaning = declared(path, declaration, _FORMAT_SAYS)
    with reader(staging) as source:
        present = open_tables(source, path)
        if meaning.deaths == "registry" and "death" not in present:
            raise TableError(
                f"{path}: no table death there, but deaths are declared as of a registry. Add it, or declare "
                'deaths = "in_hospital".'
            )
        notes = [*tables.sort_visits(source), *_without_vocabulary(present)]
        source.data.execute(
            "CREATE TABLE stays_alone AS "
            f"SELECT DISTINCT visit_occurrence_id FROM placed WHERE place = '{STAY}'"
        )
        steps: list[Step] = [
            tables.write_patients,
            partial(tables.write_stays, cost_basis=meaning.cost_basis),
            tables.write_visits,
            *(step for table, step in _EVENTS.items() if table in present),
        ]
        for done, step in enumerate(steps):
            progress("reading tables", done, len(steps))
            notes += step(source)
        progress("reading tables", len(steps), len(steps))
    return Extract(meaning, tuple(notes))


_EVENTS: dict[str, Step] = {
    "condition_occurrence": tables.write_diagnoses,
    "procedure_occurrence": tables.write_procedures,
    "measurement": partial(tables.write_observations, table="measurement"),
    "observation": partial(tables.write_observations, table="observation"),
    "drug_exposure": tables.write_medications,
}


def _without_vocabulary(present: frozenset[str]) -> list[str]:
    if "concept" in present:
        return []
    return [
        "concept: no such table. Codes count as of the declared systems, and measurements and drugs go by "
        "the extract's own names, which features of laboratory values and drug groups do not know."
    ]
