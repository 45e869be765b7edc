"""Targets, groups, units and sources in the words of a ward, as every page and card uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.units import Unit

TARGETS = {
    "readmission": "unplanned readmission",
    "complication": "complication during the stay",
    "cost": "cost of the episode",
    "charges": "charges of the stay",
    "stay_days": "length of stay",
}
GROUPS = {"age_band": "age", "earlier_stay": "earlier stay"}
MADE_UP = {
    "synthetic": "a made-up hospital, whose patients, costs and outcomes a program has drawn",
    "synpuf": "made-up records (CMS DE-SynPUF), in which what hangs together in life is in part torn apart",
}
"""Sources of records that are of nobody, by the first word of the declared source."""


def target_name(name: str) -> str:
    """What is predicted, in words."""
    return TARGETS.get(name, name.replace("_", " "))


def model_title(target: str, point: str) -> str:
    """A model as a heading calls it.

    >>> model_title("stay_days", "admission")
    'Length of stay, predicted at admission'
    """
    when = {"preadmission": "before admission"}.get(point, f"at {point}")
    name = target_name(target)
    return f"{name[:1].upper()}{name[1:]}, predicted {when}"


def outcome_words(target: str, label: Mapping[str, Any]) -> str:
    """The outcome with its window, by the rule that its labels came about by."""
    days = f"{label['window_days']} days" if "window_days" in label else ""
    if target == "readmission" and label.get("kind") == "given":
        return f"readmission ({label.get('definition', 'as the extract gives it')})"
    if target == "readmission":
        return f"unplanned readmission within {days or 'the window of its label'} after discharge"
    if target == "cost" and label.get("kind") == "given":
        return "cost of the episode, as the extract gives it"
    if target == "cost":
        after = f"within {days or 'the window of its label'} after discharge"
        return f"cost of the episode (this stay and every acute stay that starts {after})"
    return {"charges": "charges of the stay itself", "stay_days": "length of the stay in midnights"}.get(
        target, target_name(target)
    )


def group_name(name: str) -> str:
    """What a column of groups tells patients apart by."""
    return GROUPS.get(name, plain_words(name))


def plain_words(name: str) -> str:
    """A name of the records, such as a level, without the joints of a machine's name.

    >>> plain_words("employee_insurance")
    'employee insurance'
    """
    return name.replace("_", " ").strip()


def unit_words(unit: Unit | str, currency: str) -> str:
    """What an amount is counted in: the currency, or days; nothing for a probability."""
    return {"money": currency, "days": "days"}.get(unit, "")


def unit_of_feature(unit: str, currency: str) -> str:
    """A feature's unit, with the currency that its amounts are in."""
    return unit.replace("currency", currency)


def made_up(source: str | None) -> str:
    """What records of this declared source are, if they are of no real patients; empty if they may be."""
    return MADE_UP.get((source or "").split(" ")[0], "")


def made_up_warning(source: str | None, *, what: str = "This model was made on") -> str:
    """A sentence for whoever may take the numbers for a hospital's; empty where records may be real."""
    records = made_up(source)
    if not records:
        return ""
    return f"{what} {records}. Its numbers say nothing about any real hospital: never use it for patients."
