"""The thresholds of the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluation.margins import COVERAGE_TOLERANCE, MARGINS

ChampionRule = Literal["better", "not_worse"]


@dataclass(frozen=True)
class GateSettings:
    """The thresholds of the gate. The ends of a range pass."""

    slope: tuple[float, float] = MARGINS["calibration_slope"]
    calibration_in_the_large: tuple[float, float] = MARGINS["calibration_in_the_large"]
    bias: tuple[float, float] = MARGINS["bias"]
    coverage_tolerance: float = COVERAGE_TOLERANCE
    champion_rule: ChampionRule = "better"
    """Whether a challenger must be shown to be better than the champion, or only not to be worse."""
    champion_margin: float = 0.01
    """By how much of the primary metric a challenger may be worse and still count as not worse."""
    group_lead: float = 0.25
    """Share of everyone's lead on knowing nothing that each group must reach.

    Everyone's AUROC itself is no measure: patients of one group are more alike, and so harder to rank, though
    none is harmed. A quarter is left where predictions vary a quarter as much as everyone's.
    """
    group_margin: float = 0.02
    """By how much of the primary metric a group may be predicted worse than by the champion."""
    group_log_odds: float = 0.3
    """How far a group's calibration-in-the-large may lie from everyone's: its odds are off by a third."""
    group_bias: float = 1.25
    """How many times everyone's predicted ÷ actual a group's may be, or that part of it."""
    group_shift: float = 0.1
    """How much further off than by the champion a group may be: log-odds, or predicted ÷ actual."""
    largest_gap: float = 1e-6
    """Between a raw output and the sum of what explains it."""
    slowest_rows_per_second: float = 100.0
    """Explained predictions of one thread: a ward of 30 beds in a third of a second."""
    regressions: frozenset[str] = frozenset({"logistic", "gamma"})
    """Baselines fitted on the model's own features."""
    regression_margin: float = 0.01
    """By how much of the primary metric a regression on the same features may be better."""


DEFAULTS = GateSettings()
