"""Reasons as sentences that a nurse reads, in English and in Chinese."""

from __future__ import annotations

import time

import numpy as np
import pytest

from serving.reasons import explain, sentence, tell
from serving.reasons.languages import Language, preferred
from serving.reasons.words import percent
from tests.explained import FIRST, SPECS, amount_model, predicted, risk_model, spec

EN, ZH = Language.EN, Language.ZH


def reason(feature, label, value, unit="", direction="raises", **more):
    return {"feature": feature, "label": label, "value": value, "unit": unit, "direction": direction, **more}


STAYS = ("n_stays_prior_365d", "Admissions in the last year")
HAEMOGLOBIN = ("haemoglobin_first_day", "Haemoglobin, first day")


@pytest.mark.parametrize(
    ("told", "english", "chinese"),
    [
        (reason(*STAYS, 3, "stays"),
         "3 admissions in the last year (raises the risk)", "近一年住院次数：3 次（使风险升高）"),
        (reason(*STAYS, 1, "stays", "lowers"),
         "1 admission in the last year (lowers the risk)", "近一年住院次数：1 次（使风险降低）"),
        (reason(*STAYS, 0, "stays", "lowers"),
         "No admissions in the last year (lowers the risk)", "近一年住院次数：0 次（使风险降低）"),
        (reason(*STAYS, None, "stays"),
         "Admissions in the last year: not recorded (raises the risk)",
         "近一年住院次数：无记录（使风险升高）"),
        (reason(*STAYS, None, "stays", missing="not_sent"),
         "Admissions in the last year: not sent (raises the risk)",
         "近一年住院次数：未提供（使风险升高）"),
        (reason("days_since_last_discharge", "Days since the last discharge", None, "days", missing="none"),
         "Days since the last discharge: none in the last year (raises the risk)",
         "距上次出院天数：近一年无（使风险升高）"),
        (reason("charges_so_far", "Charges so far", None, "CNY", "lowers", missing="none"),
         "Charges so far: none (lowers the risk)", "截至目前费用：无（使风险降低）"),
        (reason(*HAEMOGLOBIN, None, "g/dL", missing="none"),
         "Haemoglobin, first day: no result (raises the risk)",
         "血红蛋白，入院首日：无结果（使风险升高）"),
        (reason("hba1c_latest", "HbA1c, latest", None, "%", missing="none"),
         "HbA1c, latest: no result in the last year (raises the risk)",
         "糖化血红蛋白（HbA1c），最近一次：近一年无结果（使风险升高）"),
        (reason("creatinine_slope", "Creatinine, change a day", None, "mg/dL/d", missing="none"),
         "Creatinine, change a day: fewer than two results (raises the risk)",
         "肌酐，住院至今每日变化：不足两次结果（使风险升高）"),
        (reason("no_longer_built", "No longer built", None, missing="none"),
         "No longer built: none (raises the risk)", "No longer built：无（使风险升高）"),
        (reason("n_high_risk_medication_groups", "High-risk medication groups", 2, "groups"),
         "2 high-risk medication groups (raises the risk)", "高警示药品类别数：2 类（使风险升高）"),
        (reason("n_diagnoses", "Coded diagnoses of this stay", 1, "diagnoses", "lowers"),
         "1 coded diagnosis of this stay (lowers the risk)", "本次住院诊断数：1 个（使风险降低）"),
        (reason("n_combination_therapies", "Combination therapies", 1, "conditions"),
         "1 combination therapy (raises the risk)", "联合用药的病种数：1 种（使风险升高）"),
        (reason("days_since_last_discharge", "Days since the last discharge", 12, "days"),
         "12 days since the last discharge (raises the risk)", "距上次出院天数：12 天（使风险升高）"),
        (reason("days_since_last_discharge", "Days since the last discharge", 0, "days"),
         "0 days since the last discharge (raises the risk)", "距上次出院天数：0 天（使风险升高）"),
        (reason("hours_to_first_operation", "Hours from admission to the first operation", 5.5, "h"),
         "5.5 hours from admission to the first operation (raises the risk)",
         "入院至首次手术的时间：5.5 小时（使风险升高）"),
        (reason("length_of_stay_days", "Length of stay", 1, "days"),
         "Length of stay: 1 day (raises the risk)", "住院天数：1 天（使风险升高）"),
        (reason("age_years", "Age", 74, "years"),
         "Age: 74 years (raises the risk)", "年龄：74 岁（使风险升高）"),
        (reason(*HAEMOGLOBIN, 9.04, "g/dL"),
         "Haemoglobin, first day: 9.04 g/dL (raises the risk)",
         "血红蛋白，入院首日：9.04 g/dL（使风险升高）"),
        (reason(*HAEMOGLOBIN, None, "g/dL"),
         "Haemoglobin, first day: not recorded (raises the risk)",
         "血红蛋白，入院首日：无记录（使风险升高）"),
        (reason("white_cells_first_day", "White cells, first day", 12.3, "10*9/L"),
         "White cells, first day: 12.3 × 10⁹/L (raises the risk)",
         "白细胞计数，入院首日：12.3×10⁹/L（使风险升高）"),
        (reason("inr_first_day", "INR, first day", 1.3, "1"),
         "INR, first day: 1.3 (raises the risk)", "国际标准化比值（INR），入院首日：1.3（使风险升高）"),
        (reason("hba1c_latest", "HbA1c, latest", 8.1, "%"),
         "HbA1c, latest: 8.1 % (raises the risk)", "糖化血红蛋白（HbA1c），最近一次：8.1%（使风险升高）"),
        (reason("creatinine_slope", "Creatinine, change a day", -0.25, "mg/dL/d", "lowers"),
         "Creatinine, change a day: -0.25 mg/dL a day (lowers the risk)",
         "肌酐，住院至今每日变化：-0.25 mg/dL/天（使风险降低）"),
        (reason("charlson_score", "Charlson score", 1, "points"),
         "Charlson score: 1 point (raises the risk)", "Charlson 合并症指数：1 分（使风险升高）"),
        (reason("has_congestive_heart_failure", "Congestive heart failure", True),
         "Congestive heart failure: yes (raises the risk)", "充血性心力衰竭：有（使风险升高）"),
        (reason("takes_insulin", "Takes insulins", False, direction="lowers"),
         "Takes insulins: no (lowers the risk)", "使用胰岛素：否（使风险降低）"),
        (reason("has_combination_therapy_diabetes", "Combination therapy: diabetes", True),
         "Combination therapy, diabetes: yes (raises the risk)", "糖尿病联合用药：是（使风险升高）"),
        (reason("admission_source", "Admitted from", "other_hospital"),
         "Admitted from: other hospital (raises the risk)", "入院途径：其他医疗机构转入（使风险升高）"),
        (reason("principal_diagnosis_group", "Principal diagnosis",
                "Congestive heart failure; nonhypertensive"),
         "Principal diagnosis: Congestive heart failure; nonhypertensive (raises the risk)",
         "主要诊断：充血性心力衰竭，非高血压性（使风险升高）"),
        (reason("admission_department", "Admitting department", "心内科"),
         "Admitting department: 心内科 (raises the risk)", "入院科别：心内科（使风险升高）"),
        (reason("admission_weekday", "Weekday of admission", 7),
         "Weekday of admission: Sunday (raises the risk)", "入院星期：星期日（使风险升高）"),
        (reason("admission_month", "Month of admission", 2, direction="none"),
         "Month of admission: February (no effect)", "入院月份：2 月（无影响）"),
        (reason("admission_hour", "Hour of admission", 3, "h"),
         "Hour of admission: 03:00 to 03:59 (raises the risk)", "入院时点：3 时（使风险升高）"),
        (reason("ward_score", "Ward score", 4, "points"),
         "Ward score: 4 points (raises the risk)", "Ward score：4 分（使风险升高）"),
        (reason("falls", "本院跌倒评分", True), "本院跌倒评分: yes (raises the risk)",
         "本院跌倒评分：是（使风险升高）"),
    ],
)  # fmt: skip
def test_a_reason_reads_as_a_sentence(told, english, chinese):
    assert sentence(told) == english
    assert sentence(told, language=ZH) == chinese


