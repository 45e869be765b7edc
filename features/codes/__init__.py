"""Dated code sets: which category, planned-care rule or complication a diagnosis or procedure code means.

Every set is a CSV file beside this module; README.md gives each file's source, version and licence.
A file lists prefixes of codes (upper case, no dots), and the longest prefix of a code decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

# WHO's categories have four characters. National editions append digits of their own (GB/T 14396, the
# insurers' edition), which must not be read as the ICD-10-CM digits in the same place.
_WHO_LENGTH = 4
_WHO_SYSTEMS = ("icd10", "icd10gb", "icd10cn_insurance")
DIAGNOSIS_SYSTEMS = (*_WHO_SYSTEMS, "icd10cm", "icd9cm")
_ACUTE_FILES = {
    "icd9cm": "acute_diagnoses_icd9cm_2013.csv",
    "icd10cm": "acute_diagnoses_icd10cm_2019.csv",
    **dict.fromkeys(_WHO_SYSTEMS, "acute_diagnoses_icd10who_2019.csv"),
}
_SINGLE_PLANNED_FILES = {"icd9cm3": "planned_procedures_icd9cm3_2013.csv"}
# The seventh character of an ICD-10-CM injury: a first treatment, of a closed or an open fracture.
_INITIAL_ENCOUNTER = frozenset("ABC")
_PROCEDURE_FILES = {
    "icd9cm3": "ccs_procedure_icd9cm3_2015.csv",
    "icd10pcs": "ccs_procedure_icd10pcs_2019.csv",
}
PROCEDURE_SYSTEMS = tuple(_PROCEDURE_FILES)
COMPLICATION_CATEGORIES = (
    "procedural",
    "healthcare_associated_infection",
    "venous_thromboembolism",
    "pressure_injury",
    "acute_kidney_injury",
    "cardiac",
    "respiratory",
    "adverse_drug_event",
    "fall_trauma",
    "other",
)
"""The categories of complications, in the order of the definitions."""


@dataclass(frozen=True)
class PlannedRules:
    """The planned-readmission algorithm of the CMS measure, as AHRQ CCS category numbers.

    A return is planned if any procedure is in `always_planned_procedures` or the principal diagnosis is in
    `always_planned_diagnoses`; else if any procedure is potentially planned and the principal diagnosis is
    not acute; otherwise it is unplanned. `acute_diagnoses` are the categories that are acute as a whole in
    every code system; `acute_diagnoses(codes, system)` also knows those that are in part, and
    `single_planned_procedures(system)` the procedures outside `potentially_planned_procedures`.
    """

    always_planned_procedures: frozenset[int]
    always_planned_diagnoses: frozenset[int]
    potentially_planned_procedures: frozenset[int]
    acute_diagnoses: frozenset[int]


def code_files() -> list[Path]:
    """Return the files of all code sets, in the order of their names."""
    return sorted(Path(__file__).parent.glob("*.csv"))


def ccs_prefixes(system: str) -> pd.DataFrame:
    """Return the prefixes of diagnosis codes with their AHRQ CCS category: columns `prefix`, `ccs`.

    For icd10cm and icd9cm the longest prefix gives every official code its official category. WHO's
    ICD-10 and its national editions take, by their first four characters, the category that most of the
    ICD-10-CM codes below it have. Raises ValueError for a system without categories.
    """
    _check(system, DIAGNOSIS_SYSTEMS, "diagnosis")
    return _diagnosis_ccs(system).copy()


def procedure_ccs_prefixes(system: str) -> pd.DataFrame:
    """Return the prefixes of procedure codes with their AHRQ CCS category: columns `prefix`, `ccs`.

    Raises ValueError for a system without categories.
    """
    _check(system, PROCEDURE_SYSTEMS, "procedure")
    return _read(_PROCEDURE_FILES[system]).copy()


def longest_prefixes(codes: Iterable[str], prefixes: Collection[str]) -> dict[str, str | None]:
    """Return for every distinct code its longest prefix among `prefixes`, None where it has none."""
    known = frozenset(prefixes)
    lengths = sorted({len(prefix) for prefix in known}, reverse=True)
    return {
        code: next((code[:length] for length in lengths if code[:length] in known), None)
        for code in dict.fromkeys(codes)
    }


def categorise(codes: Iterable[str], prefixes: pd.DataFrame) -> dict[str, int | None]:
    """Return for every distinct code the CCS category of its longest prefix, None where it has none.

    `prefixes` has the columns `prefix` and `ccs`, as `ccs_prefixes` returns them.
    """
    categories: dict[str | None, int] = dict(
        zip(prefixes["prefix"].tolist(), prefixes["ccs"].tolist(), strict=True)
    )
    matched = longest_prefixes(codes, prefixes["prefix"].tolist())
    return {code: categories.get(prefix) for code, prefix in matched.items()}


@cache
def planned_rules() -> PlannedRules:
    """Return the four category sets of the planned-readmission algorithm."""
    categories = _read("planned_cms.csv").groupby("rule")["ccs"].agg(frozenset)
    return PlannedRules(
        always_planned_procedures=categories["always_planned_procedure"],
        always_planned_diagnoses=categories["always_planned_diagnosis"],
        potentially_planned_procedures=categories["potentially_planned_procedure"],
        acute_diagnoses=categories["acute_diagnosis"],
    )


def acute_diagnoses(codes: Collection[str], system: str) -> dict[str, bool]:
    """Return whether the measure counts each code, as a principal diagnosis, as acute.

    The longest prefix that the system's list names decides; then the code's category in that list, for
    injuries by ICD-10-CM only at the first treatment (seventh character A, B or C, where there is one); then
    the categories that are acute in every system. Raises ValueError for a system without the list.
    """
    _check(system, DIAGNOSIS_SYSTEMS, "diagnosis")
    table = _read(_ACUTE_FILES[system])
    is_single = table["prefix"] != ""
    single = _by_key(table[is_single], "prefix", "is_acute")
    at_first_treatment = _by_key(table[~is_single], "ccs", "initial_encounter_only")
    everywhere = planned_rules().acute_diagnoses
    category = categorise(codes, ccs_prefixes(system))
    prefix = longest_prefixes(codes, single)

    def is_acute(code: str) -> bool:
        named, ccs = prefix[code], category[code]
        if named is not None:
            return single[named]
        if ccs in at_first_treatment:
            return not at_first_treatment[ccs] or len(code) < 7 or code[6] in _INITIAL_ENCOUNTER
        return ccs in everywhere

    return {code: is_acute(code) for code in dict.fromkeys(codes)}


def single_planned_procedures(system: str) -> dict[str, bool]:
    """Return the prefixes of the potentially planned procedures that the measure names singly.

    The value says whether it is an operation. Empty for a system whose list is not here. Raises ValueError
    for a system without categories.
    """
    _check(system, PROCEDURE_SYSTEMS, "procedure")
    if system not in _SINGLE_PLANNED_FILES:
        return {}
    return _by_key(_read(_SINGLE_PLANNED_FILES[system]), "prefix", "is_operation")


def index_exclusions() -> dict[int, str]:
    """Return the CCS categories of a principal diagnosis that is no index admission at discharge.

    The reason is `cancer_treatment` (only without surgery: the caller's to check), `psychiatric`,
    `rehabilitation` or `delivery`.
    """
    table = _read("index_exclusions_cms.csv")
    return dict(zip(table["ccs"].tolist(), table["rule"].tolist(), strict=True))


def complication_categories(system: str) -> pd.DataFrame:
    """Return the complication code set: `prefix`, `category`, `present_on_admission_impossible`.

    The longest prefix decides. A code counts when it was not present on admission;
    `present_on_admission_impossible` marks the codes that name a complication of care by definition,
    for extracts without flags. Raises ValueError for a system without the set.
    """
    _check(system, DIAGNOSIS_SYSTEMS, "diagnosis")
    return _complications(system).copy()


@cache
def ccs_titles(kind: str) -> dict[int, str]:
    """Return the title of every CCS category of `kind`: diagnosis or procedure."""
    table = _read(f"ccs_{kind}_titles_2019.csv")
    return dict(zip(table["ccs"].tolist(), table["title"].tolist(), strict=True))


def _check(system: str, known: tuple[str, ...], kind: str) -> None:
    if system not in known:
        raise ValueError(
            f"code_systems: no categories for the {kind} code system {system!r}. Use one of: "
            f"{', '.join(known)}."
        )


@cache
def _diagnosis_ccs(system: str) -> pd.DataFrame:
    if system == "icd9cm":
        return _read("ccs_diagnosis_icd9cm_2015.csv")
    table = _read("ccs_diagnosis_icd10cm_2019.csv")
    if system == "icd10cm":
        return table
    added = _read("ccs_diagnosis_icd10who_2019.csv")[["prefix", "ccs"]]
    return _who_part(pd.concat([added, table])).drop_duplicates("prefix").reset_index(drop=True)


@cache
def _complications(system: str) -> pd.DataFrame:
    name = "complications_icd9cm_2015.csv" if system == "icd9cm" else "complications_icd10_2025.csv"
    table = _read(name)
    if system in _WHO_SYSTEMS:
        table = _who_part(table).reset_index(drop=True)
    impossible = table["cannot_be_present_on_admission"].astype(bool)
    return table[["prefix", "category"]].assign(present_on_admission_impossible=impossible)


def _by_key(table: pd.DataFrame, key: str, flag: str) -> dict[Any, bool]:
    return dict(zip(table[key].tolist(), table[flag].astype(bool).tolist(), strict=True))


def _who_part(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["prefix"].str.len() <= _WHO_LENGTH]


@cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(__file__).with_name(name), dtype={"prefix": "str"}, keep_default_na=False)
