"""Models of a small made-up hospital beside the truth that it keeps.

`make prove` holds the stated bounds at 50,000 admissions over several seeds. Here, at 20,000, each bound is
widened by 2.5 standard errors of the smaller test slice (3,400 to 3,900 rows, 440 readmissions, 260
complications), so that only a fault fails: a leak, a lost feature, a wrong label, a broken calibration.
"""

from __future__ import annotations

import math

import pytest

from tests.against_truth import AgainstTruth, against_truth


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> AgainstTruth:
    return against_truth(tmp_path_factory.mktemp("hospital"), admissions=20_000, seed=0)


@pytest.mark.parametrize("target", ["readmission", "complication"])
def test_outcomes_come_as_often_as_the_truth_says(found, target):
    risk = getattr(found, target)
    # Independent draws with these probabilities vary by less than the root of their expected number.
    assert abs(risk.n_events - risk.n_expected) < 3 * math.sqrt(risk.n_expected)
    # The hospital is made so that even its true risks leave much open.
    assert 0.70 <= risk.best_auroc <= 0.82


@pytest.mark.parametrize("target", ["readmission", "complication"])
def test_most_of_what_can_be_told_apart_is(found, target):
    # An AUROC's difference to the truth's on the same rows has an error of some 0.010 at 260 events, 0.035 of
    # the truth's 0.28 above chance; two fifths of the rows to learn from cost another 0.04 of it.
    # 0.85 - 2.5 * 0.035 - 0.04 = 0.72. More than all of it would be a leak: 1 + 2.5 * 0.035 = 1.09.
    assert 0.72 <= getattr(found, target).reached_share <= 1.09


@pytest.mark.parametrize("target", ["readmission", "complication"])
def test_risks_are_neither_too_bold_nor_too_shy(found, target):
    # The slope's error is 0.07 on the test slice at 260 events and 0.10 on the half as large calibration
    # slice, together 0.12: 0.85 - 2.5 * 0.12 and 1.15 + 2.5 * 0.12.
    assert 0.55 <= getattr(found, target).slope <= 1.45


def test_costs_are_near_their_true_expectation(found):
    # No outcome's chance is in this measure; fewer rows to learn from cost some 0.02 beside the 0.20.
    assert found.cost.distance <= 0.22


def test_cost_intervals_hold_what_they_promise(found):
    # sqrt(0.8 * 0.2 / n) is 0.0065 for 3,800 test rows and 0.009 for 2,000 of calibration, together 0.011:
    # 0.78 - 2.5 * 0.011 and 0.82 + 2.5 * 0.011.
    assert 0.752 <= found.cost.coverage <= 0.848


def test_predicted_costs_add_up_to_what_was_paid(found):
    # A cost varies about its expectation by some 0.9 of the mean: 0.015 on the test rows and 0.02 on those of
    # calibration, together 0.025: 0.95 - 2.5 * 0.025 and 1.05 + 2.5 * 0.025.
    assert 0.887 <= found.cost.bias <= 1.113
