"""What one feature gives away: by its values, by its gaps, or by when it can have been known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from features.feature import Feature
from features.points import Point
from models.units import Kind
from training.leaks.leak import Check, Leak
from training.leaks.scores import Outcome, Sample, Values, mean_of_others, measure

# Honest single inputs mostly stay below: over the public data sets and the made-up hospital the strongest
# supplied one has an AUROC of 0.60 and an R² of 0.37, the strongest built one 0.72 and 0.78 (the planned
# procedure for the cost; the others together reach 0.73). What the product builds is cut at the prediction
# time by dates; of a supplied value nothing but the mapping says when it was known, so less is allowed.
FLOOR: Mapping[bool, Mapping[Kind, float]] = {
    True: {"risk": 0.75, "amount": 0.40},
    False: {"risk": 0.80, "amount": 0.60},
}
"""By whether the feature is supplied: what it alone may reach whatever the others do."""
MARGIN = {True: 1.0, False: 1.25}
"""How many times what all others reach together it alone may reach."""
CERTAIN: Mapping[Kind, float] = {"risk": 0.95, "amount": 0.90}
"""Beyond it a feature is the outcome by another name, whatever the others reach."""
LIKE = 0.9
"""Two numbers whose expectations correlate so closely say the same: one is no witness for the other."""

MISSING_FLOOR: Mapping[Kind, float] = {"risk": 0.60, "amount": 0.10}
MISSING_MARGIN = {True: 0.5, False: 1.0}
"""Gaps of a built feature have a meaning (no earlier stay, no operation): they may tell more."""
MISSING_SURENESS = 0.01
"""The chance that any of all features is named by its gaps where none tells anything."""

AGREEMENT = 0.25
"""Honest features agree with the length of the stay in 2 % more rows than by chance."""
FEWEST_ROWS = 50
"""Nothing is said of fewer rows: they could be known again."""
LATER: Mapping[str, tuple[Kind, str]] = {
    "label_stay_days": ("amount", "the length of the stay"),
    "label_index_charges": ("amount", "the charges of the stay"),
    "row_died_in_hospital": ("risk", "death in hospital"),
}
"""What is settled when the stay is over, by the columns of a data set that hold it."""


class Suspects:
    """What the features alone reach beside all others that are no suspects themselves."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    @cached_property
    def supplied(self) -> frozenset[int]:
        """Places of the supplied features above the floor: several leaks must not vouch for one another."""
        sample, kind = self.sample, self.sample.outcome.kind
        above = (sample.told_alone >= FLOOR[True][kind]) | (sample.told_by_missing >= MISSING_FLOOR[kind])
        return frozenset(
            place for place, feature in enumerate(sample.features) if feature.is_fact and above[place]
        )

    def others(self, place: int) -> float:
        """How well all features tell the outcome together, but for this, its like, and the suspects."""
        sample = self.sample
        alike = {
            other
            for other, feature in enumerate(sample.features)
            if "category" not in (feature.type, sample.features[place].type)
            and sample.likeness[place, other] >= LIKE
        }
        return sample.told_without({place} | alike | self.supplied)


def told_alone(suspects: Suspects, point: Point) -> Iterator[Leak]:
    """Features that alone tell more than an honest one can, and more than all others together.

    The limit is the floor, or what the others reach together times the margin if that is more, and never
    more than what is certain.
    """
    sample = suspects.sample
    kind = sample.outcome.kind
    for place, feature in enumerate(sample.features):
        told = float(sample.told_alone[place])
        if told <= FLOOR[feature.is_fact][kind]:
            continue
        others = suspects.others(place)
        reached = _times(others, MARGIN[feature.is_fact], kind)
        limit = min(CERTAIN[kind], max(FLOOR[feature.is_fact][kind], reached))
        if told > limit:
            text = (
                f"{feature.label} alone {sample.outcome.words(told)}; all others together, without its like "
                f"and other suspects, reach {measure(kind, others)}. {_advice(feature, point)}"
            )
            yield _leak(feature, "alone", text, told, limit)


def told_by_gaps(suspects: Suspects, point: Point) -> Iterator[Leak]:
    """Features of which it tells the outcome that they are missing: half of what the values of others tell.

    It must be beyond chance too, with as many features as were looked at (Bonferroni), and at least 50 rows
    must lack the value and 50 have it.
    """
    sample = suspects.sample
    kind, outcome = sample.outcome.kind, sample.outcome.value
    surely = norm.isf(MISSING_SURENESS / (2 * len(sample.features)))
    for place, feature in enumerate(sample.features):
        told, is_missing = float(sample.told_by_missing[place]), sample.is_missing[:, place]
        n_fewest = min(is_missing.sum(), (~is_missing).sum())
        if told <= MISSING_FLOOR[kind] or n_fewest < FEWEST_ROWS:
            continue
        chance = abs(float(np.corrcoef(is_missing, outcome)[0, 1])) * np.sqrt(len(outcome))
        reached = _times(suspects.others(place), MISSING_MARGIN[feature.is_fact], kind)
        limit = min(CERTAIN[kind], max(MISSING_FLOOR[kind], reached))
        if told > limit and chance > surely:
            text = (
                f"{feature.label} is missing in {is_missing.mean():.0%} of the rows, and that alone "
                f"{sample.outcome.words(told)}. {_means(outcome, is_missing, kind)} Is it recorded, or not, "
                f"because of what came after? {_advice(feature, point)}"
            )
            yield _leak(feature, "missingness", text, told, limit)


