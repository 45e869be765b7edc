"""What a model's numbers are measured in, and the scale on which its booster adds up."""

from __future__ import annotations

from typing import Literal

Kind = Literal["risk", "amount"]
Unit = Literal["probability", "money", "days"]
Scale = Literal["log_odds", "log_money", "log_days"]
SCALES: dict[Unit, Scale] = {"probability": "log_odds", "money": "log_money", "days": "log_days"}


def kind_of(unit: Unit) -> Kind:
    """Whether a probability or an amount is predicted."""
    return "risk" if unit == "probability" else "amount"
