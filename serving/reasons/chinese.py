"""Reasons in simplified Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.languages.chinese import feature_words, level_words, words
from models.units import Scale
from serving.reasons.none import NoneOf, none_of
from serving.reasons.words import Words, days, money, number, percent

_MISSING = {"not_known": "无记录", "not_sent": "未提供"}
_NONE: Mapping[NoneOf, str] = {
    "none": "无",
    "none_in_year": "近一年无",
    "no_result": "无结果",
    "no_result_in_year": "近一年无结果",
    "fewer_than_two_results": "不足两次结果",
}
_ATTACHED = ("%", "×", "/")


def _statement(reason: Mapping[str, Any]) -> str:
    known = feature_words().get(reason.get("feature", ""))
    return f"{known.label if known else reason['label']}：{_value(reason)}"


def _value(reason: Mapping[str, Any]) -> str:
    value, feature = reason["value"], reason.get("feature", "")
    known = feature_words().get(feature)
    if value is None:
        missing = reason.get("missing") or "not_known"
        return _NONE[none_of(feature)] if missing == "none" else _MISSING[missing]
    if isinstance(value, bool):
        yes, no = (known.yes, known.no) if known and known.yes else ("是", "否")
        return yes if value else no
    if isinstance(value, str):
        return level_words(feature).get(value, value.replace("_", " "))
    named = words(feature).get(str(value)) if known else None
    if named:
        return named
    unit = known.unit if known and known.unit else _unit(reason["unit"])
    return f"{number(value)}{'' if not unit or unit.startswith(_ATTACHED) else ' '}{unit}"


def _unit(unit: str) -> str:
    return words("unit").get(unit) or words("currency").get(unit, "" if unit == "1" else unit)


def _family(family: str, n: int) -> str:
    return f"{words('family').get(family, family)}：共 {n} 项"


def _amount(value: float, scale: Scale, currency: str | None) -> str:
    if scale == "log_odds":
        bound, share = percent(value, sign="%")
        return bound + share
    if scale == "log_days":
        return f"{days(value)} 天"
    return f"{money(value)} {_unit(currency or '')}".rstrip()


_RISK, _EXPECTED, _STAYS = "模型预测风险为 {now}；", "模型预测费用为 {now}；", "模型预测住院 {now}；"
_ADDS, _TAKES = "若去除该因素增加的部分，则为 {without}。", "若去除该因素减少的部分，则为 {without}。"
_SAME = "去除该因素后基本不变。"

CHINESE = Words(
    tag="zh-Hans",
    statement=_statement,
    family=_family,
    told="{statement}（{effect}）",
    effects={
        ("log_odds", "raises"): "使风险升高",
        ("log_odds", "lowers"): "使风险降低",
        ("log_odds", "none"): "无影响",
        ("log_money", "raises"): "使预期费用增加",
        ("log_money", "lowers"): "使预期费用减少",
        ("log_money", "none"): "无影响",
        ("log_days", "raises"): "使预期住院天数增加",
        ("log_days", "lowers"): "使预期住院天数减少",
        ("log_days", "none"): "无影响",
    },
    amount=_amount,
    currency=_unit,
    effect={
        (scale, direction): start + end
        for scale, start in (("log_odds", _RISK), ("log_money", _EXPECTED), ("log_days", _STAYS))
        for direction, end in (("raises", _ADDS), ("lowers", _TAKES), ("none", _SAME))
    },
    not_a_cause="这是模型的计算结果，不代表因果关系。",
    gap="",
    stop="。",
    semicolon="；",
)
