"""Every warning of the product is told in both languages, as a whole sentence."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from features.catalogue import CATALOGUE, features_at
from features.cohort import steps
from features.dataset import CodeSystems
from features.online import OnlineFeatures
from features.points import Point
from features.scope import scope_warnings
from features.settings import DEFAULT_SETTINGS
from features.tables import TABLES, not_sent
from models.encoding import Oddity
from serving.predictions.documents import EXAMPLE_REQUEST
from serving.reasons.cautions import PRELIMINARY, caution, cautions, is_outside
from serving.reasons.languages import Language
from serving.requests.reading import read_request, to_admission
from tests.admission_rows import FACT
from tests.unit.test_languages import is_chinese

SYSTEMS = CodeSystems(diagnosis="icd10gb", procedure="icd9cm3")


def outside() -> list[str]:
    """Why the population of any point does not hold an admission, at this and at other settings."""
    others = dataclasses.replace(DEFAULT_SETTINGS, minimum_age=16, landmark_hours=6.5)
    return [
        warning
        for settings in (DEFAULT_SETTINGS, others)
        for point in Point
        for step in steps(point, settings, has_timeline=True)
        for warning in scope_warnings(step.name, True, point, settings, has_timeline=True)
    ]


def of_records() -> list[str]:
    """What the records of one admission may be warned of, told by the very code that warns."""
    content = copy.deepcopy(EXAMPLE_REQUEST)
    records = content["records"]
    records["diagnoses"] = [{"stay_id": "S9", "kind": "admitting", "position": 1, "code": "U998"}]
    value = {"patient_id": "P7", "code": "718-7", "value": 9.1}
    records["observations"] = [
        value | {"taken_at": "2026-01-07T11:00:00", "unit": "thimbles"},
        value | {"taken_at": "2026-01-17T11:00:00", "unit": "g/dL"},
        value | {"taken_at": "2026-01-07T11:00:00", "unit": "g/dL", "value": 132},
        value | {"taken_at": "2026-01-07T11:00:00", "unit": "g/dL", "code": "HAUS-17"},
    ]
    records["medications"] = [{"patient_id": "P7", "started_at": "2026-01-07T11:00:00", "code": "LOCAL17"}]
    records["facts"] = [
        {"stay_id": "S9", "name": name, "value": "much", "available_from": point}
        for name, point in (("unread", "admission"), ("score", "admission"), ("late", "discharge"))
    ]
    for name in ("procedures", "charges", "visits"):
        records.pop(name, None)
    content.pop("history_from", None)
    request = read_request(content, max_rows=100)
    admission = to_admission(request, "Asia/Shanghai", SYSTEMS, is_dated=True)
    online = OnlineFeatures(SYSTEMS, DEFAULT_SETTINGS)
    facts = [dataclasses.replace(FACT, name=name) for name in ("score", "late")]
    return online.rows([admission], facts).warnings[0]


def of_tables() -> list[str]:
    read = {name for point in Point for feature in features_at(point) for name in feature.tables}
    return [not_sent(name) for name in TABLES if name in read and TABLES[name].owner and name not in
            ("patients", "stays")]  # fmt: skip


def of_features() -> list[str]:
    everywhere = np.ones(1, dtype=bool)
    meanings = ("not supplied", "a level that the model does not know", "not a number")
    return [str(Oddity("admission_type", meaning, everywhere)) for meaning in meanings]


def test_the_records_of_this_test_are_warned_of_in_every_way():
    told = " ".join(of_records())
    for words in ("after the prediction time", "a unit that is not known", "history_from not sent",
                  "not in the code set of icd10gb", "1 row outside the plausible range",
                  "1 row with a code that no feature reads", "1 row with a code that is not ATC",
                  "1 row that no model reads", "1 row known at a later prediction point",
                  "1 row without the number"):  # fmt: skip
        assert words in told


@pytest.mark.parametrize("warning", [*outside(), *of_records(), *of_tables(), *of_features()])
def test_every_warning_has_words_in_both_languages(warning):
    english, chinese = caution(warning), caution(warning, Language.ZH)
    assert english != f"{warning}."
    assert english[0].isupper()
    assert english.endswith(".")
    assert "_" not in english
    assert is_chinese(chinese)
    assert chinese.endswith("。")
    # No word is left in English; names of code sets are names.
    assert not set("abcdefghijklmnopqrstuvwxyz") & set(chinese.replace("icd10gb", "").replace("icd9cm3", ""))
    # A number that one language tells stands in the other.
    assert sorted(filter(str.isdigit, chinese)) == sorted(filter(str.isdigit, english))


def test_words_are_those_of_a_ward():
    assert caution("visits not sent: unknown, its features are missing", Language.ZH) == (
        "未提供门急诊就诊记录，相关信息按未知处理。"
    )
    assert caution("outside the models' population: younger than 18 at admission", Language.ZH) == (
        "不属于模型适用人群：入院时未满 18 岁。"
    )
    assert caution("observations not sent: unknown, its features are missing") == (
        "Laboratory values and scores were not sent: what rests on them is not known."
    )
    label = CATALOGUE["admission_type"].label
    assert caution("admission_type: not a number; treated as missing") == (
        f"Not a number, counted as not known: {label}."
    )


def test_a_warning_that_is_not_known_stands_as_it_is():
    assert caution("the moon is full") == "the moon is full."
    assert caution("the moon is full", Language.ZH) == "the moon is full。"


def test_a_patient_who_has_not_left_yet_is_one_of_whom_the_models_know() -> None:
    told = {
        step.name: scope_warnings(step.name, False, point, DEFAULT_SETTINGS, has_timeline=True)
        for point in Point
        for step in steps(point, DEFAULT_SETTINGS, has_timeline=True)
    }
    known = {name for name, warnings in told.items() if not is_outside({"warnings": warnings})}
    assert known == {"still_in_hospital"}
    assert not is_outside({"warnings": of_tables()})


def test_that_it_is_preliminary_stands_first():
    answer = {"provisional": True, "warnings": ["history_from not sent: the history is taken as complete"]}
    assert cautions(answer) == [
        "Preliminary: made before its full time of observation.",
        "The records that were sent are taken as the whole history.",
    ]
    assert cautions(answer, Language.ZH)[0] == PRELIMINARY[Language.ZH]
    assert cautions({"provisional": False, "warnings": []}) == []
