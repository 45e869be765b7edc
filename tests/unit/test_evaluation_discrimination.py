"""Discrimination: numbers by hand, and parity with scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from evaluation.discrimination import auprc, auroc, capacity_measures, roc_curve, threshold_measures

LABEL = [0, 0, 1, 1]
SCORE = [0.1, 0.5, 0.5, 0.9]


def test_a_tie_of_event_and_non_event_counts_half_in_auroc() -> None:
    # Event above non-event in 0.5 > 0.1, 0.9 > 0.1, 0.9 > 0.5; 0.5 = 0.5 is a half: 3.5 of 4 pairs.
    assert auroc(LABEL, SCORE) == 0.875


def test_average_precision_takes_tied_rows_at_once() -> None:
    # Flag 0.9: recall 1/2, precision 1. Flag both 0.5 as well: recall 1, precision 2/3.
    # 1/2 · 1 + 1/2 · 2/3 = 5/6.
    assert auprc(LABEL, SCORE) == pytest.approx(5 / 6)


def test_a_score_that_is_the_same_for_everyone_has_auroc_a_half_and_auprc_the_prevalence() -> None:
    assert auroc([0, 0, 0, 1], [7, 7, 7, 7]) == 0.5
    assert auprc([0, 0, 0, 1], [7, 7, 7, 7]) == 0.25


def test_with_one_outcome_only_discrimination_is_undefined() -> None:
    assert math.isnan(auroc([1, 1], [0.1, 0.2]))
    assert math.isnan(auroc([0, 0], [0.1, 0.2]))
    assert math.isnan(auprc([0, 0], [0.1, 0.2]))


def test_weighted_measures_equal_scikit_learn() -> None:
    random = np.random.default_rng(3)
    label = random.integers(0, 2, 500)
    score = (label + random.normal(size=500)).round(1)  # rounded, so that there are many ties
    weights = random.integers(0, 4, 500) * 0.5
    assert auroc(label, score, weights) == pytest.approx(roc_auc_score(label, score, sample_weight=weights))
    expected = average_precision_score(label, score, sample_weight=weights)
    assert auprc(label, score, weights) == pytest.approx(expected)


def test_the_roc_curve_runs_from_nobody_flagged_to_everybody() -> None:
    curve = roc_curve(LABEL, SCORE)
    # Thresholds: none, 0.9 (one event), 0.5 (the other event and one of two non-events), 0.1 (all).
    assert curve["sensitivity"].tolist() == [0.0, 0.5, 1.0, 1.0]
    assert curve["false_positive_share"].tolist() == [0.0, 0.0, 0.5, 1.0]


def at_capacity(
    label: list[int], score: list[float], week: list[Any], capacity: int, weights: list[int] | None = None
) -> dict[str, float]:
    measure = capacity_measures(np.array(label, float), np.array(score, float), week, capacity)
    weight = np.array(weights or [1] * len(label), float)[np.newaxis]
    return {name: float(value[0]) for name, value in measure(weight).items()}


def test_capacity_flags_the_highest_scores_of_every_week() -> None:
    label = [1, 0, 1, 1, 0]
    score = [0.9, 0.8, 0.1, 0.7, 0.2]
    week = ["2024-01", "2024-01", "2024-01", "2024-02", "2024-02"]
    # One a week: 0.9 and 0.7, both events, of 3 events.
    assert at_capacity(label, score, week, 1) == {
        "sensitivity_at_capacity": pytest.approx(2 / 3),
        "ppv_at_capacity": 1.0,
        "alerts_per_week_at_capacity": 1.0,
    }
    # Three a week: the first week whole (2 events), of the second both rows (1 event): 5 alerts, 2 weeks.
    assert at_capacity(label, score, week, 3) == {
        "sensitivity_at_capacity": 1.0,
        "ppv_at_capacity": pytest.approx(3 / 5),
        "alerts_per_week_at_capacity": 2.5,
    }


def test_equal_scores_share_the_last_place_of_the_week() -> None:
    # One place, two rows with 0.5, one of them an event: by lot it is found half of the time.
    found = at_capacity([1, 0, 0], [0.5, 0.5, 0.1], [1, 1, 1], 1)
    assert found["sensitivity_at_capacity"] == 0.5
    assert found["ppv_at_capacity"] == 0.5


def test_a_week_without_weight_is_no_week() -> None:
    # The second week was not drawn: 1 alert in 1 week, not in 2.
    assert at_capacity([1, 0], [0.9, 0.8], [1, 2], 1, [1, 0])["alerts_per_week_at_capacity"] == 1.0


def at_threshold(threshold: float) -> dict[str, float]:
    measure = threshold_measures(np.array(LABEL, float), np.array(SCORE, float), (threshold,))
    return {name: float(value[0]) for name, value in measure(np.ones((1, len(LABEL)))).items()}


def test_a_row_at_the_threshold_is_flagged() -> None:
    # At 0.5: 0.5, 0.5, 0.9 are flagged: 2 of 2 events, precision 2/3, 3 of 4 rows.
    assert at_threshold(0.5) == {
        "sensitivity_at_0.5": 1.0,
        "ppv_at_0.5": pytest.approx(2 / 3),
        "alert_share_at_0.5": 0.75,
    }


def test_a_threshold_that_nobody_reaches_has_no_ppv() -> None:
    found = at_threshold(0.95)
    assert math.isnan(found["ppv_at_0.95"])
    assert found["alert_share_at_0.95"] == 0.0


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [
        ([0, 1, None], [1, 2, 3], "label: 1 of 3 values are missing"),
        (pd.Series([0, pd.NA, pd.NA], dtype="Int64"), [1, 2, 3], "label: 2 of 3 values are missing"),
        ([0, 1, 2], [1, 2, 3], "label: 1 of 3 values are neither 0 nor 1"),
        ([0, 1], [1, math.nan], "score: 1 of 2 values are missing"),
        ([0, 1], [1, math.inf], "score: 1 of 2 values are infinite"),
        ([0, 1], [1, 2, 3], "label 2, score 3"),
        ([], [], "no rows"),
    ],
)
def test_unusable_rows_are_refused_with_their_count(label: object, score: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auroc(label, score)


@pytest.mark.parametrize("weights", [[1, -1], [0, 0]])
def test_weights_that_cannot_be_counts_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        auroc([0, 1], [1, 2], weights)


def test_a_capacity_needs_every_rows_week_and_at_least_one_place() -> None:
    with pytest.raises(ValueError, match="week: 1 of 2"):
        at_capacity([0, 1], [1, 2], ["2024-01", None], 1)
    with pytest.raises(ValueError, match="capacity_per_week"):
        at_capacity([0, 1], [1, 2], [1, 1], 0)
