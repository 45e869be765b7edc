"""What holds for every table of outcomes and predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from evaluation.amounts import error_measures, interval_measures
from evaluation.arrays import FloatArray, Measure
from evaluation.bootstrap import Resampling
from evaluation.calibration import calibration_measures
from evaluation.decisions import net_benefit_measures
from evaluation.discrimination import (
    auroc,
    capacity_measures,
    ranking_measures,
    threshold_measures,
)
from evaluation.distribution import crps_of_quantiles, crps_of_samples, pit_histogram, pit_of_quantiles
from evaluation.evaluate import evaluate_risk, together
from evaluation.patients import Patients

Table = tuple[FloatArray, FloatArray, FloatArray]


@st.composite
def tables(draw: DrawFn) -> Table:
    """Outcomes, probabilities of few values (so that many tie), and small counts as weights."""
    n = draw(st.integers(4, 30))
    label = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    twentieths = draw(st.lists(st.integers(1, 19), min_size=n, max_size=n))
    weights = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any))
    return np.array(label, float), np.array(twentieths) / 20, np.array(weights, float)


def risk_measures(label: FloatArray, probability: FloatArray, patients: Patients | None = None) -> Measure:
    """All measures of risk but those whose knots move with the rows."""
    return together(
        [
            ranking_measures(label, probability, patients),
            calibration_measures(label, probability, patients),
            threshold_measures(label, probability, (0.3, 0.5), patients),
            net_benefit_measures(label, probability, (0.3, 0.5), patients),
        ]
    )


def cost_measures(label: FloatArray, probability: FloatArray, patients: Patients | None = None) -> Measure:
    """All measures of cost, on costs made of the table's two columns."""
    actual = 100 * probability + 50 * label
    high = np.where(probability > 0.9, np.inf, 80 + 100 * probability)
    return together(
        [
            error_measures(actual, 120 * probability, patients),
            interval_measures(actual, 90 * probability, high, patients),
        ]
    )


def close(first: dict[str, FloatArray], second: dict[str, FloatArray], *, but: tuple[str, ...] = ()) -> None:
    for name in first:
        if name not in but:
            np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-6, err_msg=name)


@given(tables())
def test_auroc_depends_on_the_order_of_scores_alone(table: Table) -> None:
    label, probability, weights = table
    np.testing.assert_equal(
        auroc(label, probability, weights), auroc(label, np.exp(5 * probability) - 7, weights)
    )


@given(tables())
def test_auroc_of_the_reversed_score_is_the_complement(table: Table) -> None:
    label, probability, weights = table
    np.testing.assert_allclose(
        auroc(label, -probability, weights), 1 - auroc(label, probability, weights), atol=1e-12
    )


