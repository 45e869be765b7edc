"""A prediction depends on its row alone, and its reasons add up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from models.contributions import explanation
from models.distribution import Shapes
from models.encoding import encode
from models.model import Model
from tests.admission_rows import admissions, fitted

ROWS = admissions(10_000, seed=5)
TARGETS = ("readmission", "complication", "cost")


@pytest.mark.parametrize("target", TARGETS)
def test_a_row_alone_and_in_a_batch_of_10000_gives_the_same_bits(target: str) -> None:
    model = fitted(target).model
    batch = model.predict(ROWS, threads=2)
    assert batch.contributions is not None
    for row in range(0, 10_000, 97):
        alone = model.predict(ROWS.iloc[[row]], threads=1)
        assert alone.contributions is not None
        assert alone.raw_output[0] == batch.raw_output[row]
        assert alone.value[0] == batch.value[row]
        assert alone.percentile[0] == batch.percentile[row]
        assert alone.band[0] == batch.band[row]
        np.testing.assert_array_equal(alone.contributions[0], batch.contributions[row])
        if batch.low is not None and batch.high is not None:
            assert alone.low is not None
            assert alone.high is not None
            assert (alone.low[0], alone.high[0]) == (batch.low[row], batch.high[row])


@pytest.mark.parametrize("target", TARGETS)
def test_base_and_contributions_add_up_to_the_raw_output(target: str) -> None:
    prediction = fitted(target).model.predict(ROWS.head(2000))
    assert prediction.contributions is not None
    total = prediction.base_value + prediction.contributions.sum(axis=1)
    assert np.abs(total - prediction.raw_output).max() < 1e-6


def test_the_raw_output_is_the_boosters_own() -> None:
    model = fitted("readmission").model
    matrix, _ = encode(ROWS, model.artefact.features)
    own = model.boosters["model"].predict(matrix, raw_score=True)
    np.testing.assert_array_equal(model.predict(ROWS, contributions=False).raw_output, own)


def test_without_contributions_the_prediction_is_the_same() -> None:
    model = fitted("cost").model
    with_reasons, without = model.predict(ROWS.head(50)), model.predict(ROWS.head(50), contributions=False)
    assert without.contributions is None
    np.testing.assert_array_equal(with_reasons.value, without.value)


def test_neither_order_of_columns_nor_further_columns_move_a_prediction() -> None:
    model = fitted("readmission").model
    shuffled = ROWS.head(100)[sorted(ROWS.columns, reverse=True)].assign(noise=1.0)
    np.testing.assert_array_equal(model.predict(shuffled).value, model.predict(ROWS.head(100)).value)


def test_an_unseen_level_counts_as_missing_and_warns_in_its_own_row() -> None:
    model = fitted("readmission").model
    rows = ROWS.head(3).assign(admitting_diagnosis_group=["Stroke", "Unheard of", None])
    prediction = model.predict(rows)
    warning = "admitting_diagnosis_group: a level that the model does not know; treated as missing"
    assert prediction.warnings == [[], [warning], []]
    as_missing = model.predict(rows.assign(admitting_diagnosis_group=["Stroke", None, None]))
    np.testing.assert_array_equal(prediction.value, as_missing.value)


def test_a_fact_that_is_not_supplied_is_missing_with_a_warning() -> None:
    prediction = fitted("readmission").model.predict(ROWS.head(2).drop(columns="ward_score"))
    assert prediction.warnings == [["ward_score: not supplied; treated as missing"]] * 2


def test_a_risk_is_a_probability_without_interval() -> None:
    prediction = fitted("readmission").model.predict(ROWS)
    assert prediction.low is None
    assert prediction.high is None
    assert ((prediction.value > 0) & (prediction.value < 1)).all()
    # Calibration keeps the order: the riskiest raw output is the riskiest probability.
    assert prediction.raw_output.argmax() == prediction.value.argmax()


def test_heart_failure_and_earlier_stays_raise_risk_and_cost() -> None:
    rows = ROWS.head(2).assign(
        admitting_diagnosis_group=["Asthma", "Heart failure"], n_stays_prior_365d=[0.0, 4.0], age_years=60.0
    )
    for target in ("readmission", "cost"):
        mild, severe = fitted(target).model.predict(rows).value
        # True odds ratio exp(0.8 + 2.0) = 16, true cost ratio exp(0.6 + 0.8) = 4.
        assert severe > 2 * mild


def test_the_interval_of_a_cost_is_ordered_and_holds_most_costs() -> None:
    prediction = fitted("cost").model.predict(ROWS)
    assert prediction.low is not None
    assert prediction.high is not None
    assert (prediction.low <= prediction.high).all()
    actual = ROWS["label_episode_cost"].to_numpy()
    covered = (actual >= prediction.low) & (actual <= prediction.high)
    # 80 % promised; calibrated on 1,000 rows, of which the standard error is 0.013.
    assert covered.mean() == pytest.approx(0.8, abs=0.04)


def test_an_interval_without_finite_bound_ends_at_infinity() -> None:
    model = fitted("cost").model
    distribution = model.artefact.distribution
    assert distribution is not None
    without = replace(
        distribution, everyone=Shapes((), (replace(distribution.shapes[0], low=None, high=None),)), groups={}
    )
    open_ended = replace(model.artefact, distribution=without)
    prediction = Model(open_ended, model.boosters).predict(ROWS.head(3))
    assert prediction.high is not None
    assert prediction.high.tolist() == [np.inf] * 3


@pytest.mark.parametrize("target", ["readmission", "cost"])
def test_no_rows_are_predicted_as_no_rows(target: str) -> None:
    prediction = fitted(target).model.predict(ROWS.head(0))
    assert len(prediction.value) == len(prediction.band) == len(prediction.warnings) == 0
    assert prediction.contributions is not None
    assert prediction.contributions.shape == (0, 5)


def test_other_raw_outputs_of_a_row_lead_to_other_predictions_as_its_own_to_its_own() -> None:
    for target in TARGETS:
        model = fitted(target).model
        prediction = model.predict(ROWS.head(200))
        moved = model.value_at(prediction, prediction.raw_output[:, None] + np.array([-0.5, 0.0, 0.5]))
        np.testing.assert_allclose(moved[:, 1], prediction.value, rtol=1e-12)
        assert (moved[:, 0] < moved[:, 1]).all()
        assert (moved[:, 1] < moved[:, 2]).all()
        if prediction.amounts is not None:
            # An amount of money is a multiple of exp(raw).
            np.testing.assert_allclose(moved[:, 2] / moved[:, 1], np.exp(0.5), rtol=1e-9)


# shap's import sets colours in a way that matplotlib is about to deprecate.
@pytest.mark.filterwarnings("ignore:The set_:PendingDeprecationWarning")
def test_an_explanation_carries_names_and_words() -> None:
    model = fitted("readmission").model
    found = explanation(model, ROWS.head(4))
    prediction = model.predict(ROWS.head(4))
    np.testing.assert_array_equal(found.values, prediction.contributions)
    assert found.base_values.tolist() == [model.artefact.base_value] * 4
    assert found.values.sum(axis=1) + found.base_values == pytest.approx(prediction.raw_output, abs=1e-6)
    np.testing.assert_array_equal(found.data, prediction.inputs)
    assert found.feature_names == [spec.label for spec in model.artefact.features]
    place = [spec.name for spec in model.artefact.features].index("admitting_diagnosis_group")
    assert found.display_data[0, place] == ROWS["admitting_diagnosis_group"].iloc[0]


def test_models_load_without_mlflow_shap_or_matplotlib() -> None:
    script = (
        "import sys, models.champions, models.contributions; "
        "print(sorted({'mlflow', 'shap', 'matplotlib'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
