"""What each code means: one row per distinct code with its groups, flags and rules.

Codes are looked up once per distinct code and joined to the records, however many rows carry them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import duckdb
import pandas as pd

from features.codes import (
    COMPLICATION_CATEGORIES,
    acute_diagnoses,
    categorise,
    ccs_prefixes,
    ccs_titles,
    complication_categories,
    index_exclusions,
    longest_prefixes,
    planned_rules,
    procedure_ccs_prefixes,
    single_planned_procedures,
)
from features.codes.comorbidity import comorbidity_flags, frailty_flags
from features.codes.measures import MEASURE_FLAG_COLUMNS, measure_flags
from features.codes.medications import MEDICATION_FLAG_COLUMNS, medication_flags
from features.dataset import DataSet
from features.tables import DIAGNOSES, MEDICATIONS, OBSERVATIONS, PROCEDURES

_COMPLICATION_BITS = {category: 1 << place for place, category in enumerate(COMPLICATION_CATEGORIES)}
CodedAs = tuple[str, str]
"""A code and its code system."""
FlagsOf = Callable[[list[str], str], pd.DataFrame]


def register_code_flags(con: duckdb.DuckDBPyConnection, dataset: DataSet) -> None:
    """Create the flags of a data set's codes: of diagnoses, procedures, medications and measures."""
    systems = dataset.declaration.code_systems
    codes = {
        "diagnoses": _distinct(con, dataset.select(DIAGNOSES), systems.diagnosis or ""),
        "procedures": _distinct(con, dataset.select(PROCEDURES), systems.procedure or ""),
    }
    medications = con.sql(f"SELECT DISTINCT code FROM ({dataset.select(MEDICATIONS)})").fetchall()
    measured = con.sql(f"SELECT DISTINCT code, unit FROM ({dataset.select(OBSERVATIONS)})").fetchall()
    plain = plain_flags_for((code for (code,) in medications), measured)
    for name, flags in (code_flags_for(codes) | plain).items():
        con.register("flags_in", flags)
        con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM flags_in")
        con.unregister("flags_in")


def code_flags_for(codes: Mapping[str, Iterable[CodedAs]]) -> dict[str, pd.DataFrame]:
    """The flags of the given codes: `diagnosis_flags` and `procedure_flags`, one row per code and system."""
    return {
        "diagnosis_flags": _by_system(codes["diagnoses"], _diagnosis_flags, _DIAGNOSIS_COLUMNS),
        "procedure_flags": _by_system(codes["procedures"], _procedure_flags, _PROCEDURE_COLUMNS),
    }


def flag_types() -> dict[str, dict[str, str]]:
    """The SQL types of the columns of every table of flags, by name, as tables made of them have them."""
    columns = {
        "diagnosis_flags": _DIAGNOSIS_COLUMNS,
        "procedure_flags": _PROCEDURE_COLUMNS,
        "medication_flags": MEDICATION_FLAG_COLUMNS,
        "measure_flags": MEASURE_FLAG_COLUMNS,
    }
    return {
        table: {name: _SQL_TYPES[kind] for name, kind in kinds.items()} for table, kinds in columns.items()
    }


def plain_flags_for(
    medications: Iterable[str], measured: Iterable[tuple[str, str]]
) -> dict[str, pd.DataFrame]:
    """The flags of medication codes and of measured (code, unit) pairs, which name no code system."""
    return {"medication_flags": medication_flags(medications), "measure_flags": measure_flags(measured)}


def _distinct(con: duckdb.DuckDBPyConnection, select: str, system: str) -> list[CodedAs]:
    sql = f"SELECT DISTINCT code, coalesce(code_system, '{system}') FROM ({select}) ORDER BY ALL"
    return [(code, code_system) for code, code_system in con.sql(sql).fetchall()]


