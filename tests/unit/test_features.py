"""The catalogue: its fingerprint, and the facts that an extract may add."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import features.catalogue
import features.clock
from features.build import build
from features.catalogue import CATALOGUE, features_at, fingerprint
from features.codes import code_files
from features.points import Point
from features.tables import TableError
from tests.hospital import hospital

AGE = CATALOGUE["age_years"]
STAYS = """
    stay_id | patient_id | admitted_at | discharged_at
    1       | 7          | 2024-01-01  | 2024-01-05
    """


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({"description": "Other words.", "label": "Years", "maximum": 130}, False),
        ({"raises": ("cost",), "lowers": ("readmission",)}, False),
        ({"expression": "age_years + 1"}, True),
        ({"unit": "months"}, True),
        ({"when_none": 0}, True),
        ({"history_days": 30}, True),
        ({"needs": (CATALOGUE["admission_hour"],)}, True),
    ],
)
def test_the_fingerprint_follows_what_is_computed_not_how_it_is_worded(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], is_another: bool
) -> None:
    before = fingerprint(["age_years"])
    monkeypatch.setitem(CATALOGUE, "age_years", replace(AGE, **change))
    assert (fingerprint(["age_years"]) != before) == is_another


@pytest.mark.parametrize("part", ["EPISODE_STAYS_SQL", "THESE_STAYS_SQL"])
def test_the_fingerprint_follows_how_stays_are_linked(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    features.catalogue._machinery.cache_clear()
    before = fingerprint(["age_years"])
    monkeypatch.setattr(features.catalogue, part, "SELECT 1")
    features.catalogue._machinery.cache_clear()
    assert fingerprint(["age_years"]) != before
    monkeypatch.undo()
    features.catalogue._machinery.cache_clear()
    assert fingerprint(["age_years"]) == before


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("_MEASURED_VALUES_SQL", "SELECT 1"),
        ("_MEDICATION_COURSES_SQL", "SELECT 1"),
        ("_earlier_visits_sql", lambda _: "SELECT 1"),
    ],
)
def test_the_fingerprint_follows_how_records_are_cut(
    monkeypatch: pytest.MonkeyPatch, part: str, other: object
) -> None:
    features.catalogue._machinery.cache_clear()
    before = fingerprint(["age_years"])
    monkeypatch.setattr(features.clock, part, other)
    features.catalogue._machinery.cache_clear()
    assert fingerprint(["age_years"]) != before
    monkeypatch.undo()
    features.catalogue._machinery.cache_clear()


def test_the_fingerprint_follows_units_and_code_sets() -> None:
    named = {file.name for file in code_files()}
    assert {"measures_2025.csv", "measure_codes_2025.csv", "measure_units_2025.csv"} <= named
    assert {"medication_groups_2025.csv", "medication_mechanisms_2025.csv", "frailty_2018.csv"} <= named
    assert "oncology_departments_2025.csv" in named


def test_optional_features_are_built_on_request_alone() -> None:
    for point in Point:
        default, everything = features_at(point), features_at(point, optional=True)
        assert not any(feature.optional for feature in default)
        assert set(default) < set(everything)
        assert len(default) <= 155


def test_only_what_features_need_is_bits() -> None:
    assert not any(feature.type == "bits" for feature in CATALOGUE.values())


@pytest.mark.parametrize("name", ["label_readmission", "stay_id", "row_group_sex", "prediction_time", "Ä"])
def test_a_fact_cannot_take_the_name_of_a_label_or_key(tmp_path: Path, name: str) -> None:
    facts = f"stay_id | name | value | available_from\n1 | {name} | 1 | admission"
    extract = hospital(tmp_path, stays=STAYS, facts=facts)
    with pytest.raises(TableError, match="1 of 1 names cannot be used"):
        build(extract, Point.ADMISSION, tmp_path / "out.parquet")
