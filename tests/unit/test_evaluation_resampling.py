"""Many resamples at once give what the definitions give for one resample, its rows written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from evaluation import cells
from evaluation.amounts import error_measures, interval_measures
from evaluation.arrays import FloatArray, Measure
from evaluation.bootstrap import Resampling, resamples
from evaluation.calibration import calibration_measures, log_odds
from evaluation.decisions import net_benefit_measures
from evaluation.discrimination import capacity_measures, ranking_measures, threshold_measures
from evaluation.evaluate import together
from evaluation.patients import Patients
from evaluation.smooth import SPLINE_RIDGE, knots_of, natural_spline

N, N_RESAMPLES, CAPACITY = 1500, 5, 12
RANDOM = np.random.default_rng(8)
LOG_ODDS = RANDOM.normal(-1, 1, N)
LABEL = (RANDOM.random(N) < 1 / (1 + np.exp(-LOG_ODDS))).astype(float)
WEEK = RANDOM.integers(0, 20, N)
WHOSE = Patients.of(RANDOM.integers(0, 900, N), N)
TIMES = next(iter(resamples(WHOSE.count, Resampling(2, N_RESAMPLES))))

# Once with no two predictions alike, once with 30 of them, so that most rows tie.
DIFFERENT = 1 / (1 + np.exp(-(1.2 * LOG_ODDS + 0.2)))
TIED = np.clip(np.round(DIFFERENT * 30) / 30, 0.01, 0.99)


def written_out(resample: int) -> np.ndarray:
    """Every row as often as its patient was drawn."""
    return np.repeat(np.arange(N), TIMES[resample][WHOSE.of_row])


def at_capacity(label: FloatArray, probability: FloatArray, week: np.ndarray) -> list[float]:
    """Week by week, score by score, as one would count by hand."""
    found = alerts = 0.0
    for each in np.unique(week):
        places = float(CAPACITY)
        for score in np.unique(probability[week == each])[::-1]:
            tied = label[(week == each) & (probability == score)]
            taken = min(places, len(tied))
            alerts, found, places = alerts + taken, found + taken * tied.mean(), places - taken
    return [found / label.sum(), found / alerts, alerts / len(np.unique(week))]


@pytest.mark.parametrize("probability", [DIFFERENT, TIED], ids=["different", "tied"])
def test_measures_of_risk_are_those_of_the_rows_written_out(probability: FloatArray) -> None:
    found = together(
        [
            ranking_measures(LABEL, probability, WHOSE),
            calibration_measures(LABEL, probability, WHOSE),
            capacity_measures(LABEL, probability, WEEK, CAPACITY, WHOSE),
            threshold_measures(LABEL, probability, (0.4,), WHOSE),
            net_benefit_measures(LABEL, probability, (0.4,), WHOSE),
        ]
    )(TIMES)
    for resample in range(N_RESAMPLES):
        rows = written_out(resample)
        label, predicted = LABEL[rows], probability[rows]
        flagged = predicted >= 0.4
        slope = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        slope.fit(log_odds(predicted).reshape(-1, 1), label)
        shifted = 1 / (
            1 + np.exp(-(log_odds(predicted) + found["calibration_in_the_large"][resample]))
        )  # at the maximum of the likelihood these add up to the events
        sensitivity, ppv, alerts_per_week = at_capacity(label, predicted, WEEK[rows])
        expected = {
            "auroc": roc_auc_score(label, predicted),
            "auprc": average_precision_score(label, predicted),
            "prevalence": label.mean(),
            "brier": brier_score_loss(label, predicted),
            "scaled_brier": 1 - brier_score_loss(label, predicted) / label.var(),
            "observed_expected_ratio": label.sum() / predicted.sum(),
            "calibration_slope": slope.coef_[0, 0],
            "sensitivity_at_capacity": sensitivity,
            "ppv_at_capacity": ppv,
            "alerts_per_week_at_capacity": alerts_per_week,
            "sensitivity_at_0.4": label[flagged].sum() / label.sum(),
            "ppv_at_0.4": label[flagged].mean(),
            "alert_share_at_0.4": flagged.mean(),
            "net_benefit_at_0.4": (label[flagged] - (1 - label[flagged]) * 2 / 3).sum() / len(rows),
            "net_benefit_of_all_at_0.4": (label - (1 - label) * 2 / 3).mean(),
        }
        assert set(found) == {*expected, "ici", "calibration_in_the_large"}
        for name, value in expected.items():
            assert found[name][resample] == pytest.approx(value, rel=1e-6), name
        assert shifted.sum() == pytest.approx(label.sum(), rel=1e-7)


@pytest.mark.parametrize("probability", [DIFFERENT, TIED], ids=["different", "tied"])
def test_the_ici_is_that_of_a_curve_fitted_to_the_rows_written_out(probability: FloatArray) -> None:
    found = calibration_measures(LABEL, probability, WHOSE)(TIMES)["ici"]
    knots = knots_of(LABEL, probability, np.ones(N))
    for resample in range(2):
        rows = written_out(resample)
        label, offset = LABEL[rows], log_odds(probability[rows])
        basis = natural_spline(offset, knots)

        def loss(beta: FloatArray, label=label, offset=offset, basis=basis) -> float:  # type: ignore[no-untyped-def]
            logit = offset + basis @ beta
            return float((np.logaddexp(0, logit) - label * logit).sum() + SPLINE_RIDGE / 2 * beta @ beta)

        beta = minimize(loss, np.zeros(len(knots)), method="BFGS", options={"gtol": 1e-3}).x
        smooth = 1 / (1 + np.exp(-(offset + basis @ beta)))
        assert found[resample] == pytest.approx(np.abs(smooth - probability[rows]).mean(), abs=1e-5)


def test_measures_of_amounts_are_those_of_the_rows_written_out() -> None:
    from sklearn.metrics import mean_poisson_deviance

    actual, expected = RANDOM.lognormal(9, 1, N), RANDOM.lognormal(9, 0.5, N)
    low, high = 0.2 * expected, np.where(RANDOM.random(N) < 0.1, np.inf, 3 * expected)
    found = together([error_measures(actual, expected, WHOSE), interval_measures(actual, low, high, WHOSE)])(
        TIMES
    )
    for resample in range(N_RESAMPLES):
        rows = written_out(resample)
        error = np.abs(actual - expected)[rows]
        width = (high - low)[rows]
        by_definition = {
            "mae": error.mean(),
            "mdae": np.median(error),
            "wape": error.sum() / actual[rows].sum(),
            "r2": 1 - (error**2).mean() / actual[rows].var(),
            "d2": 1
            - mean_poisson_deviance(actual[rows], expected[rows])
            / mean_poisson_deviance(actual[rows], np.full(len(rows), actual[rows].mean())),
            "bias": expected[rows].sum() / actual[rows].sum(),
            "interval_coverage": ((low <= actual) & (actual <= high))[rows].mean(),
            "interval_width": width[np.isfinite(width)].mean(),
            "interval_width_median": np.median(width),
            "interval_open_share": np.isinf(width).mean(),
        }
        assert set(found) == set(by_definition)
        for name, value in by_definition.items():
            assert found[name][resample] == pytest.approx(value), name


def drawn_and_value(measure: Measure, n_patients: int) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    times = next(iter(resamples(n_patients, Resampling(3, 30))))
    return measure(times), measure(np.ones((1, n_patients)))


@pytest.mark.parametrize("spread", [0.05, 1.0, 3.0])
def test_predictions_that_share_a_cell_move_calibration_by_thousandths_of_its_standard_error(
    spread: float,
) -> None:
    random = np.random.default_rng(4)
    n = 20_000
    log_odds_of_truth = random.normal(-2, spread, n)
    label = (random.random(n) < 1 / (1 + np.exp(-log_odds_of_truth))).astype(float)
    probability = 1 / (1 + np.exp(-(0.8 * log_odds_of_truth + 0.1)))
    whose = Patients.of(random.integers(0, 12_000, n), n)
    cells_used = cells.Cells.of(label, probability, whose, exact=False)
    assert len(cells_used.n) < 4000
    shared, rowwise = (
        drawn_and_value(calibration_measures(label, probability, whose, exact=exact), whose.count)
        for exact in (False, True)
    )
    for name in ("calibration_in_the_large", "calibration_slope", "ici"):
        standard_error = rowwise[0][name].std()
        assert np.abs(shared[0][name] - rowwise[0][name]).max() < 0.02 * standard_error, name
        assert np.abs(shared[1][name] - rowwise[1][name]).max() < 0.02 * standard_error, name


def test_few_predictions_are_never_merged() -> None:
    close = np.array([0.5, 0.5 + 1e-9, 0.9])
    found = cells.Cells.of(np.array([0.0, 1, 1]), close, Patients.one_per_row(3), exact=False)
    assert found.n.tolist() == [1, 1, 1]
    assert found.n_events.tolist() == [0, 1, 1]
