"""A stored prediction as FHIR R4: risks as RiskAssessment, amounts as Observation, in one Bundle.

One RiskAssessment per risk, because `method` names one model. R4 knows no value of type Money in an
Observation: amounts are quantities, money with the currency of ISO 4217 as its unit, days in UCUM. The
interval is a component with a Range: `referenceRange` would say what is normal, which a prediction is not.
Source: http://hl7.org/fhir/R4/riskassessment.html, http://hl7.org/fhir/R4/observation.html
"""

from __future__ import annotations

import datetime as dt
import html
import re
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from serving.fhir.words import FHIR_WORDS
from serving.reasons import sentence, shortened
from serving.reasons.captions import CAPTIONS
from serving.reasons.cautions import cautions, is_outside
from serving.reasons.languages import WORDS, Language
from serving.reasons.sentences import interval_told, value_of
from serving.store.predictions import Stored

Resource = dict[str, Any]

TARGETS, BANDS, MODELS, COMPONENTS = (
    "urn:wardcast:target",
    "urn:wardcast:band",
    "urn:wardcast:model",
    "urn:wardcast:component",
)
ISO_4217 = "urn:iso:std:iso:4217"
UCUM = "http://unitsofmeasure.org"
FOLLOW_UP_DAYS = 30

DECIMALS = 2
"""Of amounts and of percentages: more is not known, and nobody counts in it."""

AFTER_DISCHARGE = ("readmission", "readmission_or_death")
"""Targets that are counted from the discharge on."""
_NAMESPACE = uuid.UUID("6d0c6ad8-9e0a-5a53-8f5e-0b6f2f4f4a53")
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def bundle(
    stored: Stored, mitigations: Mapping[tuple[str, str], str], language: Language = Language.EN
) -> Resource:
    """Every prediction of the stored answer: a Bundle of type collection, its words in the language.

    `mitigations` says for target and band what may lower the risk; where it says nothing, nothing is said.
    """
    resources = [
        _risk(stored, one, mitigations, language) if "probability" in one else _amount(stored, one, language)
        for one in stored.document["predictions"]
    ]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _instant(stored.scored_at),
        "entry": [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in resources],
    }


def _risk(
    stored: Stored,
    prediction: Mapping[str, Any],
    mitigations: Mapping[tuple[str, str], str],
    language: Language,
) -> Resource:
    # Through its shortest text: 0.231 is 23.1 %, not 23.100000000000001 %.
    percentage = round(float(Decimal(repr(float(prediction["probability"]))) * 100), DECIMALS)
    predicted: Resource = {
        "outcome": _target(prediction, language),
        "probabilityDecimal": percentage,
        "qualitativeRisk": _band(prediction, language),
        **_when(stored, prediction["target"]),
        "rationale": _rationale(prediction, language),
    }
    resource = {
        "resourceType": "RiskAssessment",
        **_common(stored, prediction, language),
        "occurrenceDateTime": _instant(stored.scored_at),
        "performer": {"type": "Device", "display": "wardcast"},
        "basis": [_encounter(stored.stay_id)],
        "prediction": [predicted],
        **_notes(cautions(stored.document, language)),
    }
    mitigation = mitigations.get((prediction["target"], prediction["band"]))
    if is_outside(stored.document):
        mitigation = None
    return resource if mitigation is None else {**resource, "mitigation": mitigation}


def _amount(stored: Stored, prediction: Mapping[str, Any], language: Language) -> Resource:
    resource = {
        "resourceType": "Observation",
        **_common(stored, prediction, language),
        "code": _target(prediction, language),
        "issued": _instant(stored.scored_at),
        "valueQuantity": _quantity(prediction["expected"], prediction),
        "interpretation": [_band(prediction, language)],
        "device": {"type": "Device", "display": "wardcast"},
        **_notes([_rationale(prediction, language), *cautions(stored.document, language)]),
    }
    if stored.prediction_time is not None:
        # A local time without its offset is no dateTime of FHIR; its date is.
        resource["effectiveDateTime"] = stored.prediction_time.date().isoformat()
    interval = prediction["interval"]
    if interval is None or (interval["low"] is None and interval["high"] is None):
        return resource
    share = f"{interval['level'] * 100:g}"
    ends = {end: _quantity(interval[end], prediction) for end in ("low", "high") if interval[end] is not None}
    component = {
        "code": {
            "coding": [{"system": COMPONENTS, "code": f"prediction-interval-{share}"}],
            "text": FHIR_WORDS[language].interval.format(level=share),
        },
        "valueRange": ends,
    }
    return {**resource, "component": [component]}


