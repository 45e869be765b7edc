"""What the resources say in words, in each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serving.reasons.captions import CAPTIONS
from serving.reasons.languages import Language


@dataclass(frozen=True)
class FhirWords:
    """`outcomes` are what is predicted, by target; `headline` has target, value and band.

    `places` say what a band means: cuts at the 70th and 90th percentile of the model's calibration slice.
    `interval` has the level of an amount's interval, whose own words are those of its picture.
    """

    outcomes: Mapping[str, str]
    bands: Mapping[str, str]
    places: Mapping[str, str]
    headline: str
    patient: str
    method: str
    interval: str


FHIR_WORDS: Mapping[Language, FhirWords] = {
    Language.EN: FhirWords(
        outcomes={
            "readmission": "Unplanned readmission within 30 days of discharge",
            "readmission_or_death": "Unplanned readmission or death within 30 days of discharge",
            "complication": "Complication of care during this episode",
            "cost": "Expected cost of the episode",
            "charges": "Expected charges of this stay",
            "stay_days": "Expected length of this stay",
        },
        bands={"low": "low", "medium": "medium", "high": "high"},
        places={
            "low": "Low (lower seven tenths of the admissions)",
            "medium": "Medium (upper three tenths of the admissions, without the upper tenth)",
            "high": "High (upper tenth of the admissions)",
        },
        headline="{target}: {value} ({band}).",
        patient="The patient of the encounter",
        method="Model {model}, prediction point {point}",
        interval="{level} % prediction interval; an end that is left out is not bounded",
    ),
    Language.ZH: FhirWords(
        outcomes={
            **CAPTIONS[Language.ZH].targets,
            "readmission": "出院后 30 天内非计划再入院",
            "readmission_or_death": "出院后 30 天内非计划再入院或死亡",
            "complication": "本次诊疗期间发生并发症",
        },
        bands={"low": "低", "medium": "中", "high": "高"},
        places={
            "low": "低（住院病例中较低的 70%）",
            "medium": "中（住院病例中较高的 30%，最高的 10% 除外）",
            "high": "高（住院病例中最高的 10%）",
        },
        headline="{target}：{value}（{band}）。",
        patient="该次就诊的患者",
        method="模型 {model}，预测时点 {point}",
        interval="{level}% 预测区间；未给出的一端没有界限",
    ),
}
