"""Comorbidity: what earlier stays say at admission, what this stay says at discharge.

Mappings: Quan et al., Med Care 2005;43(11):1130-9. The severe form of a condition supersedes the mild one.
Frailty: Gilbert et al., Lancet 2018;391(10132):1775-82.
"""

from __future__ import annotations

from collections.abc import Sequence

from features.codes.comorbidity import (
    CHARLSON,
    CHARLSON_HIERARCHY,
    ELIXHAUSER,
    ELIXHAUSER_HIERARCHY,
    LACE_CONDITIONS,
    LACE_HIERARCHY,
    Condition,
    frailty_score_sql,
    score_sql,
)
from features.families.windows import since
from features.feature import Feature
from features.points import Point

LOOKBACK_DAYS = 365
FRAILTY_LOOKBACK_DAYS = 730
"""The look-back with which the frailty score was published."""
_QUAN = "Quan et al., Med Care 2005;43(11):1130-9"
_GILBERT = "Gilbert et al., Lancet 2018;391(10132):1775-82"
# Rare among inpatients, or of weight 0 in the published scores; the scores hold them all the same.
_OPTIONAL = frozenset(
    {
        *("aids", "peptic_ulcer_disease", "valvular_disease", "hypertension_uncomplicated"),
        *("hypertension_complicated", "hypothyroidism", "obesity", "blood_loss_anaemia", "drug_abuse"),
        "psychosis",
    }
)


def _mask(system: str, *, earlier: bool) -> Feature:
    """All conditions of a system as bits: of the stays of the last year, or of this episode."""
    window = since("admitted_at", LOOKBACK_DAYS) if earlier else "kind = 'discharge'"
    bits = f"bit_or({system}) FILTER ({window})"
    return Feature(
        name=f"{system}_bits_earlier" if earlier else f"{system}_bits",
        label=f"{system} conditions as bits",
        type="integer",
        unit="",
        available_from=Point.PREADMISSION if earlier else Point.DISCHARGE,
        description="Intermediate.",
        relation="earlier_diagnoses" if earlier else "these_diagnoses",
        expression=f"coalesce({bits}, 0)" if earlier else bits,
        tables=("diagnoses", "stays"),
        when_none=0 if earlier else None,
        history_days=LOOKBACK_DAYS if earlier else None,
    )


# Earlier stays that are coded without the condition mean no; one that is not coded yet means unknown.
def _n_uncoded(days: int) -> Feature:
    return Feature(
        name=f"n_uncoded_earlier_{days}d",
        label="Earlier stays without codes",
        type="integer",
        unit="stays",
        available_from=Point.PREADMISSION,
        description="Intermediate.",
        relation="earlier_diagnoses",
        expression=f"count(*) FILTER (NOT is_coded AND {since('admitted_at', days)})",
        tables=("diagnoses", "stays"),
        when_none=0,
        history_days=days,
    )


_UNCODED = _n_uncoded(LOOKBACK_DAYS)
_EARLIER_BITS = {system: _mask(system, earlier=True) for system in ("charlson", "elixhauser")}
_BITS = {system: _mask(system, earlier=False) for system in ("charlson", "elixhauser", "lace")}
# Charlson's conditions come first; Elixhauser adds those that Charlson does not name.
_IN_CHARLSON = frozenset(
    {
        "congestive_heart_failure",
        "peripheral_vascular_disorder",
        "paralysis",
        "chronic_pulmonary_disease",
        "diabetes_uncomplicated",
        "diabetes_complicated",
        "renal_failure",
        "liver_disease",
        "peptic_ulcer_disease",
        "aids",
        "lymphoma",
        "metastatic_cancer",
        "solid_tumour",
        "rheumatoid_arthritis",
    }
)


def _flags(conditions: Sequence[Condition], system: str, *, earlier: bool) -> tuple[Feature, ...]:
    mask = (_EARLIER_BITS if earlier else _BITS)[system]

    def expression(condition: Condition) -> str:
        is_present = f"{mask.name} & {condition.bit} > 0"
        if not earlier:
            return f"({is_present})::INTEGER"
        return f"CASE WHEN {is_present} THEN 1 WHEN {_UNCODED.name} = 0 THEN 0 END"

    return tuple(
        Feature(
            name=f"had_{condition.name}" if earlier else f"has_{condition.name}",
            label=f"{condition.label} (earlier stays)" if earlier else condition.label,
            type="flag",
            unit="",
            available_from=Point.PREADMISSION if earlier else Point.DISCHARGE,
            description=f"{condition.label} coded at discharge in the {LOOKBACK_DAYS} days before; missing "
            "if a stay of that time is not coded yet and no other has it."
            if earlier
            else f"{condition.label} among the discharge diagnoses of the episode.",
            relation="features",
            expression=expression(condition),
            tables=mask.tables,
            source=_QUAN,
            optional=condition.name in _OPTIONAL,
            needs=(mask, _UNCODED) if earlier else (mask,),
        )
        for condition in conditions
    )


