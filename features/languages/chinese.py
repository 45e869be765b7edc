"""The catalogue in simplified Chinese, in the terms of Chinese hospitals and of their inpatient front page.

Dated files beside this module: what each feature is called, with its measure word and what its flag answers;
families, units, currencies and the values of categories; the titles of the diagnosis and procedure groups.
What they do not hold – an extract's own features, names of departments and payers – keeps its own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from features.codes import ccs_titles
from features.rule_files import rule_rows

TITLED = {
    "admitting_diagnosis_group": "diagnosis",
    "principal_diagnosis_group": "diagnosis",
    "planned_procedure_group": "procedure",
    "main_procedure_group": "procedure",
}
"""The features whose values are titles of CCS categories, with their kind."""


@dataclass(frozen=True)
class FeatureWords:
    """A feature in Chinese: `unit` stands after its value, `yes` and `no` are the answers of a flag."""

    label: str
    unit: str
    yes: str
    no: str


@cache
def feature_words() -> dict[str, FeatureWords]:
    """Every feature of the catalogue by name."""
    return {
        row["feature"]: FeatureWords(row["label"], row["unit"], row["yes"], row["no"])
        for row in _rows("features_zh_2026.csv")
    }


@cache
def words(kind: str) -> dict[str, str]:
    """The words of a kind: family, unit, currency, table of records, or a feature's name for its values."""
    return {row["name"]: row["word"] for row in _rows("words_zh_2026.csv") if row["kind"] == kind}


@cache
def level_words(feature: str) -> dict[str, str]:
    """A category's levels, as the data set holds them; empty where they are the hospital's own words."""
    kind = TITLED.get(feature)
    if kind is None:
        return words(feature)
    titles = ccs_titles(kind)
    rows = _rows("ccs_titles_zh_2026.csv")
    return {titles[int(row["ccs"])]: row["title"] for row in rows if row["kind"] == kind}


def _rows(name: str) -> list[dict[str, str]]:
    return rule_rows(Path(__file__).with_name(name))
