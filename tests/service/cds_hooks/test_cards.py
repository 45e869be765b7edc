"""CDS Hooks: what stands on a card."""

from __future__ import annotations

import datetime as dt
import json
import re
from uuid import UUID

import pytest
import sqlalchemy as sa
from fhir.resources.R4B import get_fhir_model_class

from serving.cds_hooks.settings import CdsSettings
from tests.cds_service import (
    OPEN_STAY,
    REASON,
    KnownAnswers,
    Service,
    charges,
    risk,
)
from tests.fhir_records import prefetch
from tests.stored import answer


def test_a_high_risk_is_a_card_and_a_low_one_is_none(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert card["summary"] == "Unplanned readmission within 30 days of discharge: 23 % (high)"
    assert card["indicator"] == "warning"
    assert card["source"]["label"] == "wardcast"
    assert card["source"]["topic"]["code"] == "admission-prediction"
    assert "- 3 admissions in the last year (raises the risk)" in card["detail"]
    assert "readmission-admission/7" in card["detail"]
    assert UUID(card["uuid"])


def test_a_medium_risk_informs(engine: sa.Engine, cds: CdsSettings) -> None:
    service = Service(KnownAnswers(risk("readmission", 0.1, "medium")), engine, cds)
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert card["indicator"] == "info"


def test_suggestions_are_valid_fhir_about_this_patient_and_encounter(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert card["selectionBehavior"] == "any"
    assert [one["label"] for one in card["suggestions"]] == [
        "Consider: a follow-up visit within 7 days of discharge",
        "Consider: a check of the discharge plan and the medication",
    ]
    kinds = []
    for suggestion in card["suggestions"]:
        assert UUID(suggestion["uuid"])
        [action] = suggestion["actions"]
        assert action["type"] == "create"
        resource = action["resource"]
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        kinds.append(resource["resourceType"])
        assert "{{" not in json.dumps(resource)
        assert resource["encounter"] == {"reference": "Encounter/S9"}
        assert {"reference": "Patient/P7"} in (resource.get("subject"), resource.get("for"))
    assert kinds == ["ServiceRequest", "Task"]


def test_reasons_to_override_have_words(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert [one["display"] for one in card["overrideReasons"]] == [
        "Already planned or done",
        "Does not apply to this patient",
        "I assess the risk differently",
        "The patient declined",
    ]
    assert {one["system"] for one in card["overrideReasons"]} == {"urn:wardcast:override-reason"}


def test_every_card_has_another_uuid(service: Service) -> None:
    uuids = [service.cards("encounter-start", prefetch(OPEN_STAY))[0]["uuid"] for _ in range(2)]
    assert uuids[0] != uuids[1]


def test_a_card_tells_what_its_prediction_rests_on(engine: sa.Engine, cds: CdsSettings) -> None:
    warnings = (
        "outside the models' population: died in hospital",
        "charges not sent: unknown, its features are missing",
        "history_from not sent: the history is taken as complete",
        "2 values are in a unit that is not known and are not used",
        "observations not sent: unknown, its features are missing",
    )
    answers = KnownAnswers(risk("readmission", 0.231, "high"), warnings=warnings)
    [card] = Service(answers, engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    # What the prediction is worth first, then what the records lack, the shortest line first.
    assert (
        "- Preliminary: made before its full time of observation.\n"
        "- Outside the models' population: died in hospital.\n"
        "- Counted from a discharge alive and to no other hospital, which is still to come.\n"
        "- Values in a unit that is not known, not used: 2.\n"
        "- The records that were sent are taken as the whole history.\n"
        "- Not sent, so not known to the model: charges, laboratory values and scores.\n\n"
    ) in card["detail"]


def test_a_card_keeps_to_few_lines_about_the_records(engine: sa.Engine, cds: CdsSettings) -> None:
    warnings = [f"{n} codes are not in the code set of icd{n}: treated as unknown" for n in range(2, 9)]
    answers = KnownAnswers(risk("complication", 0.4, "high"), warnings=warnings)
    [card] = Service(answers, engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    # Seven notes: the four shortest, and how many there are beside them.
    assert card["detail"].count("that the code set") == 4
    assert "- Further notes on the records: 3." in card["detail"]


def test_a_card_long_after_its_prediction_time_says_what_is_not_part_of_it(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    warnings = ("7 rows lie after the prediction time and are ignored",)
    answers = KnownAnswers(risk("readmission", 0.231, "high"), warnings=warnings)
    # The stay began on the 7th at 10:00 in Shanghai, its landmark is 24 hours later, the chart is opened on
    # the 10th at 10:00.
    service = Service(answers, engine, cds, now=dt.datetime(2026, 1, 10, 2, 0, tzinfo=dt.UTC))
    [card] = service.cards("patient-view", prefetch(OPEN_STAY))
    later = "- As of 2026-01-08 10:00 (Asia/Shanghai): what was recorded since then is not part of it."
    assert later in card["detail"]
    assert "Rows of the records after" not in card["detail"]
    [soon] = Service(answers, engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    assert "what was recorded since then" not in soon["detail"]
    assert "- Rows of the records after the prediction time, not used: 7." in soon["detail"]


@pytest.mark.parametrize(
    ("percentile", "told"),
    [(1.0, "more than 99 %"), (0.9962, "more than 99 %"), (0.94, "94 %"), (0.0, "less than 1 %")],
)
def test_nobody_is_told_to_be_above_all_admissions(
    engine: sa.Engine, cds: CdsSettings, percentile: float, told: str
) -> None:
    found = risk("readmission", 0.231, "high") | {"percentile": percentile}
    [card] = Service(KnownAnswers(found), engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    assert f"(high; higher than in {told} of the admissions it was calibrated on)" in card["detail"]


def test_nothing_is_proposed_for_whom_the_models_do_not_know(engine: sa.Engine, cds: CdsSettings) -> None:
    # A follow-up visit for a patient who died would be worse than no card.
    warnings = ("outside the models' population: died in hospital",)
    answers = KnownAnswers(risk("readmission", 0.6, "high"), warnings=warnings)
    [card] = Service(answers, engine, cds).cards("encounter-discharge", prefetch(OPEN_STAY))
    assert card["indicator"] == "info"
    assert "suggestions" not in card
    assert "- Outside the models' population: died in hospital." in card["detail"]
    # Who is about to leave is whom a follow-up visit is for.
    answers.warnings = ["outside the models' population: not yet discharged"]
    [leaving] = Service(answers, engine, cds).cards("encounter-discharge", prefetch(OPEN_STAY))
    assert leaving["indicator"] == "warning"
    assert "- Not yet discharged: predicted as if the patient left now." in leaving["detail"]
    assert len(leaving["suggestions"]) == 2


def test_an_interval_without_an_upper_end_says_at_least(engine: sa.Engine, cds: CdsSettings) -> None:
    open_ended = charges("high")
    open_ended["interval"]["high"] = None
    [card] = Service(KnownAnswers(open_ended), engine, cds).cards("order-sign", prefetch(OPEN_STAY))
    assert "In 80 of 100 such admissions it is at least 26,100 CNY." in card["detail"]


def test_texts_of_records_are_no_markdown(engine: sa.Engine, cds: CdsSettings) -> None:
    prediction = risk("readmission", 0.231, "high")
    prediction["reasons"] = [
        {**REASON, "feature": "ward", "label": "Department", "value": "[click](http://x)<b>", "unit": ""}
    ]
    [card] = Service(KnownAnswers(prediction), engine, cds).cards("encounter-start", prefetch(OPEN_STAY))
    assert r"\[click\](http://x)\<b\>" in card["detail"]


def test_a_title_of_any_length_makes_a_summary_below_140_characters(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    wordy = cds.model_copy(update={"targets": {**cds.targets, "readmission": "Readmission " * 20}})
    [card] = Service(KnownAnswers(risk("readmission", 0.2, "high")), engine, wordy).cards(
        "encounter-start", prefetch(OPEN_STAY)
    )
    assert len(card["summary"]) == 139
    assert card["summary"].endswith("…")


def test_a_card_in_chinese_has_no_word_of_english(engine: sa.Engine, chinese: CdsSettings) -> None:
    warnings = (
        "outside the models' population: newborns",
        "visits not sent: unknown, its features are missing",
    )
    answers = KnownAnswers(charges("high"), risk("readmission", 0.231, "high"), warnings=warnings)
    service = Service(answers, engine, chinese)
    [card] = service.cards("order-sign", prefetch(OPEN_STAY))
    assert card["summary"] == "预期本次住院费用：41,800 元（高）"
    for told in (
        "**预期本次住院费用：41,800 元**（高；高于校准所用住院病例中的 94%）",
        "每 100 例此类住院中，约 80 例的实际值在 26,100 元至 66,900 元之间。",
        "- 近一年住院次数：3 次（使预期费用增加）",
        "- **出院后 30 天内非计划再入院风险：23%**（高；高于校准所用住院病例中的 94%）",
        "- 本次诊疗期间发生并发症的风险：未预测",
        "- 初步预测：观察时间未满，结果仍可能变化。\n- 不属于模型适用人群：新生儿。\n",
        "- 未提供、按未知处理：门急诊就诊记录。",
        "这是模型的计算结果，不代表因果关系。最终由临床医生决定。",
    ):
        assert told in card["detail"]
    known = Service(KnownAnswers(risk("readmission", 0.231, "high")), engine, chinese)
    [risky] = known.cards("patient-view", prefetch(OPEN_STAY))
    labels = [one["label"] for one in risky["suggestions"]]
    assert labels == ["可考虑：出院后 7 天内随访", "可考虑：核对出院计划和用药"]
    assert [one["display"] for one in risky["overrideReasons"]] == [
        *("已安排或已完成", "不适用于该患者", "本人对风险的判断不同", "患者拒绝")
    ]
    # The names of models and time zones are names.
    for one in (card, risky):
        told = one["summary"] + re.sub(r"[a-z]+-admission/\d|Asia/Shanghai", "", one["detail"])
        assert re.findall("[A-Za-z]+", told) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_summary_of_any_target_and_value_is_below_140_characters(
    engine: sa.Engine, cds: CdsSettings, chinese: CdsSettings, language: str
) -> None:
    settings = {"en": cds, "zh": chinese}[language]
    for target in settings.targets:
        found = (
            charges("medium")
            if target in ("charges", "cost", "stay_days")
            else risk(target, 0.0004, "medium")
        )
        found |= {"target": target} | ({"expected": 1_284_067_000.0} if "expected" in found else {})
        only = settings.services[0].model_copy(update={"targets": [target]})
        service = Service(KnownAnswers(found), engine, settings.model_copy(update={"services": [only]}))
        [card] = service.cards("patient-view", prefetch(OPEN_STAY))
        assert len(card["summary"]) < 140
        assert "…" not in card["summary"]


def test_a_stored_answer_of_a_card_is_what_the_api_gives() -> None:
    # The made-up predictions above have the fields of the API's own.
    assert set(risk("readmission", 0.2, "high")) == set(answer("S9").document["predictions"][0])