@settings(deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(table: Table, random: object) -> None:
    label, probability, weights = table
    order = np.arange(len(label))
    random.shuffle(order)  # type: ignore[attr-defined]
    for measures in (risk_measures, cost_measures):
        straight = measures(label, probability)(weights[np.newaxis])
        close(straight, measures(label[order], probability[order])(weights[order][np.newaxis]))


@settings(deadline=None)
@given(tables())
def test_a_weight_of_two_is_the_row_twice(table: Table) -> None:
    label, probability, weights = table
    rows = np.repeat(np.arange(len(label)), weights.astype(int))
    for measures in (risk_measures, cost_measures):
        weighted = measures(label, probability)(weights[np.newaxis])
        repeated = measures(label[rows], probability[rows])(np.ones((1, len(rows))))
        # Within a bootstrap the ICI keeps the knots of all rows; the next test is about its own weights.
        close(weighted, repeated, but=("ici",))


@settings(deadline=None)
@given(tables())
def test_the_ici_by_itself_takes_weights_as_repeated_rows(table: Table) -> None:
    from evaluation.calibration import ici

    label, probability, weights = table
    rows = np.repeat(np.arange(len(label)), weights.astype(int))
    np.testing.assert_allclose(
        ici(label, probability, 2 * weights),
        ici(*(np.tile(c[rows], 2) for c in (label, probability))),
        atol=1e-5,
    )


@settings(deadline=None)
@given(tables())
def test_resamples_at_once_equal_resamples_one_by_one(table: Table) -> None:
    label, probability, weights = table
    together_at_once = np.vstack([weights, np.ones_like(weights), weights[::-1]])
    for measures in (risk_measures, cost_measures):
        measure = measures(label, probability)
        at_once = measure(together_at_once)
        for row in range(3):
            alone = measure(together_at_once[row : row + 1])
            close({name: values[row : row + 1] for name, values in at_once.items()}, alone)


@settings(deadline=None)
@given(tables(), st.integers(1, 12))
def test_a_patient_drawn_twice_is_all_of_its_rows_twice(table: Table, n_patients: int) -> None:
    label, probability, _ = table
    whose = Patients.of(np.arange(len(label)) * 7 % n_patients, len(label))
    times = np.random.default_rng(1).integers(0, 4, (3, whose.count)).astype(np.uint8)
    times[:, 0] += 1
    by_row = times[:, whose.of_row].astype(float)
    week = np.arange(len(label)) % 3
    for measures in (risk_measures, cost_measures):
        close(measures(label, probability, whose)(times), measures(label, probability)(by_row))
    close(
        capacity_measures(label, probability, week, 2, whose)(times),
        capacity_measures(label, probability, week, 2)(by_row),
    )


@settings(deadline=None)
@given(tables())
def test_every_share_lies_within_0_and_1(table: Table) -> None:
    label, probability, weights = table
    found = risk_measures(label, probability)(weights[np.newaxis])
    found |= cost_measures(label, probability)(weights[np.newaxis])
    shares = ("auroc", "auprc", "prevalence", "brier", "ici", "interval_coverage", "interval_open_share")
    for name in (*shares, *(n for n in found if n.startswith(("sensitivity", "ppv", "alert_share")))):
        (value,) = found[name]
        assert np.isnan(value) or -1e-12 <= value <= 1 + 1e-12, name
    assert found["scaled_brier"][0] <= 1 or np.isnan(found["scaled_brier"][0])
    assert found["mae"][0] >= 0


@settings(deadline=None)
@given(tables())
def test_a_measure_is_undefined_only_where_an_outcome_is_absent(table: Table) -> None:
    label, probability, weights = table
    found = risk_measures(label, probability)(weights[np.newaxis])
    has_both = 0 < weights @ label < weights.sum()
    for name in ("auroc", "scaled_brier", "calibration_in_the_large", "ici"):
        assert np.isfinite(found[name][0]) == has_both, name


@given(tables(), st.integers(1, 4))
def test_a_week_never_gets_more_alerts_than_its_capacity(table: Table, capacity: int) -> None:
    label, probability, weights = table
    week = np.arange(len(label)) % 3
    found = capacity_measures(label, probability, week, capacity)(weights[np.newaxis])
    assert 0 < found["alerts_per_week_at_capacity"][0] <= capacity
    rows = np.repeat(np.arange(len(label)), weights.astype(int))
    repeated = capacity_measures(label[rows], probability[rows], week[rows], capacity)(
        np.ones((1, len(rows)))
    )
    close(found, repeated)


@settings(deadline=None, max_examples=25)
@given(tables(), st.randoms(use_true_random=False))
def test_intervals_do_not_depend_on_the_order_of_rows(table: Table, random: object) -> None:
    label, probability, _ = table
    patients = np.array([f"p{i // 2}" for i in range(len(label))])
    order = np.arange(len(label))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = evaluate_risk(label, probability, patients, Resampling(3, 10))
    shuffled = evaluate_risk(label[order], probability[order], patients[order], Resampling(3, 10))
    for name, metric in straight.items():
        assert metric.get("reason") == shuffled[name].get("reason"), name
        for end in ("value", "low", "high"):
            if metric[end] is None:  # type: ignore[literal-required]
                assert shuffled[name][end] is None, name  # type: ignore[literal-required]
                continue
            assert metric[end] == pytest.approx(shuffled[name][end], rel=1e-5, abs=1e-6), name  # type: ignore[literal-required]


AMOUNTS = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=6, max_size=6)


@given(AMOUNTS, AMOUNTS, st.lists(st.integers(1, 40), min_size=6, max_size=6, unique=True))
def test_no_distribution_is_expected_to_score_less_than_the_true_one(
    truth: list[float], other: list[float], level_numbers: list[int]
) -> None:
    # The amount is one of `truth`, each with a sixth.
    expected = {
        name: crps_of_samples(truth, np.tile(samples, (6, 1))).mean()
        for name, samples in (("truth", truth), ("other", other))
    }
    assert expected["truth"] <= expected["other"] + 1e-9
    # At any levels, even or not: the true quantiles against six others.
    levels = np.sort(level_numbers) / 41
    true_quantiles = np.quantile(truth, levels, method="inverted_cdf")
    score, other_score = (
        crps_of_quantiles(truth, np.tile(quantiles, (6, 1)), levels).mean()
        for quantiles in (true_quantiles, np.sort(other))
    )
    assert score <= other_score + 1e-9
    assert score >= 0


@given(AMOUNTS, AMOUNTS)
def test_a_histogram_of_places_is_made_of_shares(actual: list[float], quantiles: list[float]) -> None:
    levels = (np.arange(6) + 0.5) / 6
    places = pit_of_quantiles(actual, np.tile(np.sort(quantiles), (6, 1)), levels)
    shares = pit_histogram(places)
    assert shares.min() >= -1e-12
    np.testing.assert_allclose(shares.sum(), 1)
