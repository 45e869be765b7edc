"""MIMIC-IV, the module `hosp` of versions 1 to 3 as PhysioNet publishes it (the open demo too).

Reads the folder that holds `hosp/` (and `core/`, in version 1), or `hosp/` itself; .csv or .csv.gz. Layout:
https://mimic.mit.edu/docs/iv/modules/hosp/ and the build scripts of github.com/MIT-LCP/mimic-code.

* patients, admissions → patients, stays. Age is anchor_age plus the years since anchor_year; whoever is over
  89 counts from 91 on. Every admission is a stay, those for observation too, which the published readmission
  measure does not count; a note says how many. The accounts of organ donors, discharged before
  they are admitted, are left to the check.
* diagnoses_icd, procedures_icd → diagnoses, procedures, each row in the edition that it names. What was
  present on admission, and the admitting diagnosis, are not in the module.
* labevents → observations: numbers only, known from `storetime` on. An item has its LOINC code where
  `d_labitems` has one (version 1) or `loinc.csv` does: 77 common items of the mapping that mimic-code
  publishes (MIT licence). Else its code is `mimic:` and the item's number. Units stay as they are; one that
  is missing is "unknown", but for INR, which has none.
* prescriptions → medications: the main drugs by their names, for the module has national drug codes and no
  ATC. Left out: their diluents and additives, doses, and `emar` (what was given in the end).
* services → the departments of admission and discharge. drgcodes → the final group of the hospital's payer
  (HCFA, in version 1 also MS), which changed its grouper within the years of the extract.
* transfers → visits: the emergency room's, with those that led to an admission within 24 hours, as features
  take them. One that began earlier before its own admission would count as another visit: it is left out. So
  are wards. Care outside emergency rooms is not in the module: counts of outpatient visits read 0.
* Deaths: in hospital, and by the state's registry up to a year after the last discharge. That covers every
  window after a discharge, though no death abroad: deaths are declared as of a registry.
* Left out: hcpcsevents, microbiologyevents, omr, pharmacy, poe, race, language, marital status.

Dates are shifted by patient, so the timeline is "shifted", and no period of observation can be read off the
records: it is declared in `dataset.toml`. Nor can it be told from them whether the follow-up of a late
discharge is complete; by `anchor_year_group` a note says how many may lie in the last year. It has no costs.
It is one hospital: returns to others are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.mimic import tables
from features.sources.reading import Reader, files_of, reader
from features.tables import TableError

_FORMAT_SAYS = {
    "name": "mimic",
    "source": "mimic hosp",
    "currency": "USD",
    "cost_basis": "billed",
    "time_zone": "America/New_York",
    "timeline": "shifted",
    "complete_by": "discharge",
    "deaths": "registry",
    "code_systems": {"diagnosis": "icd10cm", "procedure": "icd10pcs"},
}
_PERIOD = (
    "MIMIC shifts dates by patient, so that no period can be read off them. In dataset.toml, declare an "
    "observed_from before the first shifted admission and an observed_until after the last discharge, and "
    "mind that follow-up then counts as complete everywhere."
)
_REQUIRED = {
    "patients": ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
    "admissions": (
        "subject_id",
        "hadm_id",
        "admittime",
        "dischtime",
        "deathtime",
        "admission_type",
        "admission_location",
        "discharge_location",
        "insurance",
        "edregtime",
        "hospital_expire_flag",
    ),
    "diagnoses_icd": ("hadm_id", "seq_num", "icd_code", "icd_version"),
}
_OPTIONAL = {
    "procedures_icd": ("hadm_id", "seq_num", "chartdate", "icd_code", "icd_version"),
    "labevents": ("subject_id", "hadm_id", "itemid", "charttime", "storetime", "valuenum", "valueuom"),
    "prescriptions": ("subject_id", "hadm_id", "starttime", "stoptime", "drug_type", "drug", "route"),
    "services": ("hadm_id", "transfertime", "curr_service"),
    "transfers": ("subject_id", "hadm_id", "transfer_id", "eventtype", "intime", "outtime"),
    "drgcodes": ("hadm_id", "drg_type", "drg_code"),
}


def stage(
    path: Path | None, staging: Path, *, progress: Progress = silent, declaration: Path | None = None
) -> Extract:
    """Write the module's tables as canonical tables.

    `declaration` is the TOML file with the period of observation; by default `dataset.toml` in the folder.

    Raises TableError if the period is not declared, or a file or column is missing.
    """
    if path is None or not path.is_dir():
        raise TableError("The source mimic reads the folder that holds hosp/. Name one that exists.")
    try:
        meaning = declared(path, declaration, _FORMAT_SAYS)
    except TableError as error:
        raise TableError(f"{error}\n{_PERIOD}") from None
    notes: list[str] = []
    with reader(staging) as source:
        present = _open(source, path)
        steps = [tables.write_patients, tables.write_stays, tables.write_diagnoses]
        further = {
            "procedures_icd": tables.write_procedures,
            "labevents": tables.write_observations,
            "prescriptions": tables.write_medications,
            "transfers": tables.write_visits,
        }
        steps += [step for name, step in further.items() if name in present]
        for done, step in enumerate(steps):
            progress("reading hosp", done, len(steps))
            notes += step(source)
        progress("reading hosp", len(steps), len(steps))
    return Extract(meaning, tuple(notes))


def _open(source: Reader, path: Path) -> set[str]:
    """Make a view of every table that is there; `services` and `drgcodes` are empty where they are not."""
    folders = [folder for folder in (path, path / "hosp", path / "core") if folder.is_dir()]
    found = {
        name: [file for folder in folders for file in files_of(folder, name)]
        for name in (*_REQUIRED, *_OPTIONAL, "d_labitems")
    }
    missing = [f"{name}.csv.gz" for name in _REQUIRED if not found[name]]
    if missing:
        raise TableError(f"{path}: {', '.join(missing)} missing in hosp/. Add them.")
    for name, columns in (_REQUIRED | _OPTIONAL).items():
        if found[name]:
            source.open(name, found[name], required=columns)
        elif name in ("services", "drgcodes"):
            nulls = ", ".join(f"NULL::VARCHAR AS {column}" for column in columns)
            source.data.execute(f"CREATE VIEW {name} AS SELECT {nulls}, 0 AS _row WHERE false")
    if found["labevents"]:
        _open_items(source, found["d_labitems"])
    return {name for name, files in found.items() if files}


def _open_items(source: Reader, files: Sequence[Path]) -> None:
    """The table `items`: each item's LOINC code, the extract's own before the published one."""
    source.open("published", [Path(__file__).with_name("loinc.csv")])
    own = ""
    if files:
        source.open("d_labitems", files, required=("itemid",), optional=("loinc_code",))
        own = "SELECT itemid, loinc_code, NULL, 1 FROM d_labitems UNION ALL "
    source.data.execute(f"""
        CREATE TABLE items AS
        SELECT itemid, arg_min(loinc, rank) AS loinc, any_value(unit_if_none) AS unit_if_none
        FROM ({own}SELECT itemid, loinc, unit_if_none, 2 FROM published) t(itemid, loinc, unit_if_none, rank)
        WHERE loinc IS NOT NULL GROUP BY itemid""")
