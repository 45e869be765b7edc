"""Medications: how many, which risk groups, and whether mechanisms are combined.

A course counts if it began in the year before the admission or in this stay. It is brought along if it began
before the admission and had not ended by then.
"""

from __future__ import annotations

from features.codes.measures import LOOKBACK_DAYS
from features.codes.medications import CONDITION_BITS, GROUPS, MedicationGroup
from features.feature import Feature, FeatureType
from features.points import Point

POLYPHARMACY = 5
"""Substances from which on one speaks of polypharmacy (Masnoon et al., BMC Geriatr 2017;17:230)."""
_DEFAULT_GROUPS = frozenset({"anticoagulant", "insulin", "opioid", "corticosteroid", "cytotoxic", "sedative"})
_TAKEN = "is_brought OR is_started"
_HIGH_RISK_BITS = sum(group.bit for group in GROUPS.values() if group.is_high_risk)
_ATC = "WHO ATC index 2025"


def _bits(name: str) -> Feature:
    return Feature(
        name=f"medication_{name}",
        label=f"{name} of medications as bits",
        type="bits",
        unit="",
        available_from=Point.PREADMISSION,
        description="Intermediate.",
        relation="medication_courses",
        expression=f"coalesce(bit_or({name}) FILTER ({_TAKEN}), 0)",
        tables=("medications",),
        when_none=0,
        history_days=LOOKBACK_DAYS,
    )


_GROUPS, _UNCLEAR_GROUPS = _bits("groups"), _bits("unclear_groups")
_MECHANISMS, _UNCLEAR_MECHANISMS = _bits("mechanisms"), _bits("unclear_mechanisms")


def _of_courses(
    name: str,
    label: str,
    description: str,
    expression: str,
    *,
    available_from: Point = Point.PREADMISSION,
    days: int = LOOKBACK_DAYS,
    kind: FeatureType = "integer",
    optional: bool = False,
    source: str = "",
) -> Feature:
    return Feature(
        name=name,
        label=label,
        type=kind,
        unit="" if kind == "flag" else "substances",
        available_from=available_from,
        description=description,
        relation="medication_courses",
        expression=expression,
        tables=("medications",),
        when_none=0,
        history_days=days,
        minimum=None if kind == "flag" else 0,
        optional=optional,
        source=source,
    )


def _of_bits(
    name: str,
    label: str,
    description: str,
    expression: str,
    needs: tuple[Feature, ...],
    *,
    unit: str = "",
    optional: bool = False,
) -> Feature:
    return Feature(
        name=name,
        label=label,
        type="integer" if unit else "flag",
        unit=unit,
        available_from=Point.PREADMISSION,
        description=description,
        relation="features",
        expression=expression,
        tables=("medications",),
        minimum=0 if unit else None,
        source=_ATC,
        optional=optional,
        needs=needs,
    )


def _takes(group: MedicationGroup) -> Feature:
    return _of_bits(
        f"takes_{group.name}",
        f"Takes {group.label[0].lower()}{group.label[1:]}",
        f"{group.label} brought along or given in this stay, by ATC code; missing if a code could mean them.",
        f"CASE WHEN {_GROUPS.name} & {group.bit} > 0 THEN 1 "
        f"WHEN {_UNCLEAR_GROUPS.name} & {group.bit} = 0 THEN 0 END",
        (_GROUPS, _UNCLEAR_GROUPS),
        optional=group.name not in _DEFAULT_GROUPS,
    )


def _is_combined(condition: str) -> str:
    """SQL: 1 with two or more mechanisms for the condition, 0 with fewer, null where a code is unclear."""
    bits = CONDITION_BITS[condition]
    return (
        f"CASE WHEN bit_count({_MECHANISMS.name} & {bits}) >= 2 THEN 1 "
        f"WHEN {_UNCLEAR_MECHANISMS.name} & {bits} = 0 THEN 0 END"
    )


def _combination(condition: str) -> Feature:
    words = condition.replace("_", " ")
    return _of_bits(
        f"has_combination_therapy_{condition}",
        f"Combination therapy: {words}",
        f"Drugs of two or more complementary mechanisms against {words}, brought along or given in this "
        "stay. Says nothing of the indication.",
        _is_combined(condition),
        (_MECHANISMS, _UNCLEAR_MECHANISMS),
        optional=True,
    )


_BROUGHT = "count(*) FILTER (is_brought)"

FEATURES = (
    _of_courses(
        "n_medications_before",
        "Medications before the admission",
        "Different substances begun in the year before and not ended by the admission.",
        _BROUGHT,
    ),
    _of_courses(
        "n_medications_started",
        "Medications begun in this stay",
        "Different substances begun in the stay by the prediction time.",
        "count(*) FILTER (is_started)",
        available_from=Point.ADMISSION,
        days=0,
    ),
    _of_courses(
        "n_medications_active",
        "Medications at the prediction time",
        "Different substances begun in the year before or in this stay and not ended by the prediction time.",
        "count(*) FILTER (is_active)",
        available_from=Point.ADMISSION,
    ),
    _of_courses(
        "has_polypharmacy",
        "Polypharmacy",
        f"{POLYPHARMACY} or more different substances before the admission.",
        f"({_BROUGHT} >= {POLYPHARMACY})::INTEGER",
        kind="flag",
        optional=True,
        source="Masnoon et al., BMC Geriatr 2017;17:230",
    ),
    _of_bits(
        "n_high_risk_medication_groups",
        "High-risk medication groups",
        "Number of high-risk groups among the medications brought along or given in this stay; missing if a "
        "code could mean a further one.",
        f"CASE WHEN {_UNCLEAR_GROUPS.name} & {_HIGH_RISK_BITS} & ~{_GROUPS.name} = 0 "
        f"THEN bit_count({_GROUPS.name} & {_HIGH_RISK_BITS}) END",
        (_GROUPS, _UNCLEAR_GROUPS),
        unit="groups",
    ),
    *(_takes(group) for group in GROUPS.values()),
    _of_bits(
        "n_combination_therapies",
        "Combination therapies",
        "Number of conditions that are treated by drugs of two or more complementary mechanisms; missing if "
        "a code is unclear.",
        " + ".join(f"({_is_combined(condition)})" for condition in CONDITION_BITS),
        (_MECHANISMS, _UNCLEAR_MECHANISMS),
        unit="conditions",
    ),
    *(_combination(condition) for condition in CONDITION_BITS),
)
