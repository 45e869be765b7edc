"""CMS DE-SynPUF 1.0: synthetic claims of Medicare beneficiaries, 2008-2010, as CMS publishes them.

Reads a folder or a zip of the published files, of any number of samples, also still zipped one by one.
Layout: "CMS 2008-2010 Data Entrepreneurs' Synthetic Public Use File (DE-SynPUF), Codebook and User Manual".
The relations between its columns are synthetic: it tests a pipeline, and says nothing of accuracy.

* Beneficiary summaries → patients. Only the month of birth and of death is released (its first day stands
  for it). Left out: race, place of living, months of cover, the yearly sums, and the yearly flags of chronic
  conditions, of which it is not known from when on they held.
* Inpatient claims → stays. A claim may have several segments: its stay has the dates, hospital, group and
  amounts of the first, and the diagnoses of all. `total_cost` is what all have paid: Medicare's payment
  (CLM_PMT_AMT, negative where the patient's share exceeds the tariff), other insurers' (NCH_PRMRY_PYR_…)
  and the patient's deductible, coinsurance and blood deductible, which add up to `patient_paid`. The
  deductible is the year's fixed amount or empty, never 0: empty is none. Left out: per-diem pass-through
  amounts, which settle a hospital's teaching and capital and no stay, days used, and physicians. Urgency,
  source and disposition are not in the files; nor is what was present on admission.
* Of the procedures only ICD9_PRCDR_CD_1. In the published files, columns 2 to 6 hold diagnoses: in samples
  1-4, 53 % of their codes are longer than any ICD-9-CM-3 code or begin with V or E (in column 1: none), as
  many as among the diagnoses; 99 % occur there, 4 % in column 1. Read as procedures they would turn 125 of
  1,669 readmissions into planned ones. How many are left out is a note in the quality report.
* Outpatient claims, where they are there → visits, an emergency one if a service is billed with an emergency
  department's code (CPT 99281-99285, HCPCS G0380-G0384).
* Left out: carrier claims (physicians' bills for the same stays and visits), and prescription drug events
  (national drug codes of single packages, not ATC).

Claims thin out from 2010 on: December 2010 has a seventh of the discharges of mid-2008. Outcomes late in the
files are therefore too rare, and a `dataset.toml` can declare an earlier `observed_until`.
A beneficiary in a managed-care plan has no claims, which looks like no illness.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.reading import TEXT_SUFFIXES, Reader, dated, mapped, reader, unpacked
from features.tables import TableError

_FORMAT_SAYS = {
    "name": "synpuf",
    "source": "synpuf 1.0",
    "currency": "USD",
    "cost_basis": "paid",
    "time_zone": "America/New_York",
    "timeline": "real",
    "observed_from": "2008-01-01",
    "observed_until": "2010-12-31",
    "complete_by": "discharge",
    "deaths": "registry",
    "code_systems": {"diagnosis": "icd9cm", "procedure": "icd9cm3"},
}
_BENEFICIARIES = "Beneficiary_Summary_File"
_INPATIENT = "Inpatient_Claims"
_OUTPATIENT = "Outpatient_Claims"
_LEFT_OUT = {
    "Carrier_Claims": "they bill the same stays and visits",
    "Prescription_Drug_Events": "their codes name packages of drugs, not ATC groups",
}
_DIAGNOSES = [f"icd9_dgns_cd_{place}" for place in range(1, 11)]
_PROCEDURE = "icd9_prcdr_cd_1"
_MISFILED = [f"icd9_prcdr_cd_{place}" for place in range(2, 7)]
_PATIENT_PAID = (
    "coalesce(nch_bene_ip_ddctbl_amt, '0')",
    "nch_bene_pta_coinsrnc_lblty_am",
    "nch_bene_blood_ddctbl_lblty_am",
)
_COST = ("clm_pmt_amt", "nch_prmry_pyr_clm_pd_amt", *_PATIENT_PAID)
_VISIT_COST = (
    "clm_pmt_amt",
    "nch_prmry_pyr_clm_pd_amt",
    "nch_bene_ptb_ddctbl_amt",
    "nch_bene_ptb_coinsrnc_amt",
    "nch_bene_blood_ddctbl_lblty_am",
)
_EMERGENCY = [*(str(code) for code in range(99281, 99286)), *(f"G0{code}" for code in range(380, 385))]


def stage(
    path: Path | None, staging: Path, *, progress: Progress = silent, declaration: Path | None = None
) -> Extract:
    """Write the published files as canonical tables.

    `declaration` is a TOML file whose settings go before the format's own.

    Raises TableError if a file or column is missing, or a sample is there twice.
    """
    if path is None or not (path.is_dir() or (path.is_file() and zipfile.is_zipfile(path))):
        raise TableError("The source synpuf reads a folder or a zip of the published files. Name one.")
    meaning = declared(path, declaration, _FORMAT_SAYS)
    notes: list[str] = []
    with reader(staging) as source:
        files = _files(path, source.scratch)
        _open(source, files)
        steps = [_patients, _stays, _diagnoses, _procedures, *([_visits] if files[_OUTPATIENT] else [])]
        for done, step in enumerate(steps):
            progress("reading claims", done, len(steps))
            notes += step(source)
        progress("reading claims", len(steps), len(steps))
    notes += [
        f"{kind}: {len(files[kind])} files are left out: {why}."
        for kind, why in _LEFT_OUT.items()
        if files[kind]
    ]
    return Extract(meaning, tuple(notes))


def _files(path: Path, scratch: Path) -> dict[str, list[Path]]:
    """Kind of file → the files of that kind, archives unpacked."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    found: dict[str, list[Path]] = {
        kind: [] for kind in (_BENEFICIARIES, _INPATIENT, _OUTPATIENT, *_LEFT_OUT)
    }
    for number, file in enumerate(files):
        inside = [file]
        # What is left out anyway is large: it is not unpacked where the archive's name tells.
        if file.suffix.lower() == ".zip" and not any(_is_of(file, kind) for kind in _LEFT_OUT):
            inside = unpacked(file, scratch / f"unpacked-{number}")
        for each in (entry for entry in inside if not entry.name.startswith(".")):
            for kind, of_kind in found.items():
                if _is_of(each, kind) and (kind in _LEFT_OUT or each.name.lower().endswith(TEXT_SUFFIXES)):
                    of_kind.append(each)
    missing = [f"…{kind}….csv" for kind in (_BENEFICIARIES, _INPATIENT) if not found[kind]]
    if missing:
        raise TableError(
            f"{path}: no file {' and none '.join(missing)} there. Add it under its published name."
        )
    return found


