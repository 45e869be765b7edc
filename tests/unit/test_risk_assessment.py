"""A stored prediction as FHIR R4, each element derived by hand from the answer that is stored."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from models.bands import CUT_QUANTILES
from serving.cds_hooks.settings import read_settings
from serving.fhir.outcome import outcome
from serving.fhir.risk_assessment import bundle
from serving.predictions.documents import EXAMPLE_ANSWER
from serving.problems import NO_PREDICTION, FieldError, Problem, invalid
from serving.reasons.languages import Language
from serving.store.predictions import Stored
from tests.stored import answer

Resource = dict[str, Any]


def validated(resource: Resource) -> Resource:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    return resource


def resources(stored: Stored, mitigations: dict[tuple[str, str], str] | None = None) -> list[Resource]:
    found = validated(bundle(stored, mitigations or {}))
    return [validated(entry["resource"]) for entry in found["entry"]]


def changed(stored: Stored, target: str, /, **facts: Any) -> Stored:
    document = copy.deepcopy(dict(stored.document))
    for prediction in document["predictions"]:
        if prediction["target"] == target:
            prediction |= facts
    return Stored(document, stored.department)


def with_facts(stored: Stored, **facts: Any) -> Stored:
    return Stored({**stored.document, **facts}, stored.department)


def amount(stored: Stored, **facts: Any) -> Resource:
    return resources(changed(stored, "cost", **facts))[1]


def test_a_probability_is_a_percentage_without_the_dust_of_binary_numbers() -> None:
    # In binary, 0.07 * 100 is 7.000000000000001.
    [risk] = resources(answer("S9", 0.07))
    assert risk["prediction"][0]["probabilityDecimal"] == 7.0
    assert resources(answer("S9", 1.0))[0]["prediction"][0]["probabilityDecimal"] == 100.0
    assert resources(answer("S9", 0.231456789))[0]["prediction"][0]["probabilityDecimal"] == 23.15


def test_amounts_have_two_decimals_wherever_they_stand() -> None:
    interval = {"level": 0.8, "low": 26100.123456, "high": 66900.987654}
    cost = amount(answer("S9", cost=41823.456789), interval=interval)
    assert cost["valueQuantity"]["value"] == 41823.46
    values = cost["component"][0]["valueRange"]
    assert (values["low"]["value"], values["high"]["value"]) == (26100.12, 66900.99)
    # Beyond two decimals a number stands nowhere in the resource.
    assert re.findall(r"\d\.\d{3,}", json.dumps(cost)) == []


def test_a_risk_names_its_encounter_model_time_and_outcome() -> None:
    [risk] = resources(answer("S9", 0.231))
    assert risk["status"] == "final"
    assert risk["encounter"] == {"reference": "Encounter/S9"}
    assert risk["basis"] == [{"reference": "Encounter/S9"}]
    assert risk["occurrenceDateTime"] == "2026-01-08T02:00:03Z"
    assert risk["method"]["coding"] == [{"system": "urn:wardcast:model", "code": "readmission-admission/7"}]
    outcome = risk["prediction"][0]["outcome"]
    assert outcome == {
        "coding": [{"system": "urn:wardcast:target", "code": "readmission"}],
        "text": "Unplanned readmission within 30 days of discharge",
    }


@pytest.mark.parametrize(
    ("band", "told"),
    [
        ("low", "Low (lower seven tenths of the admissions)"),
        ("medium", "Medium (upper three tenths of the admissions, without the upper tenth)"),
        ("high", "High (upper tenth of the admissions)"),
    ],
)
def test_the_band_is_a_place_among_admissions_and_no_likelihood(band: str, told: str) -> None:
    # Whoever is among the upper tenth may have a risk of 15 %: nobody would call that a high likelihood.
    risk, cost = resources(answer("S9", 0.15, band=band, cost=41800.0))
    assert risk["prediction"][0]["qualitativeRisk"] == {
        "coding": [{"system": "urn:wardcast:band", "code": band, "display": told}],
        "text": told,
    }
    [interpretation] = cost["interpretation"]
    assert interpretation["coding"][0]["system"] == "urn:wardcast:band"
    assert interpretation["coding"][0]["display"] == interpretation["text"]


def test_the_bands_are_cut_where_their_words_say() -> None:
    # 70 of 100 are low, 20 medium, 10 high.
    assert CUT_QUANTILES == (0.70, 0.90)


def test_the_rationale_is_the_reasons_in_words_and_says_that_they_are_no_causes() -> None:
    [risk] = resources(answer("S9"))
    assert risk["prediction"][0]["rationale"] == (
        "3 admissions in the last year (raises the risk). This is how the model sees it, not a cause."
    )


def test_before_the_discharge_thirty_days_count_from_a_day_to_come() -> None:
    when = resources(answer("S9"))[0]["prediction"][0]["whenRange"]
    assert (when["low"]["value"], when["high"]["value"], when["high"]["code"]) == (0, 30, "d")


def test_after_the_discharge_they_are_days_of_the_calendar() -> None:
    # 2026-01-20 and 30 days: 11 to the end of January, 19 of February.
    stored = answer("S9", point="discharge", time="2026-01-20T11:00:00")
    assert resources(stored)[0]["prediction"][0]["whenPeriod"] == {"start": "2026-01-20", "end": "2026-02-19"}
    # As of a day before the discharge, the day of that is not known.
    early = with_facts(stored, provisional=True)
    assert "whenPeriod" not in resources(early)[0]["prediction"][0]


def test_a_provisional_prediction_is_preliminary() -> None:
    stored = with_facts(answer("S9", cost=41800.0), provisional=True)
    assert [resource["status"] for resource in resources(stored)] == ["preliminary", "preliminary"]


def test_a_mitigation_is_there_for_its_target_and_band_alone() -> None:
    mitigations = read_settings().mitigations()
    [high] = resources(answer("S9", band="high"), mitigations)
    assert high["mitigation"] == (
        "Consider: a follow-up visit within 7 days of discharge; Consider: a check of the discharge plan and "
        "the medication. A clinician decides."
    )
    assert "mitigation" not in resources(answer("S9", band="low"), mitigations)[0]
    outside = with_facts(
        answer("S9", band="high"), warnings=["outside the models' population: died in hospital"]
    )
    assert "mitigation" not in resources(outside, mitigations)[0]


def test_warnings_of_the_answer_are_notes() -> None:
    [risk] = resources(answer("S9"))
    assert risk["note"] == [{"text": "Visits were not sent: what rests on them is not known."}]
    assert "note" not in resources(with_facts(answer("S9"), warnings=[]))[0]


def test_money_is_a_quantity_in_the_currency_of_iso_4217() -> None:
    cost = amount(answer("S9", cost=41800.0))
    assert cost["valueQuantity"] == {
        "value": 41800.0,
        "unit": "CNY",
        "system": "urn:iso:std:iso:4217",
        "code": "CNY",
    }
    assert cost["code"]["coding"] == [{"system": "urn:wardcast:target", "code": "cost"}]
    assert cost["effectiveDateTime"] == "2026-01-08"
    assert cost["issued"] == "2026-01-08T02:00:03Z"
    assert "component" not in cost


def test_days_are_counted_in_ucum() -> None:
    stay = amount(answer("S9", cost=1.0), target="stay_days", expected=6.5, unit="days", currency=None)
    assert stay["valueQuantity"] == {
        "value": 6.5,
        "unit": "d",
        "system": "http://unitsofmeasure.org",
        "code": "d",
    }


def test_the_interval_is_a_component_whose_open_end_is_left_out() -> None:
    interval = {"level": 0.8, "low": 26100.0, "high": 66900.0}
    [component] = amount(answer("S9", cost=41800.0), interval=interval)["component"]
    assert component["code"]["coding"][0]["code"] == "prediction-interval-80"
    assert {end: one["value"] for end, one in component["valueRange"].items()} == {
        "low": 26100.0,
        "high": 66900.0,
    }
    [open_ended] = amount(answer("S9", cost=41800.0), interval={**interval, "high": None})["component"]
    assert list(open_ended["valueRange"]) == ["low"]
    neither = {**interval, "low": None, "high": None}
    assert "component" not in amount(answer("S9", cost=41800.0), interval=neither)


def test_records_without_dates_have_no_date_of_the_prediction() -> None:
    stored = answer("S9", cost=41800.0, time=None)
    assert "effectiveDateTime" not in resources(stored)[1]


def test_an_identifier_that_is_no_id_of_fhir_is_an_identifier() -> None:
    [risk] = resources(answer("2026/0117 A"))
    assert risk["encounter"] == {"type": "Encounter", "identifier": {"value": "2026/0117 A"}}


def test_a_prediction_keeps_its_id_and_another_has_another() -> None:
    first, same = (resources(answer("S9"))[0]["id"] for _ in range(2))
    later = resources(answer("S9", scored_at="2026-01-09T02:00:03Z"))[0]["id"]
    assert first == same != later


def test_the_narrative_tells_what_the_prediction_rests_on() -> None:
    warned = ["outside the models' population: died in hospital"]
    [risk] = resources(with_facts(answer("S9"), provisional=True, warnings=warned))
    told = risk["text"]["div"]
    assert "Preliminary: made before its full time of observation." in told
    assert "Outside the models&#x27; population: died in hospital." in told


def narrative(resource: Resource) -> str:
    return re.sub("<[^>]*>", "", resource["text"]["div"])


def test_the_narrative_alone_tells_value_unit_band_and_interval() -> None:
    interval = {"level": 0.8, "low": 26100.0, "high": 66900.0}
    risk, cost = resources(changed(answer("S9", 0.231, cost=41800.0), "cost", interval=interval))
    assert narrative(risk).startswith(
        "Risk of an unplanned readmission within 30 days of discharge: 23 % (high). "
    )
    assert narrative(cost).startswith(
        "Expected cost of the episode: 41,800 CNY (high). "
        "In 80 of 100 such admissions it lies between 26,100 CNY and 66,900 CNY. "
    )


def days(interval: dict[str, Any] | None) -> Stored:
    facts = {"target": "stay_days", "expected": 6.5, "unit": "days", "currency": None, "scale": "log_days"}
    return changed(answer("S9", cost=1.0), "cost", **facts, interval=interval)


NO_REASONS: dict[str, Any] = {"reasons": [], "raw_output": -2.11}
FLAT = {"contribution": 0.0, "direction": "none", "prediction_without": 0.231}
LOW = {"level": 0.8, "low": 2.0, "high": None}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(
    "stored",
    [
        with_facts(answer("S9", cost=41800.0), provisional=True),
        with_facts(answer("S9", cost=41800.0), warnings=[]),
        changed(answer("S9"), "readmission", **NO_REASONS),
        changed(answer("S9", cost=1.0), "cost", **NO_REASONS),
        changed(
            answer("S9"), "readmission", reasons=[{**EXAMPLE_ANSWER["predictions"][0]["reasons"][0], **FLAT}]
        ),
        answer("S9", cost=0.0, time=None),
        answer("S9", 0.0),
        answer("S9", 1.0, point="discharge", time=None),
        days(LOW),
        days(None),
        days({**LOW, "low": None}),
        answer("2026/0117 A", point="preadmission"),
    ],
    ids=[
        *("provisional", "no warnings", "no reasons", "no reasons of an amount", "a reason of no effect"),
        *("no dates", "no risk", "certain, no dates", "days, open", "days", "days, no end", "no id of FHIR"),
    ],
)
def test_odd_predictions_are_valid_resources_in_both_languages(stored: Stored, language: Language) -> None:
    mitigations = read_settings().mitigations()
    document = validated(bundle(stored, mitigations, language))
    found = [validated(entry["resource"]) for entry in document["entry"]]
    # As somebody reads it who gets bytes.
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    for resource in found:
        assert resource["language"] == {"en": "en", "zh": "zh-Hans"}[language]
        assert {"en": "not a cause", "zh": "因果"}[language] in narrative(resource)
        # Nothing is there that holds nothing, which FHIR does not allow.
        assert not [name for name, value in resource.items() if value in ("", [], {}, None)]


def test_resources_in_chinese_have_no_word_of_english() -> None:
    interval = {"level": 0.8, "low": 26100.0, "high": 66900.0}
    stored = changed(
        with_facts(answer("S9", 0.231, cost=41800.0), provisional=True), "cost", interval=interval
    )
    document = bundle(stored, {}, Language.ZH)
    risk, cost = (entry["resource"] for entry in document["entry"])
    assert narrative(risk) == (
        "出院后 30 天内非计划再入院风险：23%（高）。初步预测：观察时间未满，结果仍可能变化。"
        "未提供门急诊就诊记录，相关信息按未知处理。近一年住院次数：3 次（使风险升高）。"
        "这是模型的计算结果，不代表因果关系。"
    )
    assert narrative(cost).startswith("预期诊疗总费用：41,800 元（高）。每 100 例此类住院中，约 80 例")
    assert cost["component"][0]["code"]["text"] == "80% 预测区间；未给出的一端没有界限"
    assert risk["prediction"][0]["outcome"]["text"] == "出院后 30 天内非计划再入院"


def test_texts_of_records_are_no_markup_of_the_narrative() -> None:
    stored = answer("S9")
    reason = {**stored.document["predictions"][0]["reasons"][0], "value": "<script>", "unit": ""}
    [risk] = resources(changed(stored, "readmission", reasons=[reason]))
    assert "<script>" not in risk["text"]["div"]
    assert "&lt;script&gt;" in risk["text"]["div"]


def test_a_problem_is_an_operation_outcome_with_its_kind_as_a_code() -> None:
    found = validated(outcome(Problem(NO_PREDICTION, "Store one.")))
    [issue] = found["issue"]
    assert (issue["severity"], issue["code"], issue["diagnostics"]) == ("error", "not-found", "Store one.")
    assert issue["details"]["coding"] == [{"system": "urn:wardcast:problem", "code": "no-prediction"}]
    two = validated(
        outcome(invalid([FieldError("hook", "is required"), FieldError("context", "is required")]))
    )
    assert [one["diagnostics"] for one in two["issue"]] == ["hook: is required", "context: is required"]
