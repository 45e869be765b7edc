"""What must be known before a prediction is acted upon: that it is preliminary, and its warnings.

Warnings of an answer are written for who sends records, and may be relied upon by programs. A person is told
the same here in whole sentences, wherever the prediction is shown: in a card, a picture, a resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from features.catalogue import CATALOGUE
from features.languages.chinese import feature_words, words
from features.scope import CONTINUES, OUTSIDE
from features.tables import not_sent
from serving.reasons.languages import WORDS, Language


@dataclass(frozen=True)
class _Said:
    """A warning and how it is told in each language, with the parts of it that vary."""

    warning: re.Pattern[str]
    told: Mapping[Language, str]


def _said(warning: str, english: str, chinese: str) -> _Said:
    return _Said(re.compile(warning), {Language.EN: english, Language.ZH: chinese})


PRELIMINARY: Mapping[Language, str] = {
    Language.EN: "Preliminary: made before its full time of observation.",
    Language.ZH: "初步预测：观察时间未满，结果仍可能变化。",
}
NOT_SENT = not_sent(r"(?P<table>\w+)")
LATER = r"(?P<n>\d+) rows lie after the prediction time and are ignored"
_NOT_YET_DISCHARGED = f"{OUTSIDE}not yet discharged"
_SAID = (
    _said(
        NOT_SENT,
        "{table} were not sent: what rests on them is not known.",
        "未提供{table}，相关信息按未知处理。",
    ),
    _said(
        LATER,
        "Rows of the records after the prediction time, not used: {n}.",
        "晚于预测时间的 {n} 条记录未采用。",
    ),
    _said(
        r"(?P<n>\d+) values are in a unit that is not known and are not used",
        "Values in a unit that is not known, not used: {n}.",
        "计量单位无法识别的 {n} 个数值未采用。",
    ),
    _said(
        r"observations: (?P<n>\d+) rows? outside the plausible range of their test: not used",
        "Values outside the plausible range of their test, not used: {n}.",
        "超出检验合理范围的 {n} 个数值未采用。",
    ),
    _said(
        r"observations: (?P<n>\d+) rows? with a code that no feature reads: not used",
        "Values with a code that is not read, not used: {n}.",
        "检验编码未被模型采用的 {n} 个数值未采用。",
    ),
    _said(
        r"medications: (?P<n>\d+) rows? with a code that is not ATC: counted, their groups are unknown",
        "Medications with a code that is not ATC, counted, of unknown group: {n}.",
        "{n} 条用药记录的编码不是 ATC 编码：已计数，药品类别按未知处理。",
    ),
    _said(
        r"facts: (?P<n>\d+) rows? that no model reads: not used",
        "Values supplied ready-made that no model reads, not used: {n}.",
        "模型未使用的 {n} 项现成数值未采用。",
    ),
    _said(
        r"facts: (?P<n>\d+) rows? known at a later prediction point only: not used",
        "Values supplied ready-made that are known later only, not used: {n}.",
        "预测时间点之后才可知的 {n} 项现成数值未采用。",
    ),
    _said(
        r"facts: (?P<n>\d+) rows? without the number that the model learned from: not used",
        "Values supplied ready-made that are no numbers, not used: {n}.",
        "{n} 项现成数值不是数字，未采用。",
    ),
    _said(
        r"history_from not sent: the history is taken as complete",
        "The records that were sent are taken as the whole history.",
        "所提供的记录视为患者的全部既往史。",
    ),
    _said(
        r"(?P<n>\d+) codes? (?:is|are) not in the code set of (?P<system>\w+): treated as unknown",
        "Codes that the code set {system} does not hold, counted as not known: {n}.",
        "{n} 个编码不在编码集 {system} 中，按未知处理。",
    ),
    _said(
        re.escape(_NOT_YET_DISCHARGED),
        "Not yet discharged: predicted as if the patient left now.",
        "患者尚未出院，按此刻出院预测。",
    ),
    _said(
        rf"{re.escape(OUTSIDE)}(?P<who>.+)",
        "Outside the models' population: {who}.",
        "不属于模型适用人群：{who}。",
    ),
    _said(
        r"(?P<feature>.+): not supplied; treated as missing",
        "Not supplied, counted as not known: {feature}.",
        "未提供“{feature}”，按未知处理。",
    ),
    _said(
        r"(?P<feature>.+): a level that the model does not know; treated as missing",
        "A value that the model does not know, counted as not known: {feature}.",
        "“{feature}”的取值模型未学习过，按未知处理。",
    ),
    _said(
        r"(?P<feature>.+): not a number; treated as missing",
        "Not a number, counted as not known: {feature}.",
        "“{feature}”不是数值，按未知处理。",
    ),
)
_TABLES: Mapping[str, str] = {"observations": "Laboratory values and scores"}
"""Tables whose name is none that a ward uses, in English."""
_WHO_IN_CHINESE: Mapping[str, str] = {
    "newborns": "新生儿",
    r"younger than (\S+) at admission": r"入院时未满 \1 岁",
    "age unknown": "年龄未知",
    "not booked before the admission": "入院前未预约",
    r"discharged or died within (\S+) hours of admission": r"入院后 \1 小时内出院或死亡",
    "died in hospital": "住院期间死亡",
    "left against medical advice": "非医嘱离院",
    "transferred to an acute hospital outside the extract": "转往数据范围以外的急性期医院",
    "admitted for delivery": "因分娩入院",
    "admitted for rehabilitation": "因康复治疗入院",
    "admitted for psychiatric care": "因精神科治疗入院",
    r"admitted for medical treatment of cancer \(without surgery\)": "因肿瘤内科治疗入院（无手术）",
    re.escape(CONTINUES.removeprefix(OUTSIDE)): (
        "本次住院是前一次住院的延续，既往史截至该次连续住院的首次入院，此类患者在首次入院时预测"
    ),
}


def cautions(answer: Mapping[str, Any], language: Language = Language.EN) -> list[str]:
    """Whole sentences about an answer of the API: that it is preliminary, if it is, then its warnings."""
    preliminary = [PRELIMINARY[language]] if answer["provisional"] else []
    return [*preliminary, *(caution(warning, language) for warning in answer["warnings"])]


def is_outside(answer: Mapping[str, Any]) -> bool:
    """Whether the answer is about somebody like whom the models learned from nobody.

    Nothing should be proposed for such a patient: a follow-up visit for one who died in hospital. A
    discharge that is being prepared is one to come: its prediction is preliminary, and no other's.
    """
    return any(
        warning.startswith(OUTSIDE) and warning != _NOT_YET_DISCHARGED for warning in answer["warnings"]
    )


def caution(warning: str, language: Language = Language.EN) -> str:
    """One warning as a sentence; one that is not known here is told in its own words.

    >>> caution("visits not sent: unknown, its features are missing")
    'Visits were not sent: what rests on them is not known.'
    >>> caution("outside the models' population: newborns", Language.ZH)
    '不属于模型适用人群：新生儿。'
    """
    for said in _SAID:
        if found := said.warning.fullmatch(warning):
            parts = {name: _part(name, text, language) for name, text in found.groupdict().items()}
            return said.told[language].format(**parts)
    return f"{warning.removesuffix('.')}{WORDS[language].stop}"


def _part(name: str, text: str, language: Language) -> str:
    """A part of a warning as it is read in the language."""
    if language is Language.EN:
        label = CATALOGUE[text].label if name == "feature" and text in CATALOGUE else text
        return _TABLES.get(text, text.capitalize()) if name == "table" else label
    if name == "table":
        return words("table").get(text, text)
    if name == "feature":
        return feature_words()[text].label if text in feature_words() else text
    if name == "who":
        return next(
            (
                found.expand(told)
                for who, told in _WHO_IN_CHINESE.items()
                if (found := re.fullmatch(who, text))
            ),
            text,
        )
    return text