def _is_of(file: Path, kind: str) -> bool:
    return kind.lower() in file.name.lower()


def _open(source: Reader, files: dict[str, list[Path]]) -> None:
    """Make the views `beneficiaries`, `claims` and `outpatient_claims`.

    Claims gain `segment_place`: 1 is the first of the claim's segments.
    """
    people = ("desynpuf_id", "bene_birth_dt", "bene_death_dt", "bene_sex_ident_cd")
    claim = ("desynpuf_id", "clm_id", "segment", "clm_pmt_amt", "nch_prmry_pyr_clm_pd_amt")
    blood = "nch_bene_blood_ddctbl_lblty_am"
    stay = ("prvdr_num", "clm_admsn_dt", "nch_bene_dschrg_dt", "clm_drg_cd", "admtng_icd9_dgns_cd")
    shares = ("nch_bene_ip_ddctbl_amt", "nch_bene_pta_coinsrnc_lblty_am", blood)
    codes = (*_DIAGNOSES, _PROCEDURE, *_MISFILED)
    source.open("beneficiaries", files[_BENEFICIARIES], required=people)
    source.open("inpatient", files[_INPATIENT], required=(*claim, *stay, *shares, *codes))
    _number_segments(source, "inpatient", "claims")
    if files[_OUTPATIENT]:
        visit = ("clm_from_dt", "nch_bene_ptb_ddctbl_amt", "nch_bene_ptb_coinsrnc_amt", blood, "hcpcs_cd_1")
        source.open("outpatient", files[_OUTPATIENT], required=(*claim, *visit))
        _number_segments(source, "outpatient", "outpatient_claims")


def _number_segments(source: Reader, rows: str, claims: str) -> None:
    repeated = _count(
        source,
        f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {rows} WHERE clm_id IS NOT NULL "
        "GROUP BY desynpuf_id, clm_id, segment)",
    )
    if repeated:
        raise TableError(
            f"{rows} claims: {repeated} rows repeat a claim's segment. Leave every sample in the folder once."
        )
    source.data.execute(f"""
        CREATE VIEW {claims} AS
        SELECT *, row_number() OVER (
            PARTITION BY clm_id, desynpuf_id, CASE WHEN clm_id IS NULL THEN _row END
            ORDER BY TRY_CAST(segment AS INTEGER), _row) AS segment_place
        FROM {rows}""")


def _patients(source: Reader) -> Sequence[str]:
    """One row per beneficiary of any year; what the years contradict is not known."""
    source.write(
        "patients",
        f"""
        WITH yearly AS (
            SELECT _row, desynpuf_id, {dated("bene_birth_dt", "%Y%m%d")} AS birth_date,
                {dated("bene_death_dt", "%Y%m%d")} AS death_date,
                {mapped("bene_sex_ident_cd", {"1": "male", "2": "female"})} AS sex
            FROM beneficiaries
        )
        SELECT desynpuf_id AS patient_id,
            CASE WHEN min(birth_date) = max(birth_date) THEN min(birth_date) END AS birth_date,
            CASE WHEN min(sex) = max(sex) THEN min(sex) ELSE 'unknown' END AS sex,
            max(death_date) AS death_date
        FROM yearly GROUP BY desynpuf_id ORDER BY min(_row)""",
    )
    return ()


