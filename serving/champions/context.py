"""Whether models and records are of one kind: currency, cost basis, code systems."""

from __future__ import annotations

from dataclasses import asdict

from features.dataset import Declaration
from models.artefact import Context


def differing_settings(context: Context, declaration: Declaration, *, is_dated: bool) -> list[str]:
    """The settings of a model's context in which a data set differs, by name.

    `is_dated`: whether the model learned from records with dates. It answers no others: features without
    dates are other ones.
    """
    expected = {
        "currency": declaration.currency,
        "cost_basis": declaration.cost_basis,
        "code_systems": declaration.code_systems.model_dump(exclude_none=True),
    }
    found = asdict(context)
    differing = [name for name, value in expected.items() if found[name] != value]
    return differing if is_dated == declaration.has_timeline else [*differing, "time line"]