@pytest.mark.parametrize(
    ("scale", "direction", "english", "chinese"),
    [
        ("log_money", "raises", "raises the expected amount", "使预期费用增加"),
        ("log_money", "lowers", "lowers the expected amount", "使预期费用减少"),
        ("log_days", "raises", "raises the expected length of stay", "使预期住院天数增加"),
        ("log_days", "lowers", "lowers the expected length of stay", "使预期住院天数减少"),
    ],
)
def test_money_has_its_currency_and_amounts_their_own_effects(scale, direction, english, chinese):
    cost = reason("stay_cost_prior_365d", "Cost of admissions in the last year", 18200.4, "CNY", direction)
    assert sentence(cost, scale=scale) == f"Cost of admissions in the last year: 18,200 CNY ({english})"
    assert sentence(cost, scale=scale, language=ZH) == f"近一年住院费用：18,200 元（{chinese}）"


def risk(probability: float, without: float, direction: str) -> dict:
    told = reason("age_years", "Age", 74, "years", direction, prediction_without=without, contribution=0.1)
    return {"scale": "log_odds", "probability": probability, "reasons": [told]}


@pytest.mark.parametrize(
    ("document", "english", "chinese"),
    [
        (risk(0.231, 0.148, "raises"),
         "The model's risk is 23 %; without what this adds, it would be 15 %.",
         "模型预测风险为 23%；若去除该因素增加的部分，则为 15%。"),
        (risk(0.0451, 0.0606, "lowers"),
         "The model's risk is 4.5 %; without what this takes off, it would be 6.1 %.",
         "模型预测风险为 4.5%；若去除该因素减少的部分，则为 6.1%。"),
        (risk(0.231, 0.2345, "lowers"),
         "The model's risk is 23 %; without this it would be about the same.",
         "模型预测风险为 23%；去除该因素后基本不变。"),
        (risk(0.0018, 0.0002, "raises"),
         "The model's risk is 0.2 %; without what this adds, it would be less than 0.1 %.",
         "模型预测风险为 0.2%；若去除该因素增加的部分，则为 <0.1%。"),
    ],
)  # fmt: skip
def test_the_effect_is_told_in_the_persons_own_terms_and_marked_as_the_models_view(
    document, english, chinese
):
    told = tell(document, EN)["reasons"][0]["effect"]
    assert told == f"{english} This is how the model sees it, not a cause."
    assert tell(document, ZH)["reasons"][0]["effect"] == f"{chinese}这是模型的计算结果，不代表因果关系。"


