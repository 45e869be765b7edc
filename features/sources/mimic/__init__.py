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
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.reading import Reader, files_of, mapped, reader
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
_NO_UNIT = "unknown"
"""The unit of a value that has none: no feature uses it."""

_OBSERVATION = ("AMBULATORY OBSERVATION", "DIRECT OBSERVATION", "EU OBSERVATION", "OBSERVATION ADMIT")
_ADMISSION_TYPES = {
    "EW EMER.": "emergency",
    "DIRECT EMER.": "emergency",
    "EMERGENCY": "emergency",
    "EU OBSERVATION": "emergency",  # in the emergency unit
    "URGENT": "urgent",
    "ELECTIVE": "elective",
    "SURGICAL SAME DAY ADMISSION": "elective",
}
_SOURCES = {
    "EMERGENCY ROOM": "home",  # no place of origin: billing rules record such patients as from home
    "WALK-IN/SELF REFERRAL": "home",
    "PHYSICIAN REFERRAL": "outpatient",
    "CLINIC REFERRAL": "outpatient",
    "PROCEDURE SITE": "outpatient",
    "PACU": "outpatient",
    "AMBULATORY SURGERY TRANSFER": "outpatient",
    "TRANSFER FROM HOSPITAL": "other_hospital",
    "TRANSFER FROM SKILLED NURSING FACILITY": "nursing",
    "INTERNAL TRANSFER TO OR FROM PSYCH": "other",
}
_DISPOSITIONS = {
    "HOME": "home",
    "HOME HEALTH CARE": "home",
    "ASSISTED LIVING": "nursing",
    "SKILLED NURSING FACILITY": "nursing",
    "ACUTE HOSPITAL": "acute_transfer",
    "REHAB": "rehabilitation",
    "HOSPICE": "hospice",
    "AGAINST ADVICE": "against_advice",
    "DIED": "died",
    "CHRONIC/LONG TERM ACUTE CARE": "other",
    "HEALTHCARE FACILITY": "other",
    "PSYCH FACILITY": "other",
    "OTHER FACILITY": "other",
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
        steps = [_patients, _stays, _diagnoses]
        further = {
            "procedures_icd": _procedures,
            "labevents": _observations,
            "prescriptions": _medications,
            "transfers": _visits,
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


def _patients(source: Reader) -> Sequence[str]:
    """One row per patient, without a birth date: the stays carry the age."""
    source.write(
        "patients",
        f"""
        SELECT subject_id AS patient_id, {mapped("gender", {"M": "male", "F": "female"})} AS sex,
            left(coalesce(dod, died_at), 10) AS death_date
        FROM patients p LEFT JOIN (
            SELECT subject_id, min(deathtime) AS died_at FROM admissions GROUP BY subject_id
        ) a USING (subject_id)
        ORDER BY p._row""",
    )
    return ()


def _stays(source: Reader) -> Sequence[str]:
    """One stay per admission, with the age of its year."""
    source.write(
        "stays",
        f"""
        WITH serving AS (
            SELECT hadm_id, arg_min(curr_service, (transfertime, _row)) AS first_service,
                arg_max(curr_service, (transfertime, _row)) AS last_service
            FROM services GROUP BY hadm_id
        ), grouped AS (
            SELECT hadm_id, min(drg_code) AS drg FROM drgcodes
            WHERE upper(drg_type) IN ('HCFA', 'MS') GROUP BY hadm_id
        )
        SELECT hadm_id AS stay_id, a.subject_id AS patient_id, 'mimic' AS hospital_id,
            'discharged' AS status, admittime AS admitted_at, dischtime AS discharged_at,
            {_admission_type()} AS admission_type,
            CASE WHEN admission_location <> 'INFORMATION NOT AVAILABLE'
                THEN {mapped("admission_location", _SOURCES)} END AS admission_source,
            first_service AS admission_department, last_service AS discharge_department,
            insurance AS payer,
            CASE WHEN hospital_expire_flag = '1' THEN 'died'
                ELSE {mapped("discharge_location", _DISPOSITIONS)} END AS discharge_disposition,
            drg AS payment_group,
            TRY_CAST(anchor_age AS INTEGER) + year(TRY_CAST(admittime AS TIMESTAMP))
                - TRY_CAST(anchor_year AS INTEGER) AS age_years
        FROM admissions a
        LEFT JOIN patients p ON p.subject_id = a.subject_id
        LEFT JOIN serving USING (hadm_id)
        LEFT JOIN grouped USING (hadm_id)
        ORDER BY a._row""",
    )
    return (*_observation_note(source), *_last_year_note(source))


def _admission_type() -> str:
    """Observation after the emergency room is an emergency; of other observation it is unknown."""
    observation = ", ".join(f"'{name}'" for name in _OBSERVATION if name not in _ADMISSION_TYPES)
    return (
        f"CASE WHEN admission_type IN ({observation}) "
        "THEN CASE WHEN edregtime IS NOT NULL THEN 'emergency' ELSE 'unknown' END "
        f"ELSE {mapped('admission_type', _ADMISSION_TYPES)} END"
    )


def _observation_note(source: Reader) -> Sequence[str]:
    n_rows = _count(source, f"SELECT count(*) FROM admissions WHERE admission_type IN {_OBSERVATION}")
    if not n_rows:
        return ()
    return (
        f"admissions: {n_rows} rows are for observation; they are stays here, and none in the published "
        "readmission measure.",
    )


def _last_year_note(source: Reader) -> Sequence[str]:
    """A discharge may be of any year that its distance from the anchor allows: the latest counts."""
    found = source.data.execute("""
        WITH real AS (
            SELECT TRY_CAST(regexp_extract(anchor_year_group, '(\\d{4})$', 1) AS INTEGER) AS until,
                year(TRY_CAST(dischtime AS TIMESTAMP)) - TRY_CAST(anchor_year AS INTEGER) AS after
            FROM admissions a JOIN patients p ON p.subject_id = a.subject_id
        )
        SELECT count(*) FILTER (until + after >= last), any_value(last)
        FROM real, (SELECT max(until) AS last FROM real)""").fetchall()
    n_rows, last = found[0]
    if not n_rows:
        return ()
    return (
        f"admissions: {n_rows} rows may be of {last}, the last year of the extract (by anchor_year_group); "
        "their follow-up counts as complete, because shifted dates cannot tell.",
    )


def _diagnoses(source: Reader) -> Sequence[str]:
    source.write(
        "diagnoses",
        f"""
        SELECT hadm_id AS stay_id, 'discharge' AS kind, seq_num AS position, icd_code AS code,
            {mapped("icd_version", {"9": "icd9cm", "10": "icd10cm"})} AS code_system
        FROM diagnoses_icd""",
    )
    return ()


def _procedures(source: Reader) -> Sequence[str]:
    source.write(
        "procedures",
        f"""
        SELECT hadm_id AS stay_id, seq_num AS position, icd_code AS code, left(chartdate, 10) AS performed_at,
            {mapped("icd_version", {"9": "icd9cm3", "10": "icd10pcs"})} AS code_system
        FROM procedures_icd""",
    )
    return ()


def _observations(source: Reader) -> Sequence[str]:
    """Numeric results; one pass over a file that may be the largest of all."""
    source.write(
        "observations",
        f"""
        SELECT subject_id AS patient_id, hadm_id AS stay_id, charttime AS taken_at,
            coalesce(loinc, 'mimic:' || itemid) AS code, valuenum AS value,
            coalesce(valueuom, unit_if_none, '{_NO_UNIT}') AS unit, storetime AS known_at
        FROM labevents LEFT JOIN items USING (itemid) WHERE valuenum IS NOT NULL""",
    )
    n_texts, n_unitless = source.data.execute(
        "SELECT count(*) FILTER (valuenum IS NULL), "
        "count(*) FILTER (valuenum IS NOT NULL AND valueuom IS NULL AND unit_if_none IS NULL) "
        "FROM labevents LEFT JOIN items USING (itemid)"
    ).fetchall()[0]
    notes = []
    if n_texts:
        notes.append(f"labevents: {n_texts} rows are left out: their result is not a number.")
    if n_unitless:
        notes.append(f"labevents: {n_unitless} rows have no unit; no feature of a declared unit uses them.")
    return notes


def _medications(source: Reader) -> Sequence[str]:
    source.write(
        "medications",
        """
        SELECT subject_id AS patient_id, hadm_id AS stay_id, starttime AS started_at, stoptime AS ended_at,
            drug AS code, route
        FROM prescriptions WHERE drug_type = 'MAIN' OR drug_type IS NULL""",
    )
    n_rows = _count(source, "SELECT count(*) FROM prescriptions WHERE drug_type <> 'MAIN'")
    return (f"prescriptions: {n_rows} rows are left out: diluents and additives.",) if n_rows else ()


def _visits(source: Reader) -> Sequence[str]:
    """Emergency stays; rows that follow each other without a gap are one visit."""
    source.data.execute("""
        CREATE TABLE emergencies AS
        WITH told AS (
            SELECT *, coalesce(intime <= max(outtime) OVER (
                PARTITION BY subject_id ORDER BY intime, transfer_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS goes_on
            FROM transfers WHERE upper(eventtype) = 'ED'
        ), numbered AS (
            SELECT *, count(*) FILTER (NOT goes_on) OVER (
                PARTITION BY subject_id ORDER BY intime, transfer_id) AS number
            FROM told
        ), whole AS (
            SELECT subject_id, min(_row) AS _row, arg_min(transfer_id, (intime, transfer_id)) AS transfer_id,
                min(intime) AS intime, max(hadm_id) AS hadm_id
            FROM numbered GROUP BY subject_id, number
        )
        SELECT w.*, coalesce(TRY_CAST(intime AS TIMESTAMP)
            < TRY_CAST(admittime AS TIMESTAMP) - INTERVAL 24 HOUR, false) AS is_long_before
        FROM whole w LEFT JOIN (
            SELECT hadm_id, min(admittime) AS admittime FROM admissions GROUP BY hadm_id
        ) USING (hadm_id)""")
    source.write(
        "visits",
        """
        SELECT transfer_id AS visit_id, subject_id AS patient_id, intime AS visited_at, 'emergency' AS kind
        FROM emergencies WHERE NOT is_long_before ORDER BY _row""",
    )
    notes = [
        "visits: those of emergency rooms alone; counts of outpatient visits read 0, which means unknown."
    ]
    n_rows = _count(source, "SELECT count(*) FROM emergencies WHERE is_long_before")
    if n_rows:
        notes.append(
            f"transfers: {n_rows} emergency visits are left out: they led to an admission more than 24 hours "
            "later, and would count as visits of their own."
        )
    return notes


def _count(source: Reader, sql: str) -> int:
    return int(source.data.execute(sql).fetchall()[0][0])
