"""Comorbidities of single diagnosis codes, as bits: Charlson, Elixhauser, LACE's conditions and frailty.

The mappings of the first three are those of Quan et al., Med Care 2005;43(11):1130-9, taken from the package
pycomorb; names, weights and the severe form that supersedes a mild one are dated files in `features/codes`.
A patient's flags are the bitwise OR over the patient's codes; only then does the severe form
supersede the mild one (`score_sql`). Frailty is the Hospital Frailty Risk Score, which is defined for ICD-10
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from features.rule_files import rule_rows

Hierarchy = tuple[tuple[str, str], ...]

_ICD_VERSIONS = {
    "icd10": "icd10",
    "icd10cm": "icd10",
    "icd10gb": "icd10",
    "icd10cn_insurance": "icd10",
    "icd9cm": "icd9",
}
# Beyond this number codes are looked up every time: made-up codes cannot fill the memory of a server.
_MAX_REMEMBERED = 500_000


@dataclass(frozen=True)
class Condition:
    """One comorbidity: `bit` is its value in a bitmask (a power of two)."""

    name: str
    label: str
    bit: int


@dataclass(frozen=True)
class CharlsonCondition(Condition):
    """`weight_1987`: Charlson 1987; `weight_quan2011`: Quan, Am J Epidemiol 2011;173(6):676-82."""

    weight_1987: int
    weight_quan2011: int
    pycomorb_category: str


@dataclass(frozen=True)
class ElixhauserCondition(Condition):
    """`weight_van_walraven`: van Walraven, Med Care 2009;47(6):626-33."""

    weight_van_walraven: int
    pycomorb_category: str


@dataclass(frozen=True)
class LaceCondition(Condition):
    """`points` of LACE's comorbidity part; `charlson` names the Charlson conditions that mean it."""

    points: int
    charlson: tuple[str, ...]


def _rows(name: str) -> list[dict[str, str]]:
    rows = rule_rows(Path(__file__).with_name(name))
    return [row | {"bit": str(1 << position)} for position, row in enumerate(rows)]


def _hierarchy(rows: Iterable[Mapping[str, str]]) -> Hierarchy:
    return tuple((row["superseded_by"], row["name"]) for row in rows if row["superseded_by"])


_CHARLSON_ROWS = _rows("comorbidities_charlson_2011.csv")
_ELIXHAUSER_ROWS = _rows("comorbidities_elixhauser_2009.csv")
_LACE_ROWS = _rows("comorbidities_lace_2010.csv")

CHARLSON: tuple[CharlsonCondition, ...] = tuple(
    CharlsonCondition(
        name=row["name"],
        label=row["label"],
        bit=int(row["bit"]),
        weight_1987=int(row["weight_1987"]),
        weight_quan2011=int(row["weight_quan2011"]),
        pycomorb_category=row["pycomorb_category"],
    )
    for row in _CHARLSON_ROWS
)
ELIXHAUSER: tuple[ElixhauserCondition, ...] = tuple(
    ElixhauserCondition(
        name=row["name"],
        label=row["label"],
        bit=int(row["bit"]),
        weight_van_walraven=int(row["weight_van_walraven"]),
        pycomorb_category=row["pycomorb_category"],
    )
    for row in _ELIXHAUSER_ROWS
)
LACE_CONDITIONS: tuple[LaceCondition, ...] = tuple(
    LaceCondition(
        name=row["name"],
        label=row["label"],
        bit=int(row["bit"]),
        points=int(row["points"]),
        charlson=tuple(row["charlson"].split()),
    )
    for row in _LACE_ROWS
)
# Pairs (severe, mild) of condition names: where both are present, only the severe one counts.
CHARLSON_HIERARCHY = _hierarchy(_CHARLSON_ROWS)
ELIXHAUSER_HIERARCHY = _hierarchy(_ELIXHAUSER_ROWS)
LACE_HIERARCHY = _hierarchy(_LACE_ROWS)

# Quan's mapping has one renal flag, LACE two. Charlson's "moderate or severe" is a creatinine above
# 3 mg/dL, dialysis, transplant or uraemia: kidney disease of stage 4 or worse, or replacement therapy.
SEVERE_RENAL_PREFIXES: dict[str, tuple[str, ...]] = {
    "icd10": ("N180", "N184", "N185", "N186", "I120", "I1311", "Z49", "Z940", "Z992"),
    "icd9": (
        *("5854", "5855", "5856", "V56", "V420", "V451"),
        *("40301", "40311", "40391", "40402", "40403", "40412", "40413", "40492", "40493"),
    ),
}


_FRAILTY_ROWS = _rows("frailty_2018.csv")
# A mask holds 63 bits; the score has 109 categories.
_FRAILTY_LOW = _FRAILTY_ROWS[:60]
_FRAILTY_HIGH = _FRAILTY_ROWS[60:]
_FRAILTY_LENGTH = 3