def known_later(sample: Sample, frame: pd.DataFrame, point: Point) -> Iterator[Leak]:
    """Features that hold what is settled only when the stay is over, or that are declared to come later.

    A supplied number that often equals the length or the charges of the stay, beyond chance (Cohen's kappa),
    holds them at least in a part of the rows; any feature that nearly determines them knows the end.
    """
    for feature in sample.features:
        if not point.knows(feature.available_from):
            text = (
                f"{feature.label} is declared to be known from {feature.available_from} on, after the point "
                f"{point}. Leave it out of this model."
            )
            yield _leak(feature, "after_outcome", text, 1.0, 0.0)
    if point is Point.DISCHARGE:
        return
    for column, (kind, words) in LATER.items():
        if column not in frame:
            continue
        later = frame[column].iloc[sample.rows].to_numpy(dtype=np.float64, na_value=np.nan)
        if kind == "amount":
            yield from _equal(sample, later, words, point)
        has_later = ~np.isnan(later)
        value = later[has_later] if kind == "risk" else np.log1p(later[has_later].clip(min=0))
        if _can_be_told(value, kind):
            yield from _determining(sample, has_later, Outcome(kind, value), words, point)


def _can_be_told(value: Values, kind: Kind) -> bool:
    n_fewest = min(value.sum(), len(value) - value.sum()) if kind == "risk" else len(value)
    return n_fewest >= FEWEST_ROWS


def _equal(sample: Sample, later: Values, words: str, point: Point) -> Iterator[Leak]:
    for place, feature in enumerate(sample.features):
        if not feature.is_fact or feature.type not in ("integer", "number"):
            continue
        has_both = ~np.isnan(sample.matrix[:, place]) & ~np.isnan(later)
        ours, theirs = sample.matrix[has_both, place], later[has_both]
        n_equal = int(np.sum(np.round(ours, 2) == np.round(theirs, 2)))
        kappa = _kappa(ours, theirs) if n_equal >= FEWEST_ROWS else 0.0
        if kappa > AGREEMENT:
            text = (
                f"{feature.label} equals {words} in {n_equal / len(ours):.0%} of the {len(ours):,} rows that "
                f"have both, {kappa:.0%} of the way from chance to always. {_advice(feature, point)}"
            )
            yield _leak(feature, "after_outcome", text, kappa, AGREEMENT)


def _determining(
    sample: Sample, has_later: NDArray[np.bool_], later: Outcome, words: str, point: Point
) -> Iterator[Leak]:
    limit = CERTAIN[later.kind]
    for place, feature in enumerate(sample.features):
        score = mean_of_others(later.value, sample.bins[has_later, place], sample.fold[has_later])
        told = later.told_by(score, sample.fold[has_later])
        if told > limit:
            text = (
                f"{feature.label} all but determines {words} ({measure(later.kind, told)}), which is settled "
                f"only when the stay is over. {_advice(feature, point)}"
            )
            yield _leak(feature, "after_outcome", text, told, limit)


def _kappa(ours: Values, theirs: Values) -> float:
    """Cohen's kappa: agreement beyond what equal values would meet by chance, 1 if they always agree.

    Source: Cohen, Educ Psychol Meas 1960;20(1):37–46.
    """
    codes = pd.factorize(np.round(np.concatenate([ours, theirs]), 2))[0]
    mine, others = np.split(codes, 2)
    n_values = int(codes.max()) + 1
    shares = (np.bincount(part, minlength=n_values) / len(part) for part in (mine, others))
    by_chance = float(np.prod(np.stack(list(shares)), axis=0).sum())
    return 0.0 if by_chance == 1 else (float((mine == others).mean()) - by_chance) / (1 - by_chance)


def _times(told: float, margin: float, kind: Kind) -> float:
    """A measure that lies `margin` times as far from telling nothing."""
    nothing = 0.5 if kind == "risk" else 0.0
    return nothing + margin * (told - nothing)


def _means(outcome: Values, is_missing: NDArray[np.bool_], kind: Kind) -> str:
    present, absent = outcome[~is_missing].mean(), outcome[is_missing].mean()
    if kind == "risk":
        return f"The outcome came in {absent:.0%} of the rows without it and in {present:.0%} of the others."
    ratio = np.expm1(absent) / np.expm1(present) if np.expm1(present) else np.inf
    return f"The typical amount of the rows without it is {ratio:.1f} times that of the others."


def _advice(feature: Feature, point: Point) -> str:
    if feature.is_fact:
        return (
            f"Ask when its values are written: if after the point {point}, declare when they are known "
            "(available_from), or leave the column out."
        )
    return (
        f"Look at the dates in {', '.join(feature.tables)}: entries may carry one before they were written."
    )


def _leak(feature: Feature, check: Check, text: str, value: float, limit: float) -> Leak:
    return Leak(feature.name, check, text, round(value, 3), round(limit, 3))