def _common(stored: Stored, prediction: Mapping[str, Any], language: Language) -> Resource:
    """What both resources have. The store knows no patient: the subject is the encounter's."""
    point, words = stored.document["prediction_point"], FHIR_WORDS[language]
    name = f"{stored.stay_id}/{point}/{prediction['target']}"
    return {
        "id": str(uuid.uuid5(_NAMESPACE, f"{name}/{stored.document['scored_at']}")),
        "language": WORDS[language].tag,
        "text": _narrative(stored, prediction, language),
        "status": "preliminary" if stored.document["provisional"] else "final",
        "subject": {"type": "Patient", "display": words.patient},
        "encounter": _encounter(stored.stay_id),
        "method": {
            "coding": [{"system": MODELS, "code": prediction["model"]}],
            "text": words.method.format(model=prediction["model"], point=point),
        },
    }


def _target(prediction: Mapping[str, Any], language: Language) -> Resource:
    target = prediction["target"]
    text = FHIR_WORDS[language].outcomes.get(target, target)
    return {"coding": [{"system": TARGETS, "code": target}], "text": text}


def _band(prediction: Mapping[str, Any], language: Language) -> Resource:
    """The place among other admissions. It is no likelihood: the upper tenth may begin at 15 %."""
    told = FHIR_WORDS[language].places[prediction["band"]]
    return {"coding": [{"system": BANDS, "code": prediction["band"], "display": told}], "text": told}


def _when(stored: Stored, target: str) -> Resource:
    """The time in which the outcome may come; before the discharge it is counted from a day to come."""
    if target not in AFTER_DISCHARGE:
        return {}
    discharged_at = stored.prediction_time
    is_final = stored.document["prediction_point"] == "discharge" and not stored.document["provisional"]
    if is_final and discharged_at is not None:
        start = discharged_at.date()
        end = start + dt.timedelta(days=FOLLOW_UP_DAYS)
        return {"whenPeriod": {"start": start.isoformat(), "end": end.isoformat()}}
    days = {"unit": "d", "system": UCUM, "code": "d"}
    return {"whenRange": {"low": {"value": 0, **days}, "high": {"value": FOLLOW_UP_DAYS, **days}}}


def _quantity(amount: float, prediction: Mapping[str, Any]) -> Resource:
    value = round(amount, DECIMALS)
    if prediction["unit"] == "days":
        return {"value": value, "unit": "d", "system": UCUM, "code": "d"}
    currency = prediction["currency"]
    return {"value": value, "unit": currency, "system": ISO_4217, "code": currency}


def _rationale(prediction: Mapping[str, Any], language: Language) -> str:
    words = WORDS[language]
    told = [
        f"{sentence(reason, scale=prediction['scale'], language=language)}{words.stop}"
        for reason in shortened(prediction)["reasons"]
    ]
    return words.gap.join([*told, words.not_a_cause])


def _narrative(stored: Stored, prediction: Mapping[str, Any], language: Language) -> Resource:
    """What a person reads who sees nothing else of the resource: the value and what it rests on too."""
    words, own, captions = WORDS[language], FHIR_WORDS[language], CAPTIONS[language]
    headline = own.headline.format(
        target=captions.targets.get(prediction["target"], prediction["target"]),
        value=words.amount(value_of(prediction), prediction["scale"], prediction.get("currency")),
        band=own.bands[prediction["band"]],
    )
    interval = interval_told(prediction, words, closed=captions.interval, open_ended=captions.open_interval)
    told = [headline, interval, *cautions(stored.document, language), _rationale(prediction, language)]
    text = html.escape(words.gap.join(filter(None, told)))
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{words.tag}"><p>{text}</p></div>',
    }


def _notes(texts: Sequence[str]) -> Resource:
    return {"note": [{"text": text} for text in texts]} if texts else {}


def _encounter(stay_id: str) -> Resource:
    """By id where the stay's identifier can be one of FHIR, else by identifier."""
    if _FHIR_ID.fullmatch(stay_id):
        return {"reference": f"Encounter/{stay_id}"}
    return {"type": "Encounter", "identifier": {"value": stay_id}}


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