def _stays(source: Reader) -> Sequence[str]:
    """One stay per claim, with what its first segment says."""
    source.write(
        "stays",
        f"""
        SELECT clm_id AS stay_id, desynpuf_id AS patient_id, prvdr_num AS hospital_id,
            'discharged' AS status,
            {dated("clm_admsn_dt", "%Y%m%d")} AS admitted_at,
            {dated("nch_bene_dschrg_dt", "%Y%m%d")} AS discharged_at,
            'unknown' AS admission_type, 'medicare' AS payer, clm_drg_cd AS payment_group,
            {_sum(_COST)} AS total_cost, {_sum(_PATIENT_PAID)} AS patient_paid
        FROM claims WHERE segment_place = 1 ORDER BY _row""",
    )
    n_further = _count(source, "SELECT count(*) FROM claims WHERE segment_place > 1")
    if not n_further:
        return ()
    return (
        f"inpatient claims: {n_further} rows are further segments of a claim: their diagnoses belong to its "
        "one stay, their dates and amounts are left out.",
    )


def _diagnoses(source: Reader) -> Sequence[str]:
    """The admitting diagnosis, and the ten of every segment in their places."""
    codes = f"[{', '.join(_DIAGNOSES)}]"
    source.write(
        "diagnoses",
        f"""
        SELECT * EXCLUDE (_row) FROM (
        SELECT _row, clm_id AS stay_id, 'admitting' AS kind, 1 AS position, admtng_icd9_dgns_cd AS code
        FROM claims WHERE segment_place = 1 AND admtng_icd9_dgns_cd IS NOT NULL
        UNION ALL
        SELECT * FROM (
            SELECT _row, clm_id AS stay_id, 'discharge' AS kind,
                (segment_place - 1) * {len(_DIAGNOSES)} + generate_subscripts({codes}, 1) AS position,
                unnest({codes}) AS code
            FROM claims)
        WHERE code IS NOT NULL) ORDER BY _row, kind, position""",
    )
    return ()


def _procedures(source: Reader) -> Sequence[str]:
    """The first procedure of every segment."""
    source.write(
        "procedures",
        f"""
        SELECT clm_id AS stay_id, segment_place AS position, {_PROCEDURE} AS code
        FROM claims WHERE {_PROCEDURE} IS NOT NULL ORDER BY _row""",
    )
    n_misfiled = _count(
        source, f"SELECT {' + '.join(f'count({column})' for column in _MISFILED)} FROM claims"
    )
    if not n_misfiled:
        return ()
    return (
        f"inpatient claims: {n_misfiled} codes in ICD9_PRCDR_CD_2 to ICD9_PRCDR_CD_6 are left out: in the "
        "published files these columns hold diagnoses, not procedures.",
    )


def _visits(source: Reader) -> Sequence[str]:
    """One visit per outpatient claim, with what its first segment says; its services are those of all."""
    services = [name for name in source.columns("outpatient_claims") if name.startswith("hcpcs_cd_")]
    source.write(
        "visits",
        f"""
        WITH told AS (
            SELECT *, bool_or(list_has_any([{", ".join(services)}], {_EMERGENCY})) OVER (
                PARTITION BY clm_id, desynpuf_id) AS is_emergency
            FROM outpatient_claims
        )
        SELECT clm_id AS visit_id, desynpuf_id AS patient_id,
            {dated("clm_from_dt", "%Y%m%d")} AS visited_at,
            CASE WHEN is_emergency THEN 'emergency' ELSE 'outpatient' END AS kind,
            {_sum(_VISIT_COST)} AS cost
        FROM told WHERE segment_place = 1 ORDER BY _row""",
    )
    return ()


def _sum(columns: Sequence[str]) -> str:
    """SQL of the amounts' sum; null if one is, and an unreadable one as it stands, for the check to find."""
    amounts = [f"TRY_CAST({column} AS DECIMAL(18, 2))" for column in columns]
    unreadable = (
        f"CASE WHEN {amount} IS NULL THEN {column} END"
        for column, amount in zip(columns, amounts, strict=True)
    )
    return f"coalesce(CAST({' + '.join(amounts)} AS VARCHAR), {', '.join(unreadable)})"


def _count(source: Reader, sql: str) -> int:
    return int(source.data.execute(sql).fetchall()[0][0])
