"""The catalogue in Chinese is whole: no feature, family, unit or known value is left in English."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import features.languages
from features.catalogue import CATALOGUE, FAMILY_OF
from features.codes import ccs_titles
from features.languages.chinese import TITLED, feature_words, level_words, words
from features.tables import TABLES
from serving.reasons.families import SUPPLIED

FOLDER = Path(features.languages.__file__).parent
WITHOUT_WORDS = {"currency", "1", ""}
"""Units of money depend on the data set, and a ratio has none."""


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_feature_has_a_label_of_its_own_and_no_other_stands_there():
    assert list(feature_words()) == list(CATALOGUE)
    assert len(rows("features_zh_2026.csv")) == len(CATALOGUE)
    # HbA1c and NT-proBNP are Chinese hospitals' own names, but each stands with Chinese words.
    assert [name for name, each in feature_words().items() if not is_chinese(each.label)] == []


def test_no_two_features_share_a_label_but_a_plan_and_whether_there_is_one():
    names: dict[str, list[str]] = {}
    for name, each in feature_words().items():
        names.setdefault(each.label, []).append(name)
    shared = [group for group in names.values() if len(group) > 1]
    assert shared == [["planned_procedure_group", "has_planned_procedure"]]


@pytest.mark.parametrize("feature", CATALOGUE.values(), ids=lambda feature: feature.name)
def test_every_value_has_its_unit_or_its_answers(feature):
    chinese = feature_words()[feature.name]
    assert (bool(chinese.yes), bool(chinese.no)) == (feature.type == "flag",) * 2
    if feature.unit not in WITHOUT_WORDS:
        assert chinese.unit
    # An age in years is 岁; an hour of the day is no duration.
    elif feature.name != "admission_month":
        assert chinese.unit == ""


def test_every_unit_and_family_has_its_words():
    units = {feature.unit for feature in CATALOGUE.values()} - {"currency", ""}
    assert units <= words("unit").keys()
    assert {*FAMILY_OF.values(), SUPPLIED} == words("family").keys()
    assert all(is_chinese(word) for word in words("family").values())


def test_a_feature_has_the_words_of_its_unit():
    others = {
        name: each.unit
        for name, each in feature_words().items()
        if each.unit != words("unit").get(CATALOGUE[name].unit, "")
    }
    assert others == {"age_years": "岁", "admission_hour": "时", "admission_month": "月"}


@pytest.mark.parametrize(
    ("feature", "table"),
    [
        ("sex", "patients"),
        ("admission_type", "stays"),
        ("admission_source", "stays"),
        ("discharge_disposition", "stays"),
    ],
)
def test_every_allowed_value_of_a_category_has_its_word(feature, table):
    (column,) = [each for each in TABLES[table].columns if each.name == feature]
    assert column.allowed
    assert set(column.allowed) == level_words(feature).keys()


@pytest.mark.parametrize(("feature", "kind"), TITLED.items())
def test_every_group_of_diagnoses_and_procedures_has_its_title(feature, kind):
    assert CATALOGUE[feature].type == "category"
    titles = level_words(feature)
    assert set(titles) == set(ccs_titles(kind).values())
    assert len(set(titles.values())) == len(titles)
    assert [title for title in titles.values() if not is_chinese(title)] == []


def test_names_of_departments_and_payers_are_the_hospitals_own():
    others = [f.name for f in CATALOGUE.values() if f.type == "category" and not level_words(f.name)]
    assert others == ["admission_department", "payer", "discharge_department"]


def test_every_row_of_words_is_read_once_and_says_where_it_is_from():
    known = {"family", "unit", "currency", "table", *CATALOGUE}
    found = rows("words_zh_2026.csv")
    assert {row["kind"] for row in found} <= known
    assert len({(row["kind"], row["name"]) for row in found}) == len(found)
    assert all(row["source"] for row in [*found, *rows("features_zh_2026.csv")])


def test_the_terms_are_those_of_chinese_hospitals():
    labels = {name: each.label for name, each in feature_words().items()}
    assert labels["creatinine_first_day"] == "肌酐，入院首日"
    assert labels["haemoglobin_at_discharge"] == "血红蛋白，出院前末次"
    assert labels["charlson_score"] == "Charlson 合并症指数"
    assert labels["discharge_disposition"] == "离院方式"
    assert level_words("discharge_disposition")["against_advice"] == "非医嘱离院"
    assert level_words("main_procedure_group")["Cesarean section"] == "剖宫产术"