def amount(scale, expected, without, currency):
    told = reason("age_years", "Age", 74, "years", prediction_without=without, contribution=0.1)
    return {"scale": scale, "expected": expected, "currency": currency, "reasons": [told]}


def test_an_amount_without_what_a_reason_adds():
    money = amount("log_money", 41_823.0, 35_249.0, "CNY")
    assert tell(money, EN)["reasons"][0]["effect"].startswith(
        "The model expects 41,800 CNY; without what this adds, it would expect 35,200 CNY."
    )
    assert tell(money, ZH)["reasons"][0]["effect"].startswith(
        "模型预测费用为 41,800 元；若去除该因素增加的部分，则为 35,200 元。"
    )
    stay = amount("log_days", 14.4, 6.24, None)
    assert tell(stay, EN)["reasons"][0]["effect"].startswith(
        "The model expects 14 days; without what this adds, it would expect 6.2 days."
    )
    assert tell(stay, ZH)["reasons"][0]["effect"].startswith(
        "模型预测住院 14 天；若去除该因素增加的部分，则为 6.2 天。"
    )


def test_no_risk_reads_as_none_or_as_certain():
    # Just below and at each bound between the forms.
    assert percent(0.00099, sign="%") == ("<", "0.1%")
    assert percent(0.001, sign="%") == ("", "0.1%")
    assert percent(0.0994, sign="%") == ("", "9.9%")
    assert percent(0.0995, sign="%") == ("", "10%")
    assert percent(0.9949, sign="%") == ("", "99%")
    assert percent(0.995, sign="%") == (">", "99%")