_SQL_TYPES = {
    "str": "VARCHAR",
    "bool": "BOOLEAN",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "Int64": "BIGINT",
    "float64": "DOUBLE",
}
_DIAGNOSIS_COLUMNS = {
    "code": "str",
    "code_system": "str",
    "charlson": "int64",
    "elixhauser": "int64",
    "lace": "int64",
    "frailty_low": "Int64",
    "frailty_high": "Int64",
    "ccs_title": "str",
    "exclusion": "str",
    "is_always_planned": "bool",
    "is_acute": "bool",
    "complication_category": "str",
    "complication": "int64",
    "complication_cannot_be_present": "bool",
}
_PROCEDURE_COLUMNS = {
    "code": "str",
    "code_system": "str",
    "ccs_title": "str",
    "is_always_planned": "bool",
    "is_potentially_planned": "bool",
    "is_surgery": "bool",
}


# The measure's potentially planned procedures are the nearest published list of major operations; these
# CCS categories among them are diagnostic, non-operative, lithotripsy, radiation and chemotherapy.
_NOT_OPERATIONS = frozenset({38, 40, 107, 159, 163, 211, 224})


def _by_system(codes: Iterable[CodedAs], flags_of: FlagsOf, columns: Mapping[str, str]) -> pd.DataFrame:
    of_system: dict[str, list[str]] = {}
    for code, system in codes:
        of_system.setdefault(system, []).append(code)
    frames = [
        flags_of(sorted(found), system).assign(code_system=system)
        for system, found in sorted(of_system.items())
        if found
    ]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
    return pd.concat(frames, ignore_index=True)[list(columns)].astype(dict(columns))


def _categories(codes: list[str], prefixes: pd.DataFrame) -> dict[str, int]:
    """The CCS category of each code; 0, which is no category, where it has none."""
    return {code: category or 0 for code, category in categorise(codes, prefixes).items()}


def _diagnosis_flags(codes: list[str], system: str) -> pd.DataFrame:
    rules = planned_rules()
    excluded = index_exclusions()
    titles = ccs_titles("diagnosis")
    ccs = _categories(codes, ccs_prefixes(system))
    acute = acute_diagnoses(codes, system)
    complications = complication_categories(system)
    prefix_of = longest_prefixes(codes, complications["prefix"].tolist())
    by_prefix = complications.set_index("prefix")
    category = by_prefix["category"].to_dict()
    impossible = by_prefix["present_on_admission_impossible"].to_dict()
    own = pd.DataFrame(
        {
            "code": codes,
            "ccs_title": [titles.get(ccs[code]) for code in codes],
            "exclusion": [excluded.get(ccs[code]) for code in codes],
            "is_always_planned": [ccs[code] in rules.always_planned_diagnoses for code in codes],
            "is_acute": [acute[code] for code in codes],
            "complication_category": [category.get(prefix_of[code]) for code in codes],
            # One bit a category: cheap to gather over the codes of an episode.
            "complication": [_COMPLICATION_BITS.get(category.get(prefix_of[code], ""), 0) for code in codes],
            "complication_cannot_be_present": [bool(impossible.get(prefix_of[code])) for code in codes],
        }
    )
    own = own.merge(frailty_flags(codes, system), on="code", how="left", validate="one_to_one")
    return own.merge(comorbidity_flags(codes, system), on="code", how="left", validate="one_to_one")


def _procedure_flags(codes: list[str], system: str) -> pd.DataFrame:
    rules = planned_rules()
    titles = ccs_titles("procedure")
    ccs = _categories(codes, procedure_ccs_prefixes(system))
    operations = rules.potentially_planned_procedures - _NOT_OPERATIONS
    single = single_planned_procedures(system)
    prefix_of = longest_prefixes(codes, single)
    return pd.DataFrame(
        {
            "code": codes,
            "ccs_title": [titles.get(ccs[code]) for code in codes],
            "is_always_planned": [ccs[code] in rules.always_planned_procedures for code in codes],
            "is_potentially_planned": [
                ccs[code] in rules.potentially_planned_procedures or prefix_of[code] is not None
                for code in codes
            ],
            "is_surgery": [
                ccs[code] in operations or single.get(prefix_of[code] or "", False) for code in codes
            ],
        }
    )
