"""Charges to date: what the stay has cost so far, in all and by kind.

Antimicrobials are a part of drugs and are not added twice. A charge without a `known_at` is known at the end
of its day, so that the day of the prediction itself is not in it. A stay without any known charge has
none that is known yet: missing, not zero.
"""

from __future__ import annotations

from features.feature import Feature
from features.points import Point

_TOTAL = "sum(amount) FILTER (category <> 'antimicrobials')"
# name, label, categories, whether it is optional
_KINDS = (
    ("drug", "Drugs", ("drugs",), False),
    ("diagnostic", "Diagnostics", ("diagnostics", "laboratory", "imaging"), False),
    ("operation", "Operations", ("surgery", "anaesthesia"), False),
    ("consumable", "Consumables", ("consumables",), False),
    ("antimicrobial", "Antimicrobials", ("antimicrobials",), True),
    ("treatment", "Treatment", ("treatment", "rehabilitation", "chinese_medicine"), True),
    ("blood", "Blood", ("blood",), True),
    ("care", "Bed and nursing", ("general", "nursing"), True),
)


def _feature(name: str, label: str, description: str, expression: str, *, optional: bool = False) -> Feature:
    return Feature(
        name=name,
        label=label,
        type="number",
        unit="currency",
        available_from=Point.ADMISSION,
        description=description,
        relation="these_charges",
        expression=expression,
        tables=("charges",),
        none_if_zero="n_charges",
        minimum=0,
        optional=optional,
    )


def _of_kind(name: str, label: str, categories: tuple[str, ...], optional: bool) -> Feature:
    listed = ", ".join(f"'{category}'" for category in categories)
    return _feature(
        f"{name}_charges_so_far",
        f"Charges so far: {label[0].lower()}{label[1:]}",
        f"Known charges of the categories {', '.join(categories)}; 0 if other charges alone are known.",
        f"coalesce(sum(amount) FILTER (category IN ({listed})), 0)",
        optional=optional,
    )


FEATURES = (
    _feature(
        "charges_so_far",
        "Charges so far",
        "Charges of the episode that were known at the prediction time; antimicrobials count as drugs.",
        _TOTAL,
    ),
    _feature(
        "charges_per_day_so_far",
        "Charges a day so far",
        "Charges so far by the midnights since the admission, at least one; missing without dates.",
        # An unknown number of days is not one day: greatest() would pass over it.
        f"CASE WHEN count(anchor_at) > 0 THEN {_TOTAL} "
        "/ greatest(max(date_diff('day', anchor_at, prediction_time)), 1) END",
    ),
    *(_of_kind(*kind) for kind in _KINDS),
)