def test_what_was_not_sent_is_told_apart_from_what_is_not_known():
    model = risk_model((*SPECS, spec("ward_score", "Ward score", "number", "points")))
    nothing = tuple([float("nan")] * 6)
    (explained,) = explain(model, predicted(model, [[1.0, 0.9, 0.8, 0.7, 0.6, 0.5]], [nothing]), limit=None)
    document = {"scale": "log_odds", "probability": 0.9, **explained}
    told = tell(document, EN, not_sent={"observations", "facts"})
    missing = {each["feature"]: each["missing"] for each in told["reasons"]}
    # Laboratory values rest on observations and stays, the hospital's own features on facts.
    assert missing["haemoglobin_first_day"] == missing["ward_score"] == "not_sent"
    assert missing["n_stays_prior_365d"] == missing["had_renal_disease"] == "not_known"
    # With that alone it stands there too what there was none of: values, but no earlier stay's codes.
    without = tell(document, EN, none={"n_unused_values", "n_stays_without_end"})
    assert {each["feature"]: each["missing"] for each in without["reasons"]} == {
        name: "none" if name == "haemoglobin_first_day" else "not_known" for name in missing
    }
    # Told again, in another language and without the request, it is still known which was not sent.
    again = tell(told, ZH)["reasons"]
    assert {each["feature"]: each["missing"] for each in again} == missing
    assert again[1]["sentence"] == "血红蛋白，入院首日：未提供（使风险升高）"


def test_what_is_known_is_not_missing():
    (explained,) = explain(risk_model(), predicted(risk_model(), [[1.0, 0, 0, 0, 0]], [FIRST]))
    told = tell({"scale": "log_odds", "probability": 0.7, **explained}, EN, not_sent={"stays"})
    assert told["reasons"][0]["missing"] is None


def test_a_family_is_told_as_a_whole():
    model = amount_model()
    parts = [[0.4, 0.0, 0.1, 0.0, -0.1]]
    (explained,) = explain(model, predicted(model, parts, [FIRST], base_value=9.0), by_family=True)
    document = {"scale": "log_money", "expected": 24_000.0, "currency": "CNY", **explained}
    english, chinese = (tell(document, language)["groups"][0] for language in (EN, ZH))
    assert english["sentence"] == "Earlier stays: 2 values together (raises the expected amount)"
    assert chinese["sentence"] == "既往住院：共 2 项（使预期费用增加）"
    # Twice exp(9.4 - 0.3) = 17,911.
    assert "it would expect 17,900 CNY" in english["effect"]
    assert english["reasons"][0]["sentence"].startswith("3 admissions in the last year (raises")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, EN),
        ("", EN),
        ("zh", ZH),
        ("zh-Hant-TW", ZH),
        ("zh-CN,zh;q=0.9,en;q=0.8", ZH),
        ("en-GB,en;q=0.9,zh;q=0.8", EN),
        ("de;q=1, zh;q=0.4, en;q=0.5", EN),
        ("fr, zh;q=0.1", ZH),
        ("zh;q=0, *", EN),
        ("zh;q=nan", EN),
        ("zh;q=much, en;q=0.1", EN),
        ("zha", EN),
        (";;,,=", EN),
        ("en;q=0.1," * 200 + "zh", EN),
    ],
)
def test_the_language_that_a_client_prefers(header, language):
    assert preferred(header) is language


def test_thirty_reasons_are_told_in_well_under_a_millisecond():
    model = risk_model()
    parts = np.tile([0.5, -0.4, 0.3, 0.2, 0.1], (6, 1)).tolist()
    documents = [
        {"scale": "log_odds", "probability": 0.7, **explained}
        for explained in explain(model, predicted(model, parts, [FIRST] * 6))
    ]

    def seconds(language: Language) -> float:
        started = time.perf_counter()
        for document in documents:
            tell(document, language, not_sent=["visits"])
        return time.perf_counter() - started

    for language in Language:
        assert min(seconds(language) for _ in range(50)) < 0.001
