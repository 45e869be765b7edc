"""Comorbidity: what earlier stays say at admission, what this stay says at discharge.

Mappings: Quan et al., Med Care 2005;43(11):1130-9. The severe form of a condition supersedes the mild one.
"""

from __future__ import annotations

from collections.abc import Sequence

from features.comorbidity import (
    CHARLSON,
    CHARLSON_HIERARCHY,
    ELIXHAUSER,
    ELIXHAUSER_HIERARCHY,
    LACE_CONDITIONS,
    LACE_HIERARCHY,
    Condition,
    score_sql,
)
from features.feature import Feature
from features.points import Point

LOOKBACK_DAYS = 365


def _mask(system: str, *, earlier: bool) -> Feature:
    """All conditions of a system as bits: of the stays of the last year, or of this episode."""
    window = f"admitted_at >= anchor_at - INTERVAL {LOOKBACK_DAYS} DAY" if earlier else "kind = 'discharge'"
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
_UNCODED = Feature(
    name="n_uncoded_earlier",
    label="Earlier stays without codes",
    type="integer",
    unit="stays",
    available_from=Point.PREADMISSION,
    description="Intermediate.",
    relation="earlier_diagnoses",
    expression=f"count(*) FILTER (NOT is_coded AND admitted_at >= anchor_at - INTERVAL {LOOKBACK_DAYS} DAY)",
    tables=("diagnoses", "stays"),
    when_none=0,
    history_days=LOOKBACK_DAYS,
)
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
            description=f"{label}, {source}, over the discharge diagnoses of "
            + (
                f"stays in the {LOOKBACK_DAYS} days before; missing if one of them is not coded yet."
                if earlier
                else "the episode."
            ),
            relation="features",
            expression=f"CASE WHEN {_UNCODED.name} = 0 THEN {expression} END" if earlier else expression,
            tables=mask.tables,
            needs=(mask, _UNCODED) if earlier else (mask,),
        )
        for name, label, source, expression, mask in (
            ("charlson_score", "Charlson score", "weights of Quan 2011", charlson, masks["charlson"]),
            (
                "elixhauser_score",
                "Elixhauser score",
                "weights of van Walraven 2009",
                elixhauser,
                masks["elixhauser"],
            ),
        )
    )


_MORE = tuple(condition for condition in ELIXHAUSER if condition.name not in _IN_CHARLSON)

FEATURES = (
    *_scores(earlier=True),
    *_flags(CHARLSON, "charlson", earlier=True),
    *_flags(_MORE, "elixhauser", earlier=True),
    *_scores(earlier=False),
    *_flags(CHARLSON, "charlson", earlier=False),
    *_flags(_MORE, "elixhauser", earlier=False),
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