def _scores(*, earlier: bool) -> tuple[Feature, ...]:
    masks = _EARLIER_BITS if earlier else _BITS
    charlson = score_sql(masks["charlson"].name, {c: c.weight_quan2011 for c in CHARLSON}, CHARLSON_HIERARCHY)
    elixhauser = score_sql(
        masks["elixhauser"].name, {c: c.weight_van_walraven for c in ELIXHAUSER}, ELIXHAUSER_HIERARCHY
    )
    suffix, words = ("_earlier", " (earlier stays)") if earlier else ("", "")
    return tuple(
        Feature(
            name=f"{name}{suffix}",
            label=f"{label}{words}",
            type="integer",
            unit="points",
            available_from=Point.PREADMISSION if earlier else Point.DISCHARGE,
            description=f"{label}, {weights}, over the discharge diagnoses of "
            + (
                f"stays in the {LOOKBACK_DAYS} days before; missing if one of them is not coded yet."
                if earlier
                else "the episode."
            ),
            relation="features",
            expression=f"CASE WHEN {_UNCODED.name} = 0 THEN {expression} END" if earlier else expression,
            tables=mask.tables,
            source=source,
            needs=(mask, _UNCODED) if earlier else (mask,),
            raises=raises,
        )
        for name, label, weights, source, expression, mask, raises in (
            (
                "charlson_score",
                "Charlson score",
                "weights of Quan 2011",
                "Quan et al., Am J Epidemiol 2011;173(6):676-82",
                charlson,
                masks["charlson"],
                ("complication",) if earlier else (),
            ),
            (
                "elixhauser_score",
                "Elixhauser score",
                "weights of van Walraven 2009",
                "van Walraven et al., Med Care 2009;47(6):626-33",
                elixhauser,
                masks["elixhauser"],
                # Some of its weights are negative: they are those of death in hospital.
                (),
            ),
        )
    )


def _frailty_mask(half: str, *, earlier: bool) -> Feature:
    """One of the two bitmasks of frailty categories; null where a code is not ICD-10."""
    column = f"frailty_{half}"
    window = since("admitted_at", FRAILTY_LOOKBACK_DAYS)
    rows = f"FILTER ({f'is_coded AND {window}' if earlier else _CODED_NOW})"
    bits = f"bit_or({column}) {rows}"
    return Feature(
        name=f"{column}_bits_earlier" if earlier else f"{column}_bits",
        label="frailty categories as bits",
        type="bits",
        unit="",
        available_from=Point.PREADMISSION if earlier else Point.DISCHARGE,
        description="Intermediate.",
        relation="earlier_diagnoses" if earlier else "these_diagnoses",
        expression=f"CASE WHEN count({column}) {rows} = count(*) {rows} "
        f"THEN {f'coalesce({bits}, 0)' if earlier else bits} END",
        tables=("diagnoses", "stays"),
        when_none=0 if earlier else None,
        history_days=FRAILTY_LOOKBACK_DAYS if earlier else None,
    )


_CODED_NOW = "kind = 'discharge'"
_FRAILTY_EARLIER = tuple(_frailty_mask(half, earlier=True) for half in ("low", "high"))
_FRAILTY_NOW = tuple(_frailty_mask(half, earlier=False) for half in ("low", "high"))
_FRAILTY_UNCODED = _n_uncoded(FRAILTY_LOOKBACK_DAYS)


def _frailty(*, earlier: bool) -> Feature:
    masks = tuple(
        before.name if earlier else f"({before.name} | {now.name})"
        for before, now in zip(_FRAILTY_EARLIER, _FRAILTY_NOW, strict=True)
    )
    now = () if earlier else _FRAILTY_NOW
    before = f"stays in the {FRAILTY_LOOKBACK_DAYS} days before"
    return Feature(
        name="frailty_score_earlier" if earlier else "frailty_score",
        label="Hospital Frailty Risk Score" + (" (earlier stays)" if earlier else ""),
        type="number",
        unit="points",
        available_from=Point.PREADMISSION if earlier else Point.DISCHARGE,
        description="Hospital Frailty Risk Score over the discharge diagnoses of "
        f"{'' if earlier else 'the episode and of '}{before}; missing if one of them is not coded yet, or "
        "not in ICD-10.",
        relation="features",
        expression=f"CASE WHEN {_FRAILTY_UNCODED.name} = 0 THEN {frailty_score_sql(*masks)} END",
        tables=("diagnoses", "stays"),
        minimum=0,
        maximum=173.2,
        source=_GILBERT,
        needs=(*_FRAILTY_EARLIER, *now, _FRAILTY_UNCODED),
        # Not readmission nor days: whoever is about to die does not come back, nor stay long.
        raises=("complication",) if earlier else (),
    )


_MORE = tuple(condition for condition in ELIXHAUSER if condition.name not in _IN_CHARLSON)

FEATURES = (
    *_scores(earlier=True),
    *_flags(CHARLSON, "charlson", earlier=True),
    *_flags(_MORE, "elixhauser", earlier=True),
    _frailty(earlier=True),
    *_scores(earlier=False),
    *_flags(CHARLSON, "charlson", earlier=False),
    *_flags(_MORE, "elixhauser", earlier=False),
    _frailty(earlier=False),
    Feature(
        name="lace_comorbidity_weight",
        label="LACE comorbidity weight",
        type="integer",
        unit="points",
        available_from=Point.DISCHARGE,
        description="Sum of LACE's own comorbidity weights over the discharge diagnoses of the episode.",
        relation="features",
        expression=score_sql(_BITS["lace"].name, {c: c.points for c in LACE_CONDITIONS}, LACE_HIERARCHY),
        tables=_BITS["lace"].tables,
        minimum=0,
        needs=(_BITS["lace"],),
    ),
)
