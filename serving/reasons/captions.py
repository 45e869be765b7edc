"""What stands in the picture of a prediction beside its reasons, in each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serving.reasons.languages import Language


@dataclass(frozen=True)
class Captions:
    """`title` has the target and the prediction; `start` and `end` the values at both ends of the bars.

    `start_unknown` stands where it is not known what the base value means on the scale of the prediction.
    `standing` has the band, of `bands`, and how many percent of admissions are predicted less: a number, or
    `few` or `most` of them.
    `interval` has the level and both ends of an amount's interval, `open_interval` the lower one alone.
    `without` has the prediction without a reason. `axis` by scale. `others` has how many they are, which
    `others_unknown` does not know. `legend` by scale: what raises, what lowers.
    """

    title: str
    targets: Mapping[str, str]
    points: Mapping[str, str]
    about: str
    start: str
    start_unknown: str
    end: str
    bands: Mapping[str, str]
    standing: str
    few: str
    most: str
    interval: str
    open_interval: str
    without: str
    axis: Mapping[str, str]
    others: str
    others_unknown: str
    legend: Mapping[str, tuple[str, str]]
    note: str
    listed: str


CAPTIONS: Mapping[Language, Captions] = {
    Language.EN: Captions(
        title="{target}: {value}",
        targets={
            "readmission": "Risk of an unplanned readmission within 30 days of discharge",
            "readmission_or_death": "Risk of an unplanned readmission or death within 30 days of discharge",
            "complication": "Risk of a complication of care in this episode",
            "cost": "Expected cost of the episode",
            "charges": "Expected charges of the stay",
            "stay_days": "Expected length of stay",
        },
        points={
            "preadmission": "before admission",
            "admission": "at admission",
            "discharge": "at discharge",
        },
        about="Stay {stay}, predicted {point}{time}, model {model}",
        start="Start, before anything is known of the patient: {value}",
        start_unknown="Start, before anything is known of the patient",
        end="Prediction: {value}",
        bands={"low": "Low", "medium": "Medium", "high": "High"},
        standing="{band}; higher than in {percentile} % of the admissions it was calibrated on.",
        few="less than 1",
        most="more than 99",
        interval="In {level} of 100 such admissions it lies between {low} and {high}.",
        open_interval="In {level} of 100 such admissions it is at least {low}.",
        without="without it {value}",
        axis={
            "log_odds": "Risk",
            "log_money": "Expected amount in {currency}",
            "log_days": "Expected days",
        },
        others="{n} others together",
        others_unknown="All others together",
        legend={
            "log_odds": ("raises the risk", "lowers the risk"),
            "log_money": ("raises the expected amount", "lowers the expected amount"),
            "log_days": ("raises the expected length of stay", "lowers the expected length of stay"),
        },
        note="Each bar begins where the one above it ends; “without it” takes that reason alone off the "
        "prediction, so that it differs from both ends of the bar. This is how the model sees it, not a "
        "cause.",
        listed="Reasons by size",
    ),
    Language.ZH: Captions(
        title="{target}：{value}",
        targets={
            "readmission": "出院后 30 天内非计划再入院风险",
            "readmission_or_death": "出院后 30 天内非计划再入院或死亡风险",
            "complication": "本次诊疗期间发生并发症的风险",
            "cost": "预期诊疗总费用",
            "charges": "预期本次住院费用",
            "stay_days": "预期住院天数",
        },
        points={"preadmission": "入院前预测", "admission": "入院时预测", "discharge": "出院时预测"},
        about="住院编号 {stay}，{point}{time}，模型 {model}",
        start="起点（未考虑患者任何信息）：{value}",
        start_unknown="起点（未考虑患者任何信息）",
        end="预测值：{value}",
        bands={"low": "低", "medium": "中", "high": "高"},
        standing="{band}；高于校准所用住院病例中的 {percentile}%。",
        few="不足 1",
        most="逾 99",
        interval="每 100 例此类住院中，约 {level} 例的实际值在 {low}至 {high}之间。",
        open_interval="每 100 例此类住院中，约 {level} 例的实际值不低于 {low}。",
        without="去除后 {value}",
        axis={"log_odds": "风险", "log_money": "预期费用（{currency}）", "log_days": "预期天数"},
        others="其余 {n} 项合计",
        others_unknown="其余各项合计",
        legend={
            "log_odds": ("使风险升高", "使风险降低"),
            "log_money": ("使预期费用增加", "使预期费用减少"),
            "log_days": ("使预期住院天数增加", "使预期住院天数减少"),
        },
        note="每个条形从上一条的终点开始；“去除后”是从预测值中只去除这一项的结果，因此与条形两端的数值不同。这是模型的计算结果，不代表因果关系。",
        listed="按影响大小排列的原因",
    ),
}


def share_told(percentile: float, language: Language) -> str:
    """How many percent are predicted less, as `standing` has it: of those looked at, never all or none.

    >>> [share_told(share, Language.EN) for share in (0.942, 0.9981, 1.0, 0.0)]
    ['94', 'more than 99', 'more than 99', 'less than 1']
    """
    if percentile > 0.99:
        return CAPTIONS[language].most
    return CAPTIONS[language].few if percentile < 0.01 else f"{100 * percentile:.0f}"