def _frailty_bits(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    return {row["prefix"]: 1 << place for place, row in enumerate(rows)}


_FRAILTY_LOW_BITS = _frailty_bits(_FRAILTY_LOW)
_FRAILTY_HIGH_BITS = _frailty_bits(_FRAILTY_HIGH)


def frailty_flags(codes: Sequence[str], system: str) -> pd.DataFrame:
    """The frailty categories of diagnosis codes as two bitmasks: `code`, `frailty_low`, `frailty_high`.

    Null for a system that is not ICD-10: there the score is not defined.
    """
    is_defined = _ICD_VERSIONS.get(system) == "icd10"
    prefixes = [code[:_FRAILTY_LENGTH] for code in codes]
    masks = {
        name: pd.Series([bits.get(prefix, 0) if is_defined else None for prefix in prefixes], dtype="Int64")
        for name, bits in (("frailty_low", _FRAILTY_LOW_BITS), ("frailty_high", _FRAILTY_HIGH_BITS))
    }
    return pd.DataFrame({"code": pd.Series(list(codes), dtype="str"), **masks})


def frailty_score_sql(low: str, high: str) -> str:
    """Return the SQL of the Hospital Frailty Risk Score from a patient's two bitmasks.

    Weights are tenths below 128: binary digit by binary digit, the categories whose weight has it are
    counted at once.
    """
    terms = [
        f"{1 << digit} * bit_count({mask} & {plane})::INTEGER"
        for mask, rows in ((low, _FRAILTY_LOW), (high, _FRAILTY_HIGH))
        for digit in range(7)
        if (plane := sum(1 << n for n, row in enumerate(rows) if int(row["weight_tenths"]) >> digit & 1))
    ]
    return f"(({' + '.join(terms)}) / 10)"


def comorbidity_flags(codes: Sequence[str], system: str) -> pd.DataFrame:
    """Return the comorbidities of every distinct diagnosis code, as bitmasks.

    Columns `code`, `charlson`, `elixhauser`, `lace` (integers), one row per distinct code in the order of
    first appearance; the bits are those of CHARLSON, ELIXHAUSER and LACE_CONDITIONS, before the severity
    hierarchy. A code that means no comorbidity has zeros. Codes are remembered, so that a known code is
    only looked up once in a process. Raises ValueError for a system that pycomorb cannot map.
    """
    if system not in _ICD_VERSIONS:
        raise ValueError(
            f"code_systems: no comorbidities for the diagnosis code system {system!r}. Use one of: "
            f"{', '.join(_ICD_VERSIONS)}."
        )
    version = _ICD_VERSIONS[system]
    remembered = _remembered()
    wanted = list(dict.fromkeys(codes))
    flags = {code: remembered[version, code] for code in wanted if (version, code) in remembered}
    unknown = [code for code in wanted if code not in flags]
    if unknown:
        found = _look_up(unknown, version)
        flags |= found
        if len(remembered) + len(found) <= _MAX_REMEMBERED:
            remembered.update({(version, code): masks for code, masks in found.items()})
    columns = ["charlson", "elixhauser", "lace"]
    table = pd.DataFrame([flags[code] for code in wanted], columns=columns, dtype="int64")
    table.insert(0, "code", pd.Series(wanted, dtype="str"))
    return table


def score_sql(bits: str, points: Mapping[Condition, int], hierarchy: Hierarchy) -> str:
    """Return the SQL of a patient's score: the points of the conditions present, severe before mild.

    `bits` is the SQL of the patient's bitmask: the bitwise OR over the patient's codes.
    """
    bit_of = {condition.name: condition.bit for condition in points}
    terms = []
    for condition, weight in points.items():
        worse = sum(bit_of[severe] for severe, mild in hierarchy if mild == condition.name)
        alone = f" AND {bits} & {worse} = 0" if worse else ""
        if weight:
            terms.append(f"{weight} * ({bits} & {condition.bit} > 0{alone})::INTEGER")
    return f"({' + '.join(terms)})"


@cache
def _remembered() -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return the one dictionary (ICD version, code) → masks in which looked-up codes are remembered."""
    return {}


def _look_up(codes: list[str], version: str) -> dict[str, tuple[int, int, int]]:
    # Imported here: polars takes longer to load than most commands take to run.
    import polars as pl
    import pycomorb

    # Every code is a patient of its own, so that pycomorb's exclusions between codes cannot act.
    patients = pl.DataFrame({"id": codes, "code": codes, "age": [0] * len(codes)})
    charlson = pycomorb.CharlsonComorbidityIndex(
        patients, icd_version=version, implementation="quan", return_categories=True
    )
    elixhauser = pycomorb.ElixhauserComorbidityIndex(
        patients, icd_version=version, implementation="quan", return_categories=True
    )
    charlson_masks = _masks(charlson, CHARLSON)
    elixhauser_masks = _masks(elixhauser, ELIXHAUSER)
    return {
        code: (charlson_masks[code], elixhauser_masks[code], _lace_mask(code, charlson_masks[code], version))
        for code in codes
    }


def _masks(
    indicators: Any, conditions: Sequence[CharlsonCondition] | Sequence[ElixhauserCondition]
) -> dict[str, int]:
    masks = dict.fromkeys(indicators["id"].to_list(), 0)
    for condition in conditions:
        present = indicators.filter(indicators[condition.pycomorb_category] == 1)
        for code in present["id"].to_list():
            masks[code] |= condition.bit
    return masks


def _lace_mask(code: str, charlson_mask: int, version: str) -> int:
    charlson = {condition.name for condition in CHARLSON if charlson_mask & condition.bit}
    names = {condition.name for condition in LACE_CONDITIONS if charlson.intersection(condition.charlson)}
    if "renal_disease" in charlson and code.startswith(SEVERE_RENAL_PREFIXES[version]):
        names = names - {"mild_liver_or_renal"} | {"moderate_or_severe_liver_or_renal"}
    return sum(condition.bit for condition in LACE_CONDITIONS if condition.name in names)
